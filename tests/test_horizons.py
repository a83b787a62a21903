"""Runs of several lengths that share their trunk: the runs trained alone, bit for bit, at about half of their steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx.sweep._studies.horizons import common_steps

pytestmark = pytest.mark.slow

LENGTHS = [400, 200, 100, 50, 25]  # halved again and again
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (120, 5))
DATA = {"x": X, "y": jnp.tanh(X @ jnp.arange(5.0))}


def loss(params, batch):
    return jnp.mean((jnp.tanh(batch["x"] @ params["a"]) @ params["b"] - batch["y"]) ** 2)


START = {"a": 0.3 * jax.random.normal(KEY, (5, 16)), "b": jnp.full(16, 0.1)}


def make(length, rate=0.02):
    down = length // 8
    schedule = gradtx.warmup_stable_decay_schedule(0.0, rate, 10, length - 10 - down, down, cooldown="sqrt")
    return gradtx.adamw(schedule, weight_decay=0.01)


@pytest.fixture(scope="module")
def found():
    return sweep.horizons(
        loss, START, make, DATA, lengths=LENGTHS, batch_size=16, seed=3,
        evaluate=lambda params: {"r2": -loss(params, DATA)},
    )  # fmt: skip


def test_every_branch_is_the_run_trained_alone_bit_for_bit(found):
    for n, length in enumerate(found.lengths):
        alone = gradtx.fit(loss, START, make(length), DATA, steps=length, batch_size=16, seed=3)
        lane = found.sweep.lane(n)
        jax.tree.map(np.testing.assert_array_equal, lane.params, alone.params)
        jax.tree.map(np.testing.assert_array_equal, lane.state, alone.state)
        assert lane.final_loss == alone.final_loss
        np.testing.assert_array_equal(lane.loss[:length], alone.loss)
        assert np.isnan(lane.loss[length:]).all()


def test_a_branch_is_its_sweep_of_one_lane_bit_for_bit(found):
    alone = sweep.run(loss, START, sweep.stack([make(100)]), DATA, steps=100, batch_size=16, seed=3, over="map")
    np.testing.assert_array_equal(found.sweep.lane(2).loss[:100], alone.loss[0])
    jax.tree.map(np.testing.assert_array_equal, found.sweep.lane(2).params, alone.lane(0).params)


def test_five_lengths_cost_at_most_six_tenths_of_their_steps(found):
    assert found.lengths == [25, 50, 100, 200, 400]
    downs = [n // 8 for n in found.lengths]
    assert found.branches == [n - down + 1 for n, down in zip(found.lengths[:-1], downs, strict=False)] + [400]
    assert found.steps_spent == 400 + sum(down - 1 for down in downs[:-1]) == found.sweep.steps_spent
    assert found.steps_alone == 775
    assert found.steps_spent <= 0.6 * found.steps_alone


def test_it_is_a_sweep_with_one_lane_a_length(found):
    assert [point["length"] for point in found.sweep.points] == found.lengths
    assert found.sweep.steps.tolist() == found.lengths
    assert found.sweep.metric == "r2"
    np.testing.assert_allclose(found.sweep.metrics["r2"], -found.sweep.final_loss, rtol=1e-6)
    table = found.table()
    assert [row["length"] for row in table] == found.lengths
    assert [row["final_loss"] for row in table] == found.sweep.final_loss.tolist()
    figure = found.plot()
    assert len(figure.axes[0].lines) == 6  # five curves and the points
    figure.clf()


def test_where_runs_part_is_the_first_step_at_which_any_number_differs():
    assert common_steps(gradtx.sgd(0.1), gradtx.sgd(0.1), 50) == 50
    assert common_steps(gradtx.sgd(0.1), gradtx.sgd(0.2), 50) == 0

    def stepped(at, momentum=0.9):
        return gradtx.sgd(gradtx.piecewise_constant_schedule(0.1, {at: 0.5}), momentum=momentum)

    first = next(n for n in range(60) if float(stepped(20).learning_rate(n)) != float(stepped(40).learning_rate(n)))
    assert common_steps(stepped(20), stepped(40), 60) == first in (20, 21)
    assert common_steps(stepped(20), stepped(40), 10) == 10
    assert common_steps(stepped(20), stepped(20, 0.8), 60) == 0

    def cosine(n):
        return gradtx.adam(gradtx.warmup_cosine_decay_schedule(0.0, 0.1, 10, n))

    assert common_steps(cosine(50), cosine(100), 50) == 11  # the warm-up, and the peak


def test_runs_that_share_nothing_are_right_too():
    found = sweep.horizons(
        loss, START, lambda n: gradtx.sgd(gradtx.cosine_decay_schedule(0.1, n)), DATA, lengths=[10, 20]
    )
    assert found.branches == [1, 20]  # the first step
    assert found.steps_spent == 29
    alone = gradtx.fit(loss, START, gradtx.sgd(gradtx.cosine_decay_schedule(0.1, 10)), DATA, steps=10)
    jax.tree.map(np.testing.assert_array_equal, found.sweep.lane(0).params, alone.params)


def test_the_last_record_may_stand_for_the_loss_of_all_data():
    cut = {"record_every": 3, "final_loss": False}
    found = sweep.horizons(loss, START, make, DATA, lengths=[25, 60], batch_size=16, **cut).sweep
    np.testing.assert_array_equal(found.final_loss, [found.loss[0, 8], found.loss[1, 19]])


def test_a_record_may_be_cut_where_a_branch_begins(found):
    cut = sweep.horizons(loss, START, make, DATA, lengths=[25, 50], batch_size=16, seed=3, record_every=7)
    for n, length in enumerate([25, 50]):
        starts = range(0, length, 7)
        means = [np.mean(found.sweep.loss[n][first : min(first + 7, length)]) for first in starts]
        np.testing.assert_allclose(cut.sweep.loss[n][: len(starts)], means, rtol=1e-6)
        assert np.isnan(cut.sweep.loss[n][len(starts) :]).all()


def test_a_function_of_a_key_makes_the_initial_parameters():
    def start(key):
        return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(key, x.shape), START)

    found = sweep.horizons(loss, start, make, DATA, lengths=[30, 40], batch_size=16, seed=5)
    alone = gradtx.fit(loss, jax.jit(start)(jax.random.key(5)), make(30), DATA, steps=30, batch_size=16, seed=5)
    jax.tree.map(np.testing.assert_array_equal, found.sweep.lane(0).params, alone.params)


def test_what_cannot_be_branched_is_said():
    def momentum(n):
        return gradtx.sgd(0.1, momentum=0.9 if n > 15 else None)

    for given, words in [
        ({"lengths": [10]}, r"horizons: lengths: expected two or more, found \[10\]"),
        ({"lengths": [10, 0]}, r"horizons: lengths: expected a whole number, 1 or more, found 0"),
        ({"lengths": [10, 20], "make": momentum}, "horizons: make: expected transformations of one structure, found 2"),
    ]:
        arguments = {"make": make, **given}
        with pytest.raises(gradtx.TransformationError, match=words):
            sweep.horizons(loss, START, data=DATA, **arguments)


def test_a_model_comes_back_as_a_model():
    equinox = pytest.importorskip("equinox")
    made = gradtx.sweep.horizons(
        lambda model, x: jnp.mean(jax.vmap(model)(x) ** 2), equinox.nn.MLP(2, 1, 4, 1, key=jax.random.key(0)),
        lambda n: gradtx.sgd(gradtx.warmup_stable_decay_schedule(0.0, 0.1, 2, n - 4, 2)), jnp.ones((8, 2)),
        lengths=[6, 12], record_every=2,
    )  # fmt: skip
    best = made.sweep.best
    assert best.params(jnp.ones(2)).shape == (1,)
    assert float(best.params(jnp.ones(2))[0] ** 2) == pytest.approx(best.final_loss, rel=1e-5)
    assert np.isfinite(made.sweep.loss[0]).tolist() == 3 * [True] + 3 * [False]


def test_an_iterable_is_refused():
    with pytest.raises(gradtx.TransformationError, match=r"horizons: data: .* give arrays"):
        gradtx.sweep.horizons(
            lambda w, x: jnp.mean((w - x) ** 2), jnp.zeros(()), lambda n: gradtx.sgd(gradtx.constant_schedule(0.1)),
            iter([jnp.ones(2)] * 20), lengths=[4, 8],
        )  # fmt: skip
