"""Modern first-order rules: what is equal to what, what converges, and numbers that are differences of parameters."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import TransformationError
from tests import references_modern as M
from tests.recorded import trajectory
from tests.table.row import of
from tests.test_references import double_precision, drawn, run, stacked

__all__ = ["double_precision"]  # of every test here


def made(tx, n=1, **extra):
    """Updates and last parameters along gradients that are drawn."""
    params, gradients = drawn(n)
    updates, last, _ = jax.jit(functools.partial(run, tx, **extra))(
        stacked(gradients), jax.tree.map(jnp.asarray, params)
    )
    return updates, last


def same(a, b, rtol=0.0):
    for x, y in zip(jax.tree.leaves(made(a)), jax.tree.leaves(made(b)), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


# Identities -----------------------------------------------------------------------------------------------------------

ADAMW = gx.adamw(0.1, weight_decay=0.1)
AVERAGE = (gx.scale_by_ewma(0.9), gx.bias_correction(0.9))
RATE = gx.scale_by_learning_rate(0.1)
RMS = gx.scale_by_rms(0.95)

BIT_BY_BIT = {
    "MARS with γ = 0 and its base": (gx.mars(ADAMW, 0.0, max_norm=jnp.inf), ADAMW),
    "MARS around Lion with γ = 0 and Lion": (gx.mars(gx.lion(0.1), 0.0, max_norm=jnp.inf), gx.lion(0.1)),
    "Grokfast with λ = 0 and its base": (gx.chain(gx.grokfast(lamb=0.0), ADAMW), ADAMW),
    "QHM with ν = 0 and gradient descent": (gx.qhm(0.1, 0.9, 0.0), gx.sgd(0.1)),
    "QHM with ν = 1 and an average": (gx.qhm(0.1, 0.9, 1.0), gx.chain(gx.scale_by_ewma(0.9), RATE)),
    "AggMo with one β and momentum": (gx.aggmo(0.1, (0.9,)), gx.sgd(0.1, 0.9)),
    "LaProp and Adam's links, division first": (
        gx.laprop(0.1, 0.9, 0.95, 1e-8),
        gx.chain(RMS, *AVERAGE, RATE),
    ),
    "Lion and the sign of its momentum": (
        gx.scale_by_lion(0.8, 0.95),
        gx.chain(gx.lion_momentum(0.8, 0.95), gx.scale_by_sign()),
    ),
    "AdamC at its peak and AdamW": (gx.adamc(0.1, 0.1, weight_decay=0.1), ADAMW),
    "a restart that never comes and its base": (gx.restart(ADAMW, 1000), ADAMW),
}


@pytest.mark.parametrize("name", BIT_BY_BIT)
def test_bit_by_bit_equal_are(name):
    same(*BIT_BY_BIT[name])


ROUNDED = {
    "AdEMAMix with α = 0 and AdamW": (gx.ademamix(0.1, alpha=0.0, weight_decay=0.1), ADAMW),
    "QHM with ν = β and Nesterov's momentum": (gx.qhm(1.0, 0.9, 0.9), gx.sgd(0.1, 0.9, nesterov=True)),
    "AdamP without weights of no length and AdamW": (gx.adamp(0.1, delta=0.0, weight_decay=0.1), ADAMW),
    "SGDP without such weights and momentum": (gx.sgdp(0.1, delta=0.0), gx.sgd(0.1, 0.9)),
    "QHAdam with ν₁ = ν₂ = 1 and Adam": (gx.qhadam(0.1, 0.9, 0.95, 1.0, 1.0), gx.adam(0.1, 0.9, 0.95)),
    "an arctangent of small numbers and Adam": (gx.adam_atan2(0.1, scale=1e8, flatness=1e8), gx.adam(0.1, eps=1e-30)),
    "AdaBound that is bound to one rate and momentum": (
        gx.adabound(0.1, final_scale=2.0, gamma=1e12),
        gx.chain(gx.scale_by_ewma(0.9), gx.scale_by_learning_rate(0.2)),
    ),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_to_rounding_equal_are(name):
    same(*ROUNDED[name], rtol=1e-11)


def test_ftrl_without_regularization_is_adagrad_where_there_are_gradients():
    found, expected = (made(tx)[0] for tx in (gx.ftrl(0.1, beta=0.0), gx.adagrad(0.1, 0.0, 0.0)))
    seen = np.ones((3, 4), bool)
    seen[1, 2] = False
    np.testing.assert_allclose(found["b"], expected["b"], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(found["w"][:, seen], expected["w"][:, seen], rtol=1e-11, atol=1e-14)
    assert np.all(made(gx.ftrl(0.1, beta=0.0))[1]["w"][~seen] == 0)


def test_ftrl_makes_exact_zeros():
    target = jnp.array([2.0, 1e-3, -1e-3, 0.0])
    found = gx.minimize(lambda x: jnp.sum((x - target) ** 2) / 2, jnp.zeros(4), gx.ftrl(1.0, l1=0.5), steps=200).params
    np.testing.assert_array_equal(found == 0, [False, True, True, True])
    np.testing.assert_allclose(found[0], 2.0, atol=0.05)  # it is the sum of all gradients that is thresholded


# Differences of parameters, which are as exact as these ---------------------------------------------------------------


def rising(step):
    """What `RISING` is."""
    return 0.5 + 0.4 * min(step / 4, 1.0)


RISING = gx.linear_schedule(0.5, 0.9, 4)
DIFFERENCES = {
    "ranger": (gx.ranger(0.1, b2=0.9, sync_period=3), of(M.ranger, rate=0.1, b2=0.9, k=3), {}),
    "schedule_free_radam": (
        gx.schedule_free_radam(0.1, b2=0.9, weight_decay=0.1),
        of(M.schedule_free_radam, rate=0.1, b2=0.9, weight_decay=0.1),
        {},
    ),
    "schedule_free_plus": (
        gx.schedule_free_adamc(0.1, RISING, weight_decay=0.1, r=1.0, polyak_decay=0.5, average_from=2),
        functools.partial(
            M.schedule_free_plus, value=1.5, rate=0.1, beta=rising, weight_decay=0.1, r=1.0, polyak=0.5, wait=2
        ),
        {"value": 1.5},
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_parameters_equal_those_of_the_reference(name):
    tx, reference, extra = DIFFERENCES[name]
    updates, last = made(tx, 2, **extra)
    params, gradients = drawn(2)
    expected, _ = reference(gradients, params)
    for leaf in params:
        rows = np.stack([row[leaf] for row in expected])
        np.testing.assert_allclose(updates[leaf], rows, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(last[leaf], params[leaf] + rows.sum(0), rtol=1e-12, atol=1e-13)


def test_a_recorded_estimate_of_distance_whose_sums_are_float32_is_near():
    oracle = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_modern.json").read_text())
    (case,) = (case for case in oracle["cases"] if case["optimizer"] == "pytorch_optimizer.DAdaptSGD")
    params, _ = trajectory(gx.dadapt_sgd(), oracle)
    for name, value in case["params"]["40"].items():
        moved = np.abs(np.asarray(value) - np.asarray(oracle["init"][name])).max()
        np.testing.assert_allclose(params[name][39], value, rtol=0, atol=1e-5 * moved)


# What they are for ----------------------------------------------------------------------------------------------------


def bowl(params):
    return jnp.sum(jnp.array([1.0, 10.0]) * (params - jnp.array([3.0, -2.0])) ** 2) / 2


RATES = (gx.dadapt(gx.adam(1.0)), gx.dadapt_lion(), gx.dadapt_sgd(), gx.dadapt_adagrad(), gx.dadapt_adan())


@pytest.mark.parametrize("tx", RATES, ids=lambda tx: tx.call.name)
def test_a_rate_is_found_from_a_millionth_of_it(tx):
    end = gx.minimize(bowl, jnp.zeros(2), gx.measured(tx, only="*estim_lr"), steps=400)
    (found,) = gx.measurements(end.state).values()
    assert found > 0.5
    assert bowl(end.params) < 0.1 * bowl(jnp.zeros(2))


def test_around_adam_it_is_a_lower_bound_of_the_distance_of_the_farthest_coordinate():
    end = gx.minimize(bowl, jnp.zeros(2), gx.measured(gx.dadapt(gx.adam(1.0)), only="*estim_lr"), steps=400)
    (found,) = gx.measurements(end.state).values()
    assert 2.5 < found < 3.0


def test_the_distance_grows_no_faster_than_it_may():
    tx = gx.dadapt_sgd(estim_lr0=0.1, growth_rate=1.25)
    params, state, sizes = jnp.zeros(2), tx.init(jnp.zeros(2)), [0.1]
    for _ in range(6):
        updates, state = tx.update(jax.grad(bowl)(params), state, params)
        params = params + updates
        sizes.append(float(state["estim_lr"]))
    growth = np.array(sizes[1:]) / np.array(sizes[:-1])
    assert np.all(growth <= 1.25 + 1e-12)
    assert growth.max() > 1.2


def test_updates_at_right_angles_keep_the_length_of_weights():
    weights, before = jnp.array([[3.0, 0.0], [0.0, 4.0]]), jnp.array([[0.0, 1.0], [1.0, 0.0]])
    tx = gx.chain(gx.trace(0.9), gx.remove_radial(eps=0.0))
    state = tx.init(weights)
    for gradient in (before, before):
        updates, state = tx.update(gradient, state, weights)
        np.testing.assert_allclose(jnp.sum(updates * weights, axis=0), 0, atol=1e-12)
    parallel, _ = gx.remove_radial().update(weights, {}, weights)
    np.testing.assert_array_equal(parallel, weights)


def test_a_spike_is_cut_and_its_leaf_alone_is_shortened():
    calm = {"a": jnp.ones(4), "b": jnp.ones(4)}
    spike = {"a": jnp.ones(4).at[0].set(1e3), "b": jnp.ones(4)}
    for tx in (gx.chain(gx.clip_spikes(0.99), gx.steady_norm()), gx.chain(gx.scale_by_stable_rms(0.99))):
        state = tx.init(calm)
        for _ in range(20):
            usual, state = tx.update(calm, state, calm)
        cut, _ = tx.update(spike, state, calm)
        assert jnp.linalg.norm(cut["a"]) < 1.5 * jnp.linalg.norm(usual["a"])
        np.testing.assert_allclose(cut["b"], usual["b"], rtol=1e-12)


def test_a_restart_forgets_moments_and_time():
    tx = gx.restart(gx.adam(gx.linear_schedule(0.1, 0.0, 4)), 3)
    fresh = gx.adam(gx.linear_schedule(0.1, 0.0, 4))
    params, gradients = jnp.zeros(2), jax.random.normal(jax.random.key(0), (8, 2))
    state, found = tx.init(params), []
    for gradient in gradients:
        updates, state = tx.update(gradient, state, params)
        found.append(updates)
    for start, end in ((0, 2), (2, 5), (5, 8)):  # the third update is the first of a new run
        state = fresh.init(params)
        for n in range(start, end):
            updates, state = fresh.update(gradients[n], state, params)
            np.testing.assert_array_equal(found[n], updates)


def test_draws_do_not_start_again():
    tx, params = gx.restart(gx.add_noise(1.0, 0.5), 2), jnp.zeros(3)
    state, found = tx.init(params), []
    for _ in range(4):
        updates, state = tx.update(params, state, params)
        found.append(updates)
    assert len(np.unique(np.stack(found))) >= 6


def test_labels_that_are_drawn_estimate_the_diagonal_of_gauss_newton():
    inputs = jax.random.normal(jax.random.key(0), (5, 3))
    params = {"w": jax.random.normal(jax.random.key(1), (3, 4)), "none": None}

    def logits(params, inputs):
        return inputs @ params["w"]

    def estimate(seed):
        tx = gx.gauss_newton_bartlett_diag_hessian(seed)
        return tx.update(params, tx.init(params), params, logits_fn=logits, inputs=inputs)[0]["w"]

    drawn = jax.vmap(estimate)(jnp.arange(4096.0))
    chances = jax.nn.softmax(logits(params, inputs))
    exact = jnp.einsum("bi,bj->ij", inputs**2, chances * (1 - chances)) / 5  # of the mean cross-entropy
    spread = drawn.std(0) / 64
    assert jnp.all(drawn >= 0)
    np.testing.assert_array_less(jnp.abs(drawn.mean(0) - exact), 4.5 * spread)


def test_labels_that_are_drawn_need_logits_and_real_parameters():
    tx = gx.sophia(0.1, hessian_diagonal_fn=gx.gauss_newton_bartlett_diag_hessian())
    x = jnp.ones(2)
    with pytest.raises(TransformationError, match="logits_fn"):
        tx.update(x, tx.init(x), x)
    with pytest.raises(TransformationError, match="classes last"):
        tx.update(x, tx.init(x), x, logits_fn=jnp.sum)
    z = jnp.ones(2, complex)
    with pytest.raises(TransformationError, match="real parameter"):
        tx.update(z, tx.init(z), z, logits_fn=jnp.abs)


def test_sophia_with_labels_that_are_drawn_fits():
    x = jax.random.normal(jax.random.key(0), (64, 4))
    y = jnp.argmax(x @ jax.random.normal(jax.random.key(1), (4, 3)), axis=1)

    def logits(w):
        return x @ w

    def loss(w):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(w)), y[:, None], axis=1))

    tx = gx.sophia(0.1, hessian_diagonal_fn=gx.gauss_newton_bartlett_diag_hessian(), weight_decay=0.0, gamma=0.1)

    def step(carry, _):
        w, state = carry
        updates, state = tx.update(jax.grad(loss)(w), state, w, logits_fn=logits)
        return (w + updates, state), loss(w)

    start = jnp.zeros((4, 3))
    losses = jax.lax.scan(step, (start, tx.init(start)), length=150)[1]
    assert losses[-1] < 0.3 * losses[0]


def test_corrected_decay_balances_as_the_rate_falls():
    rate = gx.linear_schedule(0.1, 0.0, 4)
    tx = gx.chain(gx.add_corrected_decay(1.0, rate, 0.1), gx.scale_by_learning_rate(rate))
    x, state, found = jnp.array(1.0), tx.init(jnp.array(1.0)), []
    for _ in range(4):
        updates, state = tx.update(jnp.array(0.0), state, x)
        found.append(float(updates))
    np.testing.assert_allclose(found, [-(a**2) / 0.1 for a in (0.1, 0.075, 0.05, 0.025)], rtol=1e-12)


def test_schedule_free_plus_needs_no_rate():
    def loss(x):  # its least value is 0, as Polyak's step wants
        return jnp.sum(jnp.array([1.0, 10.0]) * (x - jnp.array([3.0, -2.0])) ** 2) / 2

    def step(carry, _):
        y, state = carry
        value, gradient = jax.value_and_grad(loss)(y)
        updates, state = tx.update(gradient, state, y, value=value)
        return (y + updates, state), None

    tx, start = gx.schedule_free_adamc(), jnp.zeros(2)
    (y, state), _ = jax.lax.scan(step, (start, tx.init(start)), length=300)
    assert loss(gx.eval_params(tx, y, state)) < 1e-2 * loss(start)


def test_the_rectified_schedule_is_radam_of_adam():
    schedule = gx.rectified_schedule(0.1, 0.9)
    np.testing.assert_allclose(
        [schedule(s) for s in range(12)], [0.1 * M.rectified(s + 1, 0.9)[1] for s in range(12)], rtol=1e-12
    )
    rectified = gx.radam(0.1, b2=0.9, threshold=4.0)
    found, expected = made(gx.adam(schedule, b2=0.9))[0], made(rectified)[0]
    for leaf in found:  # from the sixth step on, where that of RAdam is no longer momentum
        np.testing.assert_allclose(found[leaf][6:], expected[leaf][6:], rtol=1e-11)


def test_complex_gradients_are_rotated_with():
    """What is said of real numbers by size and direction holds for complex ones, whatever the direction."""
    turn = jax.lax.complex(jnp.cos(0.7), jnp.sin(0.7))
    z = jax.lax.complex(*jax.random.normal(jax.random.key(0), (2, 6, 4)))
    links = (
        gx.laprop(0.1), gx.adam_atan2(0.1), gx.mars(gx.adam(0.1)), gx.grams(0.1), gx.qhadam(0.1), gx.stable_spam(0.1),
        gx.dadapt_sgd(), gx.aggmo(0.1), gx.adapnm(0.1), gx.adabound(0.1), gx.diffgrad(0.1), gx.ftrl(0.1, l1=0.1),
    )  # fmt: skip

    def last(tx, rows):
        x = jnp.zeros_like(rows[0])
        state = tx.init(x)
        for row in rows:
            updates, state = tx.update(row, state, x)
            x = x + updates
        return x

    for tx in links:
        np.testing.assert_allclose(last(tx, turn * z), turn * last(tx, z), rtol=1e-9, atol=1e-12, err_msg=repr(tx))
