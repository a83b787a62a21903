"""Nothing lost: a killed sweep goes on where it was, to the same bits; what is damaged is said and left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx.sweep import _run
from gradtx.sweep._disk import storage as _storage

from .test_fit import line, squares
from .test_lanes import assert_same_bits

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:orbax.*"), pytest.mark.slow]


def start(key):
    return {"w": jax.random.normal(key, (3,))}


def lanes():
    both = {"learning_rate": np.geomspace(1e-3, 3.0, 5).tolist(), "seeds": [0, 1]}
    return sweep.grid(gradtx.adam, b1=[0.0, 0.9], **both) + sweep.grid(gradtx.sgd, **both)


def run(folder=None, **options):
    given = {"steps": 60, "batch_size": 7, "record_every": 2, "save_every": 0.0} | options
    return sweep.run(squares, start, lanes(), line(), folder=folder, **given)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lanes_at_once": 4},
        {"select": sweep.halving(2)},
        {"select": sweep.population_based(15), "lanes_at_once": 8},
        {"select": sweep.population_based(15)},
        {"patience": 3, "stop_diverged": True},
    ],
    ids=["plain", "chunks", "halving", "population in chunks", "population", "stops"],
)
def test_a_sweep_that_is_broken_off_anywhere_goes_on_to_the_same_bits(options, tmp_path, monkeypatch):
    whole = run(**options)
    save, left = _storage.Storage.save, []

    def broken(self, *args):
        save(self, *args)
        left.append(1)
        if len(left) % 7 == 3:
            raise Killed

    monkeypatch.setattr(_storage.Storage, "save", broken)
    result, times = None, 0
    while result is None:
        try:
            result = run(tmp_path, **options)
        except Killed:
            times += 1
    assert times > 3
    assert_same_bits(result, whole)
    assert result.steps_spent == whole.steps_spent
    if whole.history is not None:
        np.testing.assert_array_equal(result.history.parents, whole.history.parents)
        for name, column in whole.history.numbers.items():
            np.testing.assert_array_equal(result.history.numbers[name], column)
    monkeypatch.setattr(_run.Course, "go", lambda self: iter(() if self.round >= len(self.plan.ends) else [0 / 0]))
    assert_same_bits(run(tmp_path, **options), whole)  # a finished one is read back, without a step


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"lanes_at_once": 8}, {"devices": 3}),
        ({"devices": 1, "lanes_at_once": 4}, {"devices": 1, "lanes_at_once": 16}),
        ({}, {"devices": 2}),
    ],
    ids=["other devices", "larger chunks", "more devices"],
)
def test_a_sweep_goes_on_on_other_devices_and_in_other_chunks(before, after, tmp_path, monkeypatch):
    save = _storage.Storage.save

    def once(self, *args):
        save(self, *args)
        if self.number == 4:  # of the waves that take turns the first is under way, the others are not
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_storage.Storage, "save", once)
        with pytest.raises(Killed):
            run(tmp_path, **before)
    assert_same_bits(run(tmp_path, **after), run())


# Killed for real ------------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys, threading
import numpy as np
import gradtx
from gradtx import sweep
from gradtx.sweep._disk import storage as _storage
from gradtx.sweep._engine import course
from tests.test_progress_on_disk import run

folder, moment, number = sys.argv[1], sys.argv[2], int(sys.argv[3])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def at(target, name, *, late=None):
    plain, calls = getattr(target, name), []
    def wrapped(*args, **kwargs):
        calls.append(1)
        if len(calls) == number and late is None:
            die()
        if len(calls) == number and late is not None:
            threading.Timer(late, die).start()
        return plain(*args, **kwargs)
    setattr(target, name, wrapped)

if moment == "before the marker":
    at(_storage, "write_whole")
elif moment == "while saving":
    at(_storage, "_as_saved", late=0.004)
elif moment == "before the old one goes":
    at(_storage.shutil, "rmtree")
elif moment == "in training":
    at(course, "train", late=0.001)
result = run(folder, select=sweep.halving(2))
np.savez(sys.argv[4], loss=result.loss, final=result.final_loss, w=result.params["w"])
"""


def child(folder, moment, number, out):
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), moment, str(number), str(out)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "XLA_FLAGS": ""},
        timeout=300,
        check=False,
    )


def test_after_sigkill_at_any_moment_the_same_call_ends_with_the_same_bits(tmp_path):
    moments = [("in training", 9), ("before the marker", 3), ("while saving", 4), ("before the old one goes", 4)]
    for moment, number in moments:
        killed = child(tmp_path / "swept", moment, number, tmp_path / "out.npz")
        assert killed.returncode == -signal.SIGKILL, (moment, killed.stderr)
    ended = child(tmp_path / "swept", "never", 0, tmp_path / "out.npz")
    assert ended.returncode == 0, ended.stderr
    whole, found = run(select=sweep.halving(2)), np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(found["loss"], whole.loss)
    np.testing.assert_array_equal(found["final"], whole.final_loss)
    np.testing.assert_array_equal(found["w"], whole.params["w"])


# Another sweep, damage ------------------------------------------------------------------------------------------------


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    run(folder, steps=6)
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"steps": 4},
            r"holds another sweep: its lanes have up to 6 steps, and can take more, not 4\. Nothing was changed",
        ),
        ({"seed": 4}, r"seed is 0 there and 4 here"),
        ({"batch_size": 9}, r"batch_size is 7 there and 9 here"),
        ({"select": sweep.halving(2)}, r"select is None there and Halving\(eta=2.0, first=None\) here"),
    ],
)
def test_a_folder_from_another_sweep_is_refused_and_left_as_it_is(options, message, saved):
    before = contents(saved)
    with pytest.raises(gradtx.TransformationError, match=message):
        run(saved, **{"steps": 6, **options})
    assert contents(saved) == before


def test_other_data_another_loss_and_other_points_are_another_sweep(saved):
    before = contents(saved)

    def other(params, batch):
        return 2 * squares(params, batch)

    given = {"steps": 6, "batch_size": 7, "record_every": 2, "folder": saved}
    for loss, population, data, what in (
        (other, lanes(), line(), "the loss computes"),
        (
            squares,
            sweep.grid(gradtx.adam, learning_rate=[0.1]),
            line(),
            "none of its 30 lanes is in this sweep: such as",
        ),
        (squares, lanes(), line(seed=1), "the data are others"),
    ):
        with pytest.raises(gradtx.TransformationError, match=what):
            sweep.run(loss, start, population, data, **given)
    assert contents(saved) == before


@pytest.mark.parametrize("what", ["a byte", "the end", "gone", "marker", "settings"])
def test_a_damaged_file_is_said_and_nothing_is_overwritten(what, tmp_path):
    run(tmp_path, steps=6)
    place = tmp_path / "progress"
    marker = next(path for path in place.glob("*.json") if path.stem.isdigit())
    biggest = max((path for path in (place / marker.stem).rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
    file = {"marker": marker, "settings": place / "settings.json"}.get(what, biggest)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    if what == "gone":
        file.unlink()
    else:
        file.write_bytes(bytes(raw) if what == "a byte" else bytes(raw[: len(raw) // 2]))
    before = contents(tmp_path)
    with pytest.raises(gradtx.TransformationError, match=rf"{file.name} is damaged: .*Nothing was changed"):
        run(tmp_path, steps=6)
    assert contents(tmp_path) == before


def test_two_processes_do_not_run_one_sweep(tmp_path):
    storage = _storage.Storage(tmp_path, {})
    storage.open()
    with pytest.raises(gradtx.TransformationError, match="another process is running the sweep in"):
        _storage.Storage(tmp_path, {}).open()
    storage.close()
    again = _storage.Storage(tmp_path, {})
    again.open()
    again.close()


def test_progress_is_saved_every_so_often_and_at_the_end(tmp_path, monkeypatch):
    times, save = [], _storage.Storage.save
    monkeypatch.setattr(_storage.Storage, "save", lambda *args: times.append(time.monotonic()) or save(*args))
    run(tmp_path / "seldom", save_every=3600.0)
    assert len(times) == 1
    run(tmp_path / "often", save_every=0.0)
    assert len(times) > 20
    left = sorted(path.name for path in (tmp_path / "often" / "progress").iterdir())
    assert len(left) == 4  # the newest, that it is whole, the settings, the lock
    assert json.loads((tmp_path / "often" / "progress" / "settings.json").read_text())["steps"] == 60
