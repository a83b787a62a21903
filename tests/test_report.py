"""The report of a sweep: a page that needs nothing but itself, whatever the sweep was. Its other pictures."""

import ast
import base64
import dataclasses
import gzip
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import plot, sweep
from gradtx.sweep import _files

from .test_fit import START, line, squares

pytestmark = pytest.mark.slow
EVIL = '</script><b onclick="x">%{y} & $1'


def everything(params):
    return jax.tree.map(lambda _: True, params)


def named_evil(params):
    return everything(params)


named_evil.__name__ = EVIL


def ridge(params, batch, l2):
    return squares(params, batch) + l2 * jnp.sum(params["w"] ** 2)


def norms(params):
    return {EVIL: gradtx.tree.norm(params)}


def trained(population, steps=40, loss=squares, **options):
    return sweep.run(loss, START, population, line(), steps=steps, batch_size=10, **options)


RATES = np.geomspace(1e-3, 0.3, 4)
GRID = sweep.grid(gradtx.adam, learning_rate=RATES, b1=[0.53, 0.9])
SWEEPS = {
    "a grid": lambda: trained(GRID),
    "one lane": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=[0.1])),
    "one step": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2]), steps=1),
    "one axis": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=RATES)),
    "no axis": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.1])),
    "all diverged": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=[1e20, 1e30]), stop_diverged=True),
    "one diverged": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=[0.1, 1e30], momentum=[0.5, 0.9])),
    "functions": lambda: trained(
        sweep.grid(gradtx.adamw, learning_rate=0.1, mask=[everything, None, lambda p: everything(p), named_evil])
    ),
    "structures": lambda: trained(
        sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.1], momentum=[None, 0.5, 0.9])
        + sweep.grid(gradtx.chain(gradtx.clip(1.0), gradtx.adam(0.1)), **{"adam.b1": [0.5, 0.9]})
    ),
    "draws": lambda: trained(
        sweep.sample(
            gradtx.adam,
            24,
            seed=0,
            learning_rate=sweep.log_uniform(1e-4, 1e-1),
            b1=sweep.uniform(0.0, 0.99),
            b2=sweep.one_minus(sweep.log_uniform(1e-4, 1e-1)),
        ),
        evaluate=norms,
        metric=EVIL,
        better="higher",
    ),
    "halving": lambda: trained(
        sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-3, 1, 9)), select=sweep.halving(3)
    ),
    "a population": lambda: trained(
        sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-3, 1, 8), b1=0.8), select=sweep.population_based(10)
    ),
    "seeds": lambda: trained(
        sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.1], numbers={"l2": [0.0, 0.1]}, seeds=range(3)), loss=ridge
    ),
    "seeds alone": lambda: trained(sweep.grid(gradtx.sgd, learning_rate=[0.1], seeds=range(3))),
    "losses below zero": lambda: trained(GRID, loss=lambda params, batch: squares(params, batch) - 3.0),
}


@pytest.fixture(scope="module")
def results():
    """Each sweep once."""
    made = {}
    return lambda name: made.setdefault(name, SWEEPS[name]()) if name not in made else made[name]


class Page(HTMLParser):
    """What a page loads, and the text of its parts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.loads, self.parts, self.tags, self.attributes, self.inside = [], {}, [], set(), None
        self.every = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.attributes |= given.keys()
        self.loads += [given[name] for name in ("src", "href", "srcset", "data") if name in given]
        self.inside = given.get("id", tag)
        self.parts.setdefault(self.inside, "")
        self.every.setdefault(tag, []).append("")
        self.last = tag

    def handle_data(self, data):
        self.parts[self.inside] = self.parts.get(self.inside, "") + data
        if self.inside is not None:
            self.every[self.last][-1] += data

    def handle_endtag(self, tag):
        self.inside = None


def page_of(result, folder):
    (file,) = [path for path in result.save(folder) if path.name == "report.html"]
    return Page(file.read_text(encoding="utf-8"))


def strict(text):
    """JSON without NaN and Infinity, which browsers do not take."""

    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def run_of(code):
    """What the code defines before it trains."""
    lines = [x for x in code.splitlines() if not x.startswith("run = ")]
    space = {"loss": ridge, "everything": everything}
    exec("\n".join(lines), space)
    return space


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_renders_as_a_page_that_loads_nothing(name, results, tmp_path):
    result = results(name)
    page = page_of(result, tmp_path)
    assert page.loads == []
    assert "@import" not in page.parts["style"]
    assert "url(" not in page.parts["style"]
    own = strict(page.parts["page"])
    lanes = len(result.points)
    assert own["order"] == result.order
    assert own["lost"] == [not math.isfinite(x) for x in result.final_loss]
    assert [own["lost"][n] for n in own["order"]] == sorted(own["lost"])  # diverged lanes last
    assert all(len(column["values"]) == lanes for column in (*own["columns"], *own["axes"]))
    assert own["columns"][0] == {"name": "lane", "title": "lane", "values": list(range(lanes)), "exact": True}
    assert [column["name"] for column in own["columns"] if column.get("metric")] == [result.metric]
    kinds = [figure["kind"] for figure in own["figures"]]
    assert kinds[0] == "curves"
    assert set(kinds) <= {"curves", "steps", "cells", "cloud", "bars", "parallel"}
    for figure in own["figures"]:
        assert all(figure[axis] < len(own["axes"]) for axis in ("x", "y") if isinstance(figure.get(axis), int))
    assert page.parts["h2"].count("Lanes") == 1


def unpacked(text, lanes):
    """The numbers of packed curves, by the description: gzip, then the three high bytes of float32, plane by plane."""
    planes = np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(3, -1).astype(np.uint32)
    bits = planes[0] << 24 | planes[1] << 16 | planes[2] << 8
    return bits.view(np.float32).reshape(lanes, -1)


@pytest.mark.parametrize("name", ["a grid", "one diverged", "losses below zero", "halving"])
def test_the_curves_in_a_page_are_the_losses_to_five_digits(name, results, tmp_path):
    result = results(name)
    found = unpacked(page_of(result, tmp_path).parts["curves-0"], len(result.points))
    expected = np.where(np.isfinite(result.loss), result.loss, np.nan)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=2.0**-16)


def test_a_sweep_of_128_lanes_is_a_page_of_at_most_half_a_megabyte(tmp_path):
    population = sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-4, 0.1, 16), b1=np.linspace(0, 0.99, 8))
    result = trained(population, steps=500)
    file = result.save(tmp_path)[-1]
    assert file.stat().st_size < 500_000
    assert unpacked(Page(file.read_text(encoding="utf-8")).parts["curves-0"], 128).shape == (128, 500)


def test_a_loss_of_exactly_zero_stands_at_the_end_of_the_scale(tmp_path):
    def cut(params, batch):
        loss = squares(params, batch)
        return jnp.where(loss < 1.0, 0.0, loss)

    result = trained(sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.1]), loss=cut)
    assert 0.0 in result.loss
    (curves, *_) = strict(page_of(result, tmp_path).parts["page"])["figures"]
    assert curves["y"]["zero"] is True
    least = result.loss[result.loss > 0].min()
    assert curves["y"]["low"] == pytest.approx(10.0 ** (math.floor(math.log10(least)) - 1))
    figure = result.plot()
    drawn = [line.get_ydata() for line in figure.axes[0].get_lines()]
    assert min(np.nanmin(y) for y in drawn) == pytest.approx(curves["y"]["low"])
    assert "0" in [text.get_text() for text in figure.axes[0].texts]


def test_the_page_says_where_it_comes_from_what_it_cost_and_what_is_to_be_known(results, tmp_path):
    class Noted(type(results("seeds"))):
        def notes(self):
            return ["the best learning_rate <0.1> is at the edge"]

    fields = {f.name: getattr(results("seeds"), f.name) for f in dataclasses.fields(results("seeds"))}
    result = Noted(
        **fields | {"origin": {**fields["origin"], "problem": "digits: a few", "command": "python -m gradtx"}}
    )
    page = page_of(result, tmp_path)
    said = dict(zip(page.every["dt"], page.every["dd"], strict=True))
    assert said["problem"] == "digits: a few"
    assert said["command"] == "python -m gradtx"
    assert re.fullmatch(r"\d × cpu", said["devices"])
    assert f"jax {jax.__version__}" in said["versions"]
    assert re.fullmatch(r"[\d.]+ s, compilation included", said["time"])
    assert "lane-steps a second" in said["speed"]
    assert re.search(r"[\d.]+ [MG]B", said["memory"])
    assert page.every["li"] == ["the best learning_rate <0.1> is at the edge"]
    kept = json.loads((tmp_path / "sweep.json").read_text())
    assert (kept["problem"], kept["command"], kept["batch_size"]) == ("digits: a few", "python -m gradtx", 10)
    assert kept["best"]["transformation"] == "sgd(learning_rate=0.1, momentum=None)" or "array" not in str(kept["best"])


def test_the_best_weights_are_there_to_be_loaded(results, tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    result = results("a grid")
    result.save(tmp_path)
    with np.load(tmp_path / "best.npz") as arrays:
        assert list(arrays) == ["w"]
        np.testing.assert_array_equal(arrays["w"], result.best.params["w"])
    with orbax.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "best")
    np.testing.assert_array_equal(restored["w"], result.best.params["w"])


def test_the_best_weights_of_models_are_whole(tmp_path):
    nnx, eqx = pytest.importorskip("flax.nnx"), pytest.importorskip("equinox")
    x = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(6, 2)
    two = sweep.grid(gradtx.sgd, learning_rate=[0.1])

    def best(loss, params, **more):
        lane = sweep.run(loss, params, two, x, steps=2, **more).best
        _files.write_best(tmp_path, lane)
        with np.load(tmp_path / "best.npz") as arrays:
            return lane, dict(arrays)

    lane, found = best(lambda model, batch: jnp.mean(model(batch) ** 2), nnx.BatchNorm(2, rngs=nnx.Rngs(0)))
    assert sorted(found) == ["carried.mean", "carried.var", "params.bias", "params.scale"]
    np.testing.assert_array_equal(found["carried.var"], lane.params.var[...])

    def squares(model, batch):
        return jnp.mean(jax.vmap(model)(batch) ** 2)

    lane, found = best(squares, eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0)))
    assert sorted(found) == [f"layers.{n}.{name}" for n in (0, 1) for name in ("bias", "weight")]
    np.testing.assert_array_equal(found["layers.1.weight"], lane.params.layers[1].weight)

    def counted(params, batch, model_state):
        return jnp.mean((params - batch) ** 2), model_state + 1

    lane, found = best(counted, jnp.zeros([]), model_state=jnp.zeros([]))
    assert (float(found["params"]), float(found["model_state"])) == (float(lane.params), 2.0)


def test_held_out_curves_stand_beside_the_training_curves(results, tmp_path):
    result = results("a grid")
    held = np.linspace(1.0, 0.5, 8 * 4).reshape(8, 4)
    more = {"curves": {"held_out_loss": held}, "evaluated": np.array([10, 20, 30, 40])}
    page = page_of(dataclasses.replace(result, **more), tmp_path)
    first, second, *_ = strict(page.parts["page"])["figures"]
    assert (first["title"], second["title"]) == ("training loss", "held-out loss")
    assert second["steps"] == [10, 20, 30, 40]
    np.testing.assert_allclose(unpacked(page.parts["curves-1"], 8), held, rtol=2.0**-16)


def test_what_a_column_of_words_says_is_not_said_twice(tmp_path):
    def make(optimizer, learning_rate):
        return getattr(gradtx, optimizer)(learning_rate)

    result = trained(sweep.grid(make, optimizer=["adam", "sgd"], learning_rate=[0.01, 0.1]))
    own = strict(page_of(result, tmp_path).parts["page"])
    assert [column["name"] for column in own["columns"]] == ["lane", "optimizer", "learning_rate", "final_loss"]
    assert [axis["title"] for axis in own["axes"]] == ["optimizer", "learning rate"]


@pytest.mark.parametrize("name", [name for name in SWEEPS if name != "a population"])
def test_the_code_of_the_best_evaluates_to_the_best(name, results, tmp_path):
    result = results(name)
    code = page_of(result, tmp_path).parts["code"]
    ast.parse(code)
    if "_of_yours" in code:
        return
    space = run_of(code)
    ours, theirs = (gradtx.hyperparameters(tx) for tx in (space["tx"], result.best.tx))
    assert ours.keys() == theirs.keys()
    for key, x in ours.items():
        assert isinstance(x, float)
        np.testing.assert_allclose(x, theirs[key], rtol=6e-8)
    assert jax.tree.structure(space["tx"]) == jax.tree.structure(result.best.tx)
    if "l2" in result.best.point:
        assert space["loss"].keywords == {"l2": result.best.point["l2"]}
        assert f"seed={result.best.point['seed']})" in code


def test_a_function_that_has_no_name_is_said_to_be_yours(tmp_path):
    population = sweep.grid(gradtx.adamw, learning_rate=0.1, mask=[lambda params: everything(params)])
    code = page_of(trained(population, steps=2), tmp_path).parts["code"]
    ast.parse(code)
    assert "mask=mask_of_yours" in code
    assert "# mask_of_yours: " in code
    named = trained(sweep.grid(gradtx.adamw, learning_rate=0.1, mask=[everything]), steps=2)
    assert f"from {everything.__module__} import everything" in page_of(named, tmp_path).parts["code"]


def test_the_code_of_a_population_trains_along_the_line_of_the_best(results, tmp_path):
    result = results("a population")
    code = page_of(result, tmp_path).parts["code"]
    rate, history = run_of(code)["tx"].learning_rate, result.history
    expected = history.schedule(result.best)["adam.learning_rate"]
    for n, begin in enumerate([0, *history.steps]):
        value = float(rate(int(begin))) if callable(rate) else rate
        assert value == pytest.approx(expected[n], rel=1e-6)


def test_what_a_user_named_is_text_and_nothing_else(results, tmp_path):
    for name in ("functions", "draws"):
        file = results(name).save(tmp_path)[-1]
        text = file.read_text(encoding="utf-8")
        assert EVIL not in text
        page = Page(text)
        assert "onclick" not in page.attributes
        assert page.tags.count("script") == 3  # what it knows, the curves, what draws
        assert "b" not in page.tags
        assert EVIL in [title.replace("held-out", "held out") for title in names_in(strict(page.parts["page"]))]


def names_in(own):
    """All words of columns and axes."""
    words = [column["name"] for column in own["columns"]]
    return words + [x for column in own["columns"] for x in column["values"] if isinstance(x, str)]


def test_numbers_that_are_not_finite_are_null_and_the_lane_is_last(results, tmp_path):
    own = strict(page_of(results("one diverged"), tmp_path).parts["page"])
    (score,) = [column["values"] for column in own["columns"] if column.get("metric")]
    assert [own["lost"][n] for n in own["order"]] == [False, False, True, True]
    assert [score[n] is None for n in own["order"]] == [False, False, True, True]


def test_many_lanes_stay_light(tmp_path):
    drawn = sweep.sample(
        gradtx.sgd, 1000, seed=0, learning_rate=sweep.log_uniform(1e-4, 1.0), momentum=sweep.uniform(0, 1)
    )
    result = trained(drawn, steps=600, record_every=1)
    file = result.save(tmp_path)[-1]
    assert file.stat().st_size < 1_500_000
    page = Page(file.read_text(encoding="utf-8"))
    found = unpacked(page.parts["curves-0"], 1000)
    assert found.shape == (1000, 150)
    np.testing.assert_allclose(found[0], result.loss[0].reshape(150, 4).mean(1), rtol=2.0**-16)
    assert "Each point is a mean over 1/150 of the run" in page.parts["p"]


def test_halving_says_what_was_dropped_when(results, tmp_path):
    page = page_of(results("halving"), tmp_path)
    assert "What was dropped when" in page.parts["h2"]
    dropped = [n for n, status in enumerate(results("halving").status) if status == "dropped"]
    share = 100 * results("halving").steps_spent / (9 * 40)
    assert f"{share:.3g} % of 360" in page.parts["div"]
    assert len(dropped) == 8


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_has_its_pictures(name, results, tmp_path):
    result = results(name)
    names = {path.name for path in plot.save_sweep(result, tmp_path)}
    grids = ("a grid", "losses below zero", "one diverged")
    assert names == {"curves.png", *(["heatmap.png"] if name in grids else [])}
    figure = result.plot()
    figure.canvas.draw()
    legend = figure.axes[0].get_legend().get_texts()[0].get_text()
    if name == "all diverged":
        assert legend == "all lanes diverged"
    elif name == "draws":
        assert legend.startswith("highest </script>")
    else:
        assert legend.startswith("lowest final loss: ")
    import matplotlib.pyplot as plt

    plt.close(figure)


# TensorBoard ----------------------------------------------------------------------------------------------------------


def events_of(folder):
    """All summaries in the event files below a folder: TFRecord, a length, its checksum, the bytes, their checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(Path(folder).rglob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            yield from ((event.step, value) for value in event.summary.value)
            data = data[16 + length :]


def test_the_runs_for_tensorboard_read_back(results, tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    result = results("halving")
    (tmp_path / "tensorboard" / "lane-0099").mkdir(parents=True)  # of an earlier sweep
    assert tmp_path / "tensorboard" in result.save(tmp_path, report=False, tensorboard=True)
    assert sorted(path.name for path in (tmp_path / "tensorboard").iterdir()) == [f"lane-000{n}" for n in range(9)]
    for n in range(9):
        values = list(events_of(tmp_path / "tensorboard" / f"lane-000{n}"))
        training = [(step, value.simple_value) for step, value in values if value.tag == "loss/training"]
        taken = int(result.steps[n])
        assert [step for step, _ in training] == list(range(1, taken + 1))
        np.testing.assert_allclose([x for _, x in training], result.loss[n, :taken], rtol=1e-6)
        ((step, final),) = [(step, value.simple_value) for step, value in values if value.tag == "final_loss"]
        assert step == taken
        assert final == pytest.approx(float(result.final_loss[n]), rel=1e-6)
        plugins = [HParamsPluginData.FromString(value.metadata.plugin_data.content) for _, value in values if
                   value.metadata.plugin_data.plugin_name == "hparams"]  # fmt: skip
        (given,) = [data.session_start_info.hparams for data in plugins if data.HasField("session_start_info")]
        assert given["learning_rate"].number_value == pytest.approx(result.points[n]["learning_rate"])


def test_words_and_functions_are_hyperparameters_too(results, tmp_path):
    pytest.importorskip("tensorboardX")
    results("functions").tensorboard(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


# Progress -------------------------------------------------------------------------------------------------------------


def test_the_pace_is_of_what_was_done_here_and_the_best_of_all():
    from gradtx._training.progress import Pace

    pace = Pace(total=1000, done=600, best=0.5)
    pace.began -= 20.0
    pace.advance(100, 0.7)  # the first stride compiles
    pace.since -= 10.0
    pace.advance(100, math.nan)
    assert pace.rate == pytest.approx(10.0, rel=0.01)
    assert pace.words() == ["800/1,000 steps", "10/s", "best loss 0.5", "20 s left"]
    pace.advance(200, 0.25)
    steps, _, best, time = pace.words()
    assert (steps, best, time) == ("1,000/1,000 steps", "best loss 0.25", "in 20 s")


def test_a_terminal_shows_a_bar_and_keeps_its_last_line(monkeypatch):
    import io

    from rich.console import Console

    from gradtx._training import progress as _progress

    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(_progress, "PATIENCE", -1.0)
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=screen, force_terminal=True, width=110))
    with _progress.progress("4 lanes", 40, None) as advance:
        for loss in (3.0, 1.0, 2.0, math.inf):
            advance(10, loss)
    last = screen.getvalue().rpartition("4 lanes")[2]
    assert "40/40 steps" in last
    assert "best loss 1" in last


def test_no_bar_is_shown_where_none_is_asked_for(capfd):
    trained(sweep.grid(gradtx.sgd, learning_rate=[0.1]), progress=False)
    trained(sweep.grid(gradtx.sgd, learning_rate=[0.1]))
    assert capfd.readouterr().err == ""
