"""The command line: what it prints and writes, and what it says of wrong words."""

import csv
import functools
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import gradtx
from gradtx.__main__ import main

from . import conftest

pytestmark = pytest.mark.slow


def run(*args, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "gradtx", *args], capture_output=True, text=True, cwd=cwd, timeout=300, check=False
    )


def test_list_has_every_factory(inside):
    status, out, err = inside("list")
    assert status == 0, err
    words = set(out.split())
    assert {
        name
        for name in gradtx.__all__
        if hasattr(getattr(gradtx, name), "__code__") and hasattr(getattr(gradtx, name), "call")
    } <= words


def test_the_list_keeps_its_columns_in_a_narrow_terminal(inside, monkeypatch):
    from gradtx._cli import main as commands

    for name in ("sgd", "differentially_private_aggregate"):
        lines = commands.line_of(name, 60).splitlines()
        assert max(map(len, lines)) <= 60
        assert all(line[: commands.COLUMN].strip() == "" for line in lines[1:])
        assert lines[0].startswith(f"  {name}")


def test_show_prints_the_formula_and_the_links(inside):
    status, out, _ = inside("show", "adam")
    assert status == 0
    for part in ("adam(learning_rate, b1=0.9", "θ ← θ − α m̂/", "scale_by_ewma(decay=b1)", "bias_correction(decay=b1)",
                 "scale_by_rms(decay=b2, eps=eps", "u ← −α · uₜ"):  # fmt: skip
        assert part in out


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437"])
@pytest.mark.parametrize("words", [["list"], ["show", "adam"]])
def test_text_can_be_read_in_any_encoding(encoding, words, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    main(words)
    text = written.getvalue().decode(encoding)
    assert "adam" in text
    assert "?" not in text
    if words[0] == "show" and encoding == "cp1252":
        assert "theta <- theta - alpha m^/(sqrt (nu^ + epsilon_0) + epsilon)" in text


def test_every_name_can_be_shown():
    from gradtx._cli import catalogue, explain

    for names in catalogue.catalogue().values():
        for name in names:
            assert explain.explain(name).startswith(f"{name}(")


OWN = """
import jax, jax.numpy as jnp

def make(seed):
    x = jax.random.normal(jax.random.key(seed), (60, 3))
    data = {"x": x, "y": x @ jnp.array([1.0, 2.0, 3.0])}

    def loss(params, batch, l2=0.0):
        return jnp.mean((batch["x"] @ params - batch["y"]) ** 2) + l2 * jnp.sum(params**2)

    return loss, lambda key: jax.random.normal(key, (3,)), data, lambda params: {"norm": jnp.sum(params**2)}

def wants_python():
    def loss(params, batch, l2=0.0):
        if l2 > 0:
            return jnp.sum(params)
        return jnp.sum(params) * jnp.mean(batch)
    return loss, jnp.zeros(3), jnp.ones((10, 3))
"""


@pytest.fixture
def inside(tmp_path, monkeypatch, capsys):
    """The command line in this process: exit status, what it printed, what it said."""
    monkeypatch.chdir(tmp_path)

    def run_inside(*args):
        status = 0
        try:
            main([*args])
        except SystemExit as error:
            status = error.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_inside


@pytest.fixture
def undrawn(monkeypatch):
    """Without pictures, which take most of the time; one sweep here and tests/test_report.py draw them."""
    monkeypatch.setattr(gradtx.plot, "save_sweep", lambda *args, **more: [])


def table(folder):
    with open(folder / "table.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_sweep_digits_prints_a_table_and_writes_its_files(inside, tmp_path):
    status, out, err = inside("sweep", "digits", "--steps", "30", "--out", "found")
    assert status == 0, err
    assert "128 Adams, 30 steps" in out
    assert "held-out accuracy" in out
    assert "128 lanes: 3,840/3,840 steps" in err  # 128 times 30
    written = {file.name for file in (tmp_path / "found").iterdir()} - {"progress"}
    names = {"table.csv", "sweep.json", "loss.npz", "best.npz", "best", "curves.png", "heatmap.png", "report.html"}
    assert written == names
    assert len((tmp_path / "found" / "table.csv").read_text().splitlines()) == 129
    for name in written:
        assert f"found/{name}" in out
    kept = json.loads((tmp_path / "found" / "sweep.json").read_text())
    assert kept["command"] == "python -m gradtx sweep digits --steps 30 --out found"
    assert kept["problem"].startswith("digits: 1437 images to train")
    assert kept["versions"].keys() == {"gradtx", "jax", "Python"}
    made = eval(kept["best"]["transformation"], {"adam": gradtx.adam})  # it can be pasted
    assert made.learning_rate == kept["best"]["point"]["learning_rate"]


def test_optimizers_of_several_structures_with_grid_and_seeds_are_one_table(inside, tmp_path, undrawn):
    status, out, err = inside(
        "sweep", "iris", "--optimizer", "adam", "--optimizer", "chain(clip(1.0), sgd(0.1, momentum=0.9))",
        "--grid", "learning_rate=1e-3:1e-1:log:2", "--grid", "b1=0.8,0.9", "--seeds", "2", "--steps", "5",
        "--out", "all",
    )  # fmt: skip
    assert status == 0, err
    rows = table(tmp_path / "all")
    assert len(rows) == (4 + 2) * 2
    assert {(row["optimizer"], row["learning_rate"]) for row in rows} == {
        (name, rate) for name in ("adam", "chain(clip(1.0), sgd(0.1, momentum=0.9))") for rate in ("0.001", "0.1")
    }
    assert {row["b1"] for row in rows if row["optimizer"].startswith("chain")} == {""}
    assert len({row["final_loss"] for row in rows}) == 12  # seeds are of the weights too
    with open(tmp_path / "all" / "over_seeds.csv", newline="", encoding="utf-8") as file:
        means = list(csv.DictReader(file))
    assert [float(row["seeds"]) for row in means] == [2] * 6
    assert "mean over 2 seeds" in out


def test_an_own_problem_with_numbers_of_the_loss_draws_and_grid(inside, tmp_path, undrawn):
    (tmp_path / "own.py").write_text(OWN)
    status, out, err = inside(
        "sweep", "--problem", "own.py:make", "--optimizer", "adam(linear_schedule(0.1, 0, 8))",
        "--grid", "l2=0,0.1", "--grid", "learning_rate.init_value=0.1,0.2", "--random", "b1=1-1e-2:1e-1:log",
        "--draws", "3", "--steps", "8", "--metric", "norm", "--better", "higher",
    )  # fmt: skip
    assert status == 0, err
    rows = table(tmp_path / "gradtx-sweep-make")
    assert len(rows) == 12
    assert len({row["b1"] for row in rows}) == 3
    assert all(0.9 <= float(row["b1"]) <= 0.99 for row in rows)
    norms = [float(row["norm"]) for row in rows]
    assert norms == sorted(norms, reverse=True)
    assert "own.py:make: 60 rows to train on, 3 parameters" in out


def test_arrays_by_selection_and_by_population(inside, tmp_path, undrawn):
    x = np.random.default_rng(0).normal(size=(40, 3))
    np.savez(tmp_path / "data.npz", x=x, y=x.sum(1))
    for n, option in enumerate((["--halving"], ["--population", "--patience", "1"])):
        status, out, err = inside(
            "sweep", "data.npz", "--random", "learning_rate=1e-3:1e-1:log", "--draws", "9", "--steps", "9",
            "--out", str(n), *option,
        )  # fmt: skip
        assert status == 0, err
        assert len(table(tmp_path / str(n))) == 9
        assert "held-out error" in out
    assert "dropped" in (tmp_path / "0" / "table.csv").read_text()
    status, out, err = inside(
        "sweep", "data.npz", "--random", "learning_rate=1e-3:1e-1:log", "--draws", "9", "--steps", "9", "--out", "0",
        "--halving",
    )  # fmt: skip
    assert (status, "this sweep was finished" in out) == (0, True), err


def test_a_finished_sweep_is_read_back_another_one_refused_and_fresh_starts_anew(
    inside, tmp_path, monkeypatch, undrawn
):
    words = ["sweep", "iris", "--optimizer", "sgd", "--steps", "6", "--out", "here"]
    assert inside(*words, "--resume") == (2, *inside(*words, "--resume")[1:])
    assert "there is no progress in here" in inside(*words, "--resume")[2]
    assert inside(*words)[0] == 0
    first = (tmp_path / "here" / "table.csv").read_bytes()
    status, out, _ = inside(*words, "--resume")
    assert status == 0
    assert "this sweep was finished: reading it back from here/progress" in out
    assert "16 lanes read back" in out
    assert (tmp_path / "here" / "table.csv").read_bytes() == first
    status, _, err = inside(*words[:-4], "--steps", "5", "--out", "here")
    assert status == 2
    assert "holds another sweep: its lanes have up to 6 steps, and can take more, not 5" in err
    assert "--fresh does that; --out names another folder" in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "here" / "table.csv").read_bytes() == first
    assert inside(*words[:-4], "--steps", "5", "--out", "here", "--fresh")[0] == 0
    assert (tmp_path / "here" / "table.csv").read_bytes() != first
    (tmp_path / "here" / "progress" / "thesis.txt").write_text("mine")
    status, _, err = inside(*words, "--fresh")
    assert (status, "'thesis.txt', which is no progress of a sweep: nothing was deleted" in err) == (2, True)
    saved = []
    monkeypatch.setattr(gradtx.sweep.Sweep, "save", lambda self, folder, **options: saved.append(options) or [])
    assert inside("sweep", "iris", "--optimizer", "sgd(0.1)", "--steps", "2", "--tensorboard")[0] == 0
    assert saved == [{"tensorboard": True}]


def test_a_sweep_that_is_killed_goes_on_and_ends_with_the_same_table(inside, tmp_path, undrawn):
    words = ["sweep", "iris", "--optimizer", "adam", "--steps", "4000", "--save-every", "0", "--out"]
    flags = [f"--{name}={str(x).lower()}" for name, x in conftest.now.items()]  # it compiles as this process does
    process = subprocess.Popen(
        [sys.executable, "-m", "gradtx", *words, "killed"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "XLA_FLAGS": " ".join([os.environ["XLA_FLAGS"], *flags])},
    )
    place, until = tmp_path / "killed" / "progress", time.monotonic() + 120
    while not any(file.stem.isdigit() and int(file.stem) >= 2 for file in place.glob("*.json")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed" / "table.csv").exists()
    status, out, err = inside(*words[:-3], "--out", "killed", "--resume")
    assert status == 0, err
    step = int(out.partition("going on from step ")[2].split()[0].replace(",", ""))
    assert 0 < step < 4000
    assert inside(*words[:-3], "--out", "whole")[0] == 0
    assert (tmp_path / "killed" / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()


def test_a_folder_is_sorted_again_made_finer_and_longer(inside, tmp_path, undrawn):
    def go(*more):
        status, out, err = inside("sweep", "iris", "--optimizer", "sgd", "--out", "here", *more)
        assert status == 0, err
        return out

    go("--grid", "learning_rate=0.01,0.1", "--steps", "6")
    out = go("--grid", "learning_rate=0.01,0.1", "--steps", "6", "--metric", "final_loss", "--better", "higher")
    assert "reading it back" in out
    assert "2 lanes read back" in out
    losses = [float(row["final_loss"]) for row in table(tmp_path / "here")]
    assert losses == sorted(losses, reverse=True)
    out = go("--grid", "learning_rate=0.01,0.03,0.1", "--steps", "9")
    assert "2 lanes of 3 found in here/progress, 1 lane new" in out
    assert "27 steps computed" in out
    assert "3 lanes of 3 found in here/progress, none is new" in go(
        "--grid", "learning_rate=0.01,0.03,0.1", "--steps", "12"
    )


def test_ctrl_c_saves_and_says_what_goes_on(inside, tmp_path, monkeypatch, undrawn):
    from gradtx.sweep import _run

    stride = _run.Course._stride
    monkeypatch.setattr(
        _run.Course, "_stride", lambda self, *args: (os.kill(os.getpid(), signal.SIGINT), stride(self, *args))[1]
    )
    words = ["sweep", "iris", "--optimizer", "sgd(0.1)", "--steps", "60", "--out", "here"]
    status, _, err = inside(*words)
    assert status == 130
    assert "stopping: the progress is saved first" in err
    assert err.splitlines()[-1].endswith("here: the same command goes on from there")
    monkeypatch.setattr(_run.Course, "_stride", stride)
    status, out, err = inside(*words)
    assert status == 0, err
    assert re.search(r"going on from step [1-9]\d* of 60, found in here/progress", out)


def test_trials_are_counted_over_runs(inside, tmp_path):
    words = ["sweep", "iris", "--random", "learning_rate=1e-3:1:log", "--random", "b1=1-1e-2:1e-1:log", "--steps", "3"]
    more = ["--lanes-at-once", "4", "--study", "own.db", "--out", "found", "--seeds", "2"]
    assert inside(*words, *more, "--trials", "4")[0] == 0
    status, out, err = inside(*words, *more, "--trials", "7")
    assert status == 0, err
    with open(tmp_path / "found" / "trials.csv", newline="", encoding="utf-8") as file:
        assert sorted(int(row["trial"]) for row in csv.DictReader(file)) == list(range(7))
    assert "7 trials; the best held-out accuracy is" in out
    assert len(table(tmp_path / "found")) == 14  # with two seeds each
    names = {file.name for file in (tmp_path / "found").iterdir()}
    assert names >= {"trials.csv", "table.csv", "over_seeds.csv", "sweep.json", "curves.png", "report.html", "best.npz"}
    best = json.loads((tmp_path / "found" / "sweep.json").read_text())["best"]["point"]
    assert 1e-3 <= best["learning_rate"] <= 1
    status, _, err = inside("sweep", "iris", *words[2:4], "--steps", "4", "--trials", "9", "--study", "own.db")
    assert (status, "the study 'gradtx' has steps 3, and this search 4" in err) == (2, True)


def test_schedules_and_averages_are_drawn(inside, tmp_path):
    status, out, err = inside("schedule", "warmup_cosine_decay_schedule(0, 1, 10, 100)", "constant_schedule(0.5)")
    assert status == 0, err
    assert "begins at 0, highest 1 at step 10, ends at 0" in out
    assert (tmp_path / "gradtx-schedule" / "schedules.png").read_bytes().startswith(b"\x89PNG")
    assert inside("averages", "0.5", "0.98")[0] == 0
    assert (tmp_path / "gradtx-averages" / "averages.png").read_bytes().startswith(b"\x89PNG")


def test_the_help_teaches(inside):
    status, out, _ = inside("sweep", "--help")
    assert status == 0
    for part in ("--grid learning_rate=1e-4:1e-1:log:16    low:high:log|lin:count", "file.py:function", "Examples:"):
        assert part in out


def test_no_word_is_a_traceback():
    answer = run("sweep", "digits", "--grid", "learning_rat=0.1")
    assert answer.returncode == 2
    assert answer.stderr == "gradtx: --grid learning_rat: adam has no 'learning_rat' (did you mean 'learning_rate'?)\n"


def test_more_lanes_than_have_room_are_refused_before_they_are_made(inside):
    for words in (
        ["--grid", "learning_rate=1e-4:1:log:1000000000"],
        ["--random", "learning_rate=1e-4:1:log", "--draws", "100000000"],
        ["--grid", "learning_rate=1e-4:1:log:100000", "--grid", "b1=0:0.9:lin:100000"],
        ["--seeds", "100000000"],
    ):
        began = time.monotonic()
        status, _, err = inside("sweep", "iris", *words)
        assert time.monotonic() - began < 20
        assert status == 2
        assert re.search(r"[\d,]+ lanes do not fit into memory: .* free, .* so up to [\d,]+ would", err)
    with pytest.raises(gradtx.TransformationError, match="sample: 1,000,000,000 lanes do not fit into memory"):
        gradtx.sweep.sample(gradtx.sgd, 10**9, seed=0, learning_rate=0.1)


SWEEP = ["sweep", "iris"]
THERE = ["sweep", "there.py:make", "--optimizer", "adam(0.1)", "--metric", "final_loss"]
RATES = "learning_rate=1e-4:1e-1:log"


def test_prove_prints_published_numbers_beside_ours_and_writes_them(inside, tmp_path):
    status, out, err = inside(
        "prove", "--source", "hyperband", "--source", "gsl", "--markdown", "p.md", "--json", "p.json"
    )
    assert status == 0, err
    assert "bracket s = 4, configurations  81 (of 5)    81           0  agrees" in out
    assert "8 rows from 2 sources: 8 agree to the published digits, 0 differ" in out
    assert (tmp_path / "p.md").read_text(encoding="utf-8").startswith("# Published numbers\n\n## Li, Jamieson")
    assert len(json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))) == 8


def test_race_draws_a_figure_and_a_film(inside, tmp_path, monkeypatch):
    film = functools.partial(gradtx.plot.animate_race, frames=20)
    monkeypatch.setattr(gradtx.plot, "animate_race", film)
    status, out, err = inside(
        "race", "sgd(0.01, momentum=0.9)", "chain(clip(1.0), adam(0.1))", "--surface", "ravine", "--steps", "60"
    )
    assert status == 0, err
    assert "chain(clip(1.0), adam(0.1))" in out
    assert (tmp_path / "gradtx-race" / "ravine.png").read_bytes().startswith(b"\x89PNG")
    film = (tmp_path / "gradtx-race" / "ravine.gif").read_bytes()
    assert film.startswith(b"GIF89a")
    assert film.count(b"\x21\xf9\x04") > 10  # frames, the equal ones at its end as one


def test_a_race_says_who_diverged_and_who_left_the_picture(inside, monkeypatch):
    monkeypatch.setattr(gradtx.plot, "animate_race", lambda *args, **more: None)
    status, out, err = inside("race", "sgd(10.0)", "adam(0.1)", "--surface", "beale", "--steps", "20")
    assert (status, err) == (0, "")
    assert re.search(r"sgd\(10.0\) .* diverged at step [1-9]", out)
    assert "left the picture at step" in inside("race", "sgd(0.3)", "--surface", "saddle", "--steps", "40")[1]
    status, _, err = inside("race", "sgd(10.0)", "--surface", "beale", "--steps", "20")
    assert (status, err) == (2, "gradtx: all of them diverged: try lower learning rates\n")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["sweep", "digitz"], "no problem 'digitz'; did you mean 'digits'?"),
        (["show", "adm"], "no transformation or schedule 'adm'; did you mean 'adam'?"),
        (["show", "zzzzzz"], "no transformation or schedule 'zzzzzz'; there are: "),
        (["sweep", "digits", "--steps", "0"], "--steps: expected a whole number, 1 or more, found 0"),
        (["sweep", "digits", "--steps", "many"], "--steps: expected a whole number, 1 or more, found 'many'"),
        (["sweep", "digits", "--batch-size", "9999"], "--batch-size 9999: digits has 1437 rows to train on"),
        (["sweep", "digits", "--out", __file__], "is a file"),
        (["sweep", "digits", "--stesp", "3"], "--stesp"),
        (["race", "adm(0.1)"], "no transformation or schedule 'adm' (did you mean 'adam'?)"),
        (["race", "adam(0.1"], "'adam(0.1' is no call"),
        (["race", "adam(__import__('os'))"], "no transformation or schedule '__import__'"),
        (["race", "adam(-1)"], "adam: learning_rate: expected a number in [0, inf), found -1.0"),
        (["race", "--surface", "beal"], "no surface 'beal'; did you mean 'beale'?"),
        (["swep"], "swep"),
        (["sweep"], "which problem? one of digits, iris"),
        ([*SWEEP, "--problem", "wine"], "two problems, iris and wine: one of them"),
        (["sweep", "data.npz"], "no file 'data.npz'"),
        (["sweep", "own.py:make"], "no file 'own.py'"),
        (["sweep", "there.py:mak"], "has no function 'mak' (did you mean 'make'?)"),
        (
            ["sweep", "there.py:wants_python", "--optimizer", "adam(1.0)", "--grid", "l2=0,1"],
            "there.py, line 15: Tracer",
        ),
        ([*SWEEP, "--optimizer", "adm"], "no optimizer 'adm' (did you mean 'adam'?)"),
        ([*SWEEP, "--optimizer", "adm(0.1)"], "no transformation or schedule 'adm' (did you mean 'adam'?)"),
        ([*SWEEP, "--optimizer", "constant_schedule(0.1)"], "expected a transformation, found Schedule"),
        ([*SWEEP, "--optimizer", "adam(0.1", "--grid", "b1=0.9"], "'adam(0.1' is no call"),
        ([*SWEEP, "--optimizer", "adam", "--optimizer", "adam"], "--optimizer adam: given twice"),
        ([*SWEEP, "--grid", "b1=0.9"], "adam needs a learning_rate: add --grid learning_rate="),
        ([*SWEEP, "--grid", RATES], "--grid learning_rate=1e-4:1e-1:log: how many values? such as"),
        ([*SWEEP, "--grid", "learning_rate"], "--grid learning_rate: expected NAME=LOW:HIGH:lin|log:COUNT"),
        ([*SWEEP, "--grid", "learning_rate=0:1:log:3"], "a log range begins above 0, found 0"),
        ([*SWEEP, "--grid", "learning_rate=1:0.1:log:3"], "expected LOW ≤ HIGH, found 1 and 0.1"),
        ([*SWEEP, "--grid", "learning_rate=0.1:1:lgo:3"], "'lgo' is not lin or log"),
        ([*SWEEP, "--grid", "learning_rate=0.1:one:log:3"], "'one' is no number"),
        ([*SWEEP, "--grid", "learning_rate=0.1:1:log:some"], "with a whole COUNT, 1 or more"),
        ([*SWEEP, "--grid", "learning_rate=0.1:1"], "say lin or log"),
        ([*SWEEP, "--grid", "learning_rate=0.1,x"], "'x' is no number, True, False or None"),
        ([*SWEEP, "--grid", "learning_rate=-1,1"], "learning_rate: expected a number in [0, inf), found -1"),
        ([*SWEEP, "--grid", "learning_rate=1", "--grid", "learning_rate=2"], "--grid learning_rate: given twice"),
        (
            [*SWEEP, "--grid", "learning_rate=1", "--random", RATES],
            "learning_rate: both --grid and --random: one of them",
        ),
        ([*SWEEP, "--grid", "b1=0", "--random", "adam.b1=0,1"], "--random adam.b1: the same as b1"),
        (
            [*THERE, "--grid", "l2=0", "--grid", "loss.l2=1"],
            "--grid loss.l2: the same as l2",
        ),
        ([*SWEEP, "--random", f"{RATES}:16"], "it is drawn, so it has no count"),
        ([*SWEEP, "--random", "learning_rate=1:2.5:int"], "expected whole numbers, found 1 and 2.5"),
        ([*SWEEP, "--draws", "3"], "--draws goes with --random"),
        (
            [*THERE, "--grid", "l3=1"],
            "nor the loss, which takes l2 (did you mean",
        ),
        ([*SWEEP, "--halving", "--population", "10"], "--halving and --population: one of them"),
        ([*SWEEP, "--halving", "1"], "halving: eta: expected a number above 1, found 1.0"),
        ([*SWEEP, "--hyperband", "0.5"], "hyperband: eta: expected a number above 1, found 0.5"),
        (["sweep", "--halving", "digits"], "--halving: expected a number, found 'digits'; name the problem before it"),
        ([*SWEEP, "--steps", "1.5"], "--steps: expected a whole number, 1 or more, found '1.5'"),
        ([*SWEEP, "--save-every", "-1"], "--save-every: expected 0 or more, found -1"),
        (["race", "adam(0.1)", "--out", "/proc/x"], "--out: folder: /proc/x cannot be made"),
        (["schedule", "constant_schedule(0.5)", "--out", "/proc/x"], "--out: folder: /proc/x cannot be made"),
        ([*SWEEP, "--resume", "--fresh"], "--resume and --fresh: one of them"),
        ([*SWEEP, "--devices", "9"], "devices: expected 1 to 8, all there are, found 9"),
        ([*SWEEP, "--devices", "few"], "--devices few: expected a number, 1 or more, or all"),
        ([*SWEEP, "--metric", "held_out_acuracy"], "there is no such column (did you mean 'held_out_accuracy'?)"),
        (["sweep", "there.py:make", "--metric", "norm"], "--metric norm: also say --better lower or --better higher"),
        ([*SWEEP, "--trials", "3"], "--trials needs a space"),
        (
            [*SWEEP, "--trials", "3", "--random", RATES, "--fresh"],
            "--trials does not go with --fresh: a study goes on by itself",
        ),
        ([*SWEEP, "--trials", "3", "--random", RATES, "--population"], "--trials does not go with --population"),
        ([*SWEEP, "--trials", "3", "--random", RATES, "--study", "/no/such/a.db"], "there is no folder /no/such"),
        ([*SWEEP, "--study", "a.db"], "--study goes with --trials"),
        (["schedule", "adam(0.1)"], "expected a schedule, found GradientTransformation"),
        (["averages", "1.5"], "a decay lies in [0, 1), found 1.5"),
        (["prove", "--source", "gsi"], "no source 'gsi'; did you mean 'gsl'?"),
        (["prove", "--source", "gsl", "--markdown", "none/page.md"], "--markdown: there is no folder none"),
    ],
)
def test_wrong_words_get_one_line_and_status_2(inside, tmp_path, args, says):
    (tmp_path / "there.py").write_text(OWN)
    status, _, err = inside(*args)
    assert status == 2
    assert says in err
    lines = [line for line in err.splitlines() if line.startswith("gradtx: ")]
    assert len(lines) == 1
    assert err.endswith(f"{lines[0]}\n")
    assert "Traceback" not in err
