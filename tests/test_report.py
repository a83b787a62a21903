"""The report of a sweep: a page that needs nothing but itself, whatever the sweep was. Its other pictures."""

import ast
import html
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
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.attributes |= given.keys()
        self.loads += [given[name] for name in ("src", "href", "srcset", "data") if name in given]
        self.inside = given.get("id", tag)
        self.parts.setdefault(self.inside, "")

    def handle_data(self, data):
        self.parts[self.inside] = self.parts.get(self.inside, "") + data


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
    table = strict(page.parts["table"])
    assert [row[table["names"].index("lane")] for row in table["rows"]] == result.order
    assert all(len(row) == len(table["names"]) for row in table["rows"])
    assert table["lost"] == [not math.isfinite(result.final_loss[n]) for n in result.order]
    assert table["lost"] == sorted(table["lost"])  # diverged lanes last
    go = pytest.importorskip("plotly.graph_objects")
    figures = strict(page.parts["figures"])
    assert len(figures) >= 1
    for figure in figures:
        go.Figure(shown(figure))  # plotly's own check of every property


def shown(x, key=""):
    """A figure with the colours that the page gives it."""
    if isinstance(x, str) and x.startswith("@") and key.endswith(("color", "colorscale")):
        return "Viridis" if key == "colorscale" else "#123456"
    if isinstance(x, dict):
        return {name: shown(part, name) for name, part in x.items()}
    return [shown(part) for part in x] if isinstance(x, list) else x


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
        assert page.tags.count("script") == 4
        assert "b" not in page.tags
        drawn = json.dumps(strict(page.parts["figures"]))
        assert "<b onclick" not in drawn
        assert html.escape(EVIL, quote=False)[:20] in drawn


def test_numbers_that_are_not_finite_are_null_and_the_lane_is_last(results, tmp_path):
    table = strict(page_of(results("one diverged"), tmp_path).parts["table"])
    assert table["lost"] == [False, False, True, True]
    assert table["rows"][-1][table["metric"]] is None


def test_many_lanes_stay_light(tmp_path):
    drawn = sweep.sample(
        gradtx.sgd, 1000, seed=0, learning_rate=sweep.log_uniform(1e-4, 1.0), momentum=sweep.uniform(0, 1)
    )
    page = page_of(trained(drawn, steps=600, record_every=1), tmp_path)
    curves, cloud, _ = strict(page.parts["figures"])
    lines = [trace for trace in curves["data"] if trace["x"] != [None] and len(trace["x"]) > 2]
    assert 290 <= len(lines) <= 300
    assert all(len(trace["x"]) <= 200 for trace in lines)
    assert sum(len(trace["x"]) for trace in cloud["data"]) <= 801
    text = " ".join(page.parts.values())
    assert re.search(r"\d+ of 1,000 lanes", text)


def test_halving_says_what_was_dropped_when(results, tmp_path):
    page = page_of(results("halving"), tmp_path)
    assert "What was dropped when" in page.parts["h2"]
    dropped = [n for n, status in enumerate(results("halving").status) if status == "dropped"]
    share = 100 * results("halving").steps_spent / (9 * 40)
    assert f"{share:.3g} % of 360" in page.parts["div"]
    assert len(dropped) == 8


def test_a_page_without_plotly_says_what_to_install(results, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ImportError, match=r"pip install 'gradtx\[report\]'"):
        results("one lane").save(tmp_path)


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
