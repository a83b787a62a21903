"""A folder that is used again: lanes that are there are kept, what is missing is trained, and the bits are the same."""

import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx.sweep import _run
from gradtx.sweep._request import Request

from .test_fit import START, line, squares

pytestmark = pytest.mark.slow

pytest.importorskip("orbax.checkpoint")


def rates(*values, **more):
    return sweep.grid(gradtx.adam, learning_rate=list(values), b1=[0.5, 0.9], **more)


def norms(params):
    return {"norm": gradtx.tree.norm(params)}


def run(population, folder=None, steps=40, **options):
    """The sweep, and how many steps it computed."""
    told = []
    given = {"batch_size": 10, "folder": folder, "width": 4, **options}
    result = _run.train(Request(squares, START, population, line(), steps, **given), told.append)
    return result, told


def assert_same(one, other):
    for name in ("loss", "final_loss", "steps"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for a, b in zip(*(jax.tree.leaves((r.params, r.states)) for r in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.order == other.order
    assert one.status == other.status
    assert one.metrics.keys() == other.metrics.keys()
    for name, column in one.metrics.items():
        np.testing.assert_array_equal(column, other.metrics[name])


def counted(monkeypatch):
    """How many steps are trained from here on."""
    gone = []
    account = _run.Course._account

    def watched(self, *args):
        found = account(self, *args)
        gone.append(found[0])
        return found

    monkeypatch.setattr(_run.Course, "_account", watched)
    return gone


def test_a_finer_grid_trains_only_what_is_new(tmp_path, monkeypatch):
    run(rates(0.01, 0.1), tmp_path)
    gone = counted(monkeypatch)
    result, (standing,) = run(rates(0.01, 0.03, 0.1), tmp_path)
    assert sum(gone) == 2 * 40
    assert (standing.kept, standing.aside, standing.lanes, standing.steps) == (4, 0, 6, 4 * 40)
    assert_same(result, run(rates(0.01, 0.03, 0.1))[0])
    again, (standing,) = run(rates(0.01, 0.03, 0.1), tmp_path)
    assert (standing.kept, standing.measured) == (None, True)
    assert_same(again, result)


def test_a_longer_run_goes_on_from_where_it_was(tmp_path, monkeypatch):
    run(rates(0.01, 0.1), tmp_path, steps=25)
    gone = counted(monkeypatch)
    result, (standing,) = run(rates(0.01, 0.1), tmp_path, steps=60)
    assert sum(gone) == 4 * 35
    assert standing.steps == 100
    assert_same(result, run(rates(0.01, 0.1), steps=60)[0])


def test_records_of_a_longer_run_are_sums_of_those_that_were(tmp_path):
    run(rates(0.01), tmp_path, steps=25, record_every=2)
    result, _ = run(rates(0.01), tmp_path, steps=50, record_every=4)
    whole, _ = run(rates(0.01), steps=50, record_every=4)
    np.testing.assert_allclose(result.loss, whole.loss, rtol=1e-6)
    np.testing.assert_array_equal(result.params["w"], whole.params["w"])
    with pytest.raises(gradtx.TransformationError, match="record_every is 4 there and 6 here: a multiple can go on"):
        run(rates(0.01), tmp_path, steps=60, record_every=6)


def test_another_ranking_trains_nothing_and_measures_what_it_needs(tmp_path, monkeypatch):
    first, _ = run(rates(0.01, 0.1), tmp_path, stop_diverged=True)
    gone = counted(monkeypatch)
    result, _ = run(rates(0.01, 0.1), tmp_path, stop_diverged=True, evaluate=norms, metric="norm", better="higher")
    assert gone == []
    assert result.best == int(np.argmax(result.metrics["norm"]))
    np.testing.assert_array_equal(result.final_loss, first.final_loss)
    whole, _ = run(rates(0.01, 0.1), stop_diverged=True, evaluate=norms, metric="norm", better="higher")
    assert_same(result, whole)


def test_other_rows_of_the_final_loss_train_nothing_where_nothing_selects_by_it(tmp_path, monkeypatch):
    run(rates(0.01, 0.1), tmp_path / "free")
    run(rates(0.01, 0.1), tmp_path / "selected", select=sweep.halving(2))
    gone = counted(monkeypatch)
    result, _ = run(rates(0.01, 0.1), tmp_path / "free", held_out=line(seed=5))
    assert gone == []
    assert_same(result, run(rates(0.01, 0.1), held_out=line(seed=5))[0])
    with pytest.raises(gradtx.TransformationError, match="another sweep: the final loss is of other rows"):
        run(rates(0.01, 0.1), tmp_path / "selected", select=sweep.halving(2), held_out=line(seed=5))
    with pytest.raises(gradtx.TransformationError, match=r"another sweep: width is 4 there and 2 here\. Nothing"):
        run(rates(0.01, 0.1), tmp_path / "selected", select=sweep.halving(2), width=2)


def test_lanes_that_stopped_stay_as_they_were(tmp_path):
    options = {"stop_diverged": True}
    ill = sweep.grid(gradtx.sgd, learning_rate=[0.01, 1e20, 1e30, 0.02])
    run(ill, tmp_path, **options)
    longer, _ = run(ill, tmp_path, steps=50, **options)
    whole, _ = run(ill, steps=50, **options)
    assert_same(longer, whole)
    assert longer.status == ["finished", "diverged", "diverged", "finished"]


def test_lanes_that_are_not_asked_for_are_set_aside(tmp_path):
    run(rates(0.01, 0.1), tmp_path)
    result, (standing,) = run(rates(0.1, 0.3), tmp_path)
    assert (standing.kept, standing.aside) == (2, 2)
    assert_same(result, run(rates(0.1, 0.3))[0])
    assert sorted(path.name for path in (tmp_path / "progress").glob("before-*")) == ["before-1", "before-1.json"]


def test_points_with_seeds_and_numbers_of_the_loss_are_told_apart(tmp_path, monkeypatch):
    def ridge(params, batch, l2):
        return squares(params, batch) + l2 * jnp.sum(params["w"] ** 2)

    def go(seeds, l2, folder=None):
        made = sweep.grid(gradtx.sgd, learning_rate=[0.01], numbers={"l2": l2}, seeds=seeds)
        return sweep.run(ridge, START, made, line(), steps=20, batch_size=10, folder=folder, width=4)

    go([0, 1], [0.0, 0.1], tmp_path)
    gone = counted(monkeypatch)
    result = go([0, 1, 2], [0.0, 0.1, 0.2], tmp_path)
    assert sum(gone) == (9 - 4) * 20
    assert_same(result, go([0, 1, 2], [0.0, 0.1, 0.2]))


def test_where_lanes_are_compared_none_is_added(tmp_path):
    select = sweep.halving(2)
    run(rates(0.01, 0.1), tmp_path, select=select)
    with pytest.raises(
        gradtx.TransformationError,
        match=r"lanes is 4 there and 6 here; Halving\(.*\) compares lanes, so that none can be added",
    ):
        run(rates(0.01, 0.03, 0.1), tmp_path, select=select)


def test_train_steps_and_batch_sizes_are_kept_too(tmp_path, monkeypatch):
    def step(carry, batch, rate):
        value, gradient = jax.value_and_grad(squares)(carry["params"], batch)
        params = jax.tree.map(lambda p, g: p - rate * g, carry["params"], gradient)
        return {"params": params, "count": carry["count"] + 1}, value

    def go(rates, sizes, steps, folder=None):
        made = sweep.grid(None, rate=rates, batch_size=sizes)
        carry = {"params": START, "count": jnp.zeros([], jnp.int32)}
        return sweep.run(step, carry, made, line(), steps=steps, folder=folder, width=4)

    go([0.01, 0.1], [5, 10], 10, tmp_path)
    gone = counted(monkeypatch)
    result = go([0.01, 0.1, 0.2], [5, 10, 20], 16, tmp_path)
    assert sum(gone) == 4 * 6 + 5 * 16
    assert_same(result, go([0.01, 0.1, 0.2], [5, 10, 20], 16))
    assert result.params["count"].tolist() == [16] * 9


def test_what_a_model_carries_is_kept_too(tmp_path):
    def loss(params, batch, key, model_state):
        noise = 0.1 * jax.random.normal(key, batch["y"].shape)
        mean = 0.9 * model_state + 0.1 * jnp.mean(batch["y"])
        return jnp.mean((batch["x"] @ params["w"] + mean + noise - batch["y"]) ** 2), mean

    def go(values, steps, folder=None):
        made = sweep.grid(gradtx.adam, learning_rate=values)
        more = {"batch_size": 10, "model_state": jnp.zeros([]), "width": 4}
        return sweep.run(loss, {"w": START["w"]}, made, line(), steps=steps, folder=folder, **more)

    go([0.01], 10, tmp_path)
    result, whole = go([0.01, 0.1], 25, tmp_path), go([0.01, 0.1], 25)
    assert_same(result, whole)
    np.testing.assert_array_equal(result.model_state, whole.model_state)


class Source:
    def __iter__(self):
        return iter([line()] * 3)


@pytest.mark.parametrize(
    ("data", "options", "why"),
    [
        (line(), {"evaluate": norms, "metric": "final_loss", "evaluate_every": 5}, "lanes are evaluated at the same"),
        (Source(), {}, "lanes train on the same batches from the host"),
    ],
)
def test_lanes_that_belong_together_are_refused_in_words(data, options, why, tmp_path):
    def go(values, steps):
        return sweep.run(squares, START, rates(*values), data, steps=steps, folder=tmp_path, width=4, **options)

    first = go([0.1], 10)
    for values, steps, what in (([0.1, 0.2], 10, "lanes is 2 there and 4 here"), ([0.1], 20, "steps is 10 there")):
        with pytest.raises(gradtx.TransformationError, match=f"{what}.*; {why}.*, so that none can be added"):
            go(values, steps)
    assert_same(go([0.1], 10), first)


def test_a_run_that_a_callback_stopped_goes_on_and_is_measured_anew(tmp_path):
    stops = {"callback": lambda progress: progress.step >= 15}
    stopped, _ = run(rates(0.01, 0.1), tmp_path, **stops)
    assert set(stopped.status) == {"stopped"}
    result, (standing,) = run(rates(0.01, 0.1), tmp_path)
    assert standing.steps == int(stopped.steps.sum()) < standing.total
    assert_same(result, run(rates(0.01, 0.1))[0])


def test_ctrl_c_saves_and_the_same_call_goes_on_to_the_same_bits(tmp_path, capfd):
    before = signal.getsignal(signal.SIGINT)
    strides = []

    class Course(_run.Course):
        def _stride(self, *args):
            strides.append(1)
            if len(strides) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super()._stride(*args)

    original, _run.Course = _run.Course, Course
    try:
        with pytest.raises(KeyboardInterrupt, match=r"stopped, and saved in .*: the same call goes on"):
            run(rates(0.01, 0.1), tmp_path, save_every=1e9)
    finally:
        _run.Course = original
    assert signal.getsignal(signal.SIGINT) is before
    assert len(strides) == 3
    assert "the progress is saved first" in capfd.readouterr().err
    result, (standing,) = run(rates(0.01, 0.1), tmp_path)
    assert 0 < standing.steps < standing.total
    assert_same(result, run(rates(0.01, 0.1))[0])


def test_a_thread_that_is_not_the_main_one_trains_too(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(run(rates(0.1), tmp_path)[0]))
    thread.start()
    thread.join()
    assert len(found) == 1


# The final loss -------------------------------------------------------------------------------------------------------


def test_the_final_loss_of_many_rows_is_that_of_all_at_once(monkeypatch):
    from gradtx.sweep._engine import final

    monkeypatch.setattr(final, "BYTES", 1)
    x = np.random.default_rng(0).normal(size=(1003, 3)).astype(np.float32)
    data = {"x": x, "y": x @ np.array([1.0, -2.0, 0.5], np.float32)}
    result = sweep.run(squares, START, rates(0.01, 0.1), data, steps=5, batch_size=10)
    for lane, expected in enumerate(result.final_loss):
        w = np.asarray(result.params["w"][lane], np.float64)
        own = {name: np.asarray(part[lane], np.float64) for name, part in result.params.items()}
        error = x.astype(np.float64) @ w + own.get("b", 0.0) - data["y"]
        assert np.mean(error**2) == pytest.approx(expected, rel=1e-5)

    def total(params, batch):
        return jnp.sum((batch["x"] @ params["w"] - batch["y"]) ** 2)

    result = sweep.run(total, {"w": START["w"]}, rates(1e-4), data, steps=5, batch_size=10)
    w = np.asarray(result.params["w"][0], np.float64)
    assert np.sum((x @ w - data["y"]) ** 2) == pytest.approx(float(result.final_loss[0]), rel=1e-5)


def test_the_final_loss_is_over_what_is_asked_for(tmp_path):
    held = line(seed=5)
    asked, _ = run(rates(0.01, 0.1), held_out=held)
    plain, _ = run(rates(0.01, 0.1))
    for n in range(4):
        own = jax.tree.map(lambda x, n=n: x[n], plain.params)
        assert float(squares(own, held)) == pytest.approx(float(asked.final_loss[n]), rel=1e-6)
    left_out, _ = run(rates(0.01, 0.1), final_loss=False, record_every=8)
    np.testing.assert_array_equal(left_out.final_loss, left_out.loss[:, -1])
    for wrong, message in (
        ({"final_loss": "all"}, "final_loss: expected True or False, found 'all'"),
        ({"final_loss": False, "held_out": held}, "held_out: it belongs to the final loss: leave out final_loss=False"),
    ):
        with pytest.raises(gradtx.TransformationError, match=message):
            run(rates(0.1), **wrong)
