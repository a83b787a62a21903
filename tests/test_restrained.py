"""Laws of what restrains steps, and of parameters in bfloat16 that lose nothing."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx._numeric.rounding import at_random, landed

RNG = np.random.default_rng(0)
PARAMS = {
    "w": jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32),
    "s": jnp.asarray(RNG.normal(size=(3, 4, 5)), jnp.float32),
}
STACK = {"w": gx.MuonDimensionNumbers(), "s": gx.MuonDimensionNumbers(1, 2)}


@pytest.fixture
def draws():
    return np.random.default_rng(0)


def train(tx, params, steps=50, gradient=lambda key, p: jax.random.normal(key, p.shape).astype(p.dtype)):
    def step(carry, key):
        params, state = carry
        keys = dict(zip(params, jax.random.split(key, len(params)), strict=True))
        updates, state = tx.update({k: gradient(keys[k], p) for k, p in params.items()}, state, params)
        params = gx.apply_updates(params, updates)
        return (params, state), params

    keys = jax.random.split(jax.random.key(1), steps)
    return jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), keys))()


def norms(x, axis=None):
    return np.sqrt(np.sum(np.asarray(x, np.float64) ** 2, axis=axis))


# Norms ----------------------------------------------------------------------------------------------------------------


def test_hyperball_holds_the_norm_to_a_millionth_for_a_thousand_steps():
    _, path = train(gx.hyperball(gx.adam(0.1), 0.02), PARAMS, 1000)
    for name, p in PARAMS.items():
        held = norms(path[name].reshape(1000, -1), 1) / norms(p)
        assert np.abs(held - 1).max() < 1e-6
        assert norms(path[name][-1] - p) > 0.5 * norms(p)  # it has moved


def test_hyperball_and_brake_of_a_stack_are_those_of_each_of_its_matrices():
    for make in (lambda **kw: gx.hyperball(gx.sgd(0.1), 0.05, **kw), lambda **kw: gx.radial_brake(gx.sgd(0.1), **kw)):
        tx, alone = make(weight_dimension_numbers=STACK), make()
        gradients = jax.tree.map(lambda p: p[..., ::-1], PARAMS)
        updates, _ = tx.update(gradients, tx.init(PARAMS), PARAMS)
        for n in range(3):
            one = PARAMS["s"][n]
            single, _ = alone.update(gradients["s"][n], alone.init(one), one)
            np.testing.assert_allclose(updates["s"][n], single, atol=1e-6)


def test_a_leaf_of_zeros_has_no_sphere():
    tx = gx.hyperball(gx.sgd(0.5), 0.1)
    np.testing.assert_array_equal(tx.update(jnp.ones(2), tx.init(jnp.zeros(2)), jnp.zeros(2))[0], [-0.5, -0.5])


def test_the_brake_with_1_does_nothing_and_with_0_holds_the_norm():
    free, _ = train(gx.radial_brake(gx.sgd(0.1), 1.0, 1.0), PARAMS)
    plain, _ = train(gx.sgd(0.1), PARAMS)
    held, _ = train(gx.radial_brake(gx.sgd(0.1), 0.0, 0.0), PARAMS)
    for name, p in PARAMS.items():
        np.testing.assert_allclose(free[0][name], plain[0][name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(norms(held[0][name]), norms(p), rtol=1e-5)


def test_the_floor_is_of_outputs_wherever_their_axis_is(draws):
    theta = jnp.asarray(draws.normal(size=(2, 3, 4)), jnp.float32)  # outputs in the middle
    u = jnp.asarray(draws.normal(size=(2, 3, 4)), jnp.float32) * jnp.array([1e-3, 1.0, 100.0])[None, :, None]
    tx = gx.row_floor(0.5, weight_dimension_numbers=gx.MuonDimensionNumbers((0, 2), 1))
    found, _ = tx.update(u, tx.init(theta), theta)
    ratio = norms(found, (0, 2)) / norms(theta, (0, 2))
    np.testing.assert_allclose(ratio[0], 0.5, rtol=1e-5)
    np.testing.assert_array_equal(found[:, 2], u[:, 2])


def test_relative_updates_change_each_matrix_by_the_rate():
    tx = gx.chain(gx.scale_to_params(weight_dimension_numbers=STACK), gx.scale(-0.1))
    u, _ = tx.update(jax.tree.map(jnp.cos, PARAMS), tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(norms(u["s"], (1, 2)), 0.1 * norms(PARAMS["s"], (1, 2)), rtol=1e-5)


# Decay, averages, spikes ----------------------------------------------------------------------------------------------


def test_decay_that_is_decoupled_does_not_know_the_rate():
    for rate in (0.0, 0.1, gx.linear_schedule(0.1, 0.0, 3)):
        tx = gx.chain(gx.sgd(rate), gx.decay_params(0.25))
        (params, _), _ = train(tx, {"w": jnp.full(2, 8.0)}, 3, lambda key, p: jnp.zeros_like(p))
        np.testing.assert_allclose(params["w"], 8 * 0.75**3)
    back = gx.chain(gx.sgd(0.1), gx.decay_to_start(gx.linear_schedule(0.0, 1.0, 1)))
    (params, _), path = train(back, {"w": jnp.full(2, 8.0)}, 2, lambda key, p: jnp.ones_like(p))
    np.testing.assert_allclose(path["w"][:, 0], [7.9, 7.9])  # one step off, and then all the way back but for a step


def test_cautious_decay_never_opposes_the_step(draws):
    u, theta = jnp.asarray(draws.normal(size=100)), jnp.asarray(draws.normal(size=100))
    found, _ = gx.add_cautious_decayed_weights(0.3).update(u, {}, theta)
    full, _ = gx.add_decayed_weights(0.3).update(u, {}, theta)
    agree = np.asarray(u * theta > 0)
    np.testing.assert_array_equal(found, np.where(agree, full, u))
    assert (np.abs(found) >= np.abs(u)).all()


def test_nesterov_on_an_average_is_taken_where_it_says():
    """On a quadratic: the loop of the paper, with the gradient at the point ahead."""
    curvature = jnp.array([0.5, 3.0])
    tx = gx.ema_nesterov(gx.sgd(0.1), 0.6, 0.9)
    x = theta = jnp.ones(2)
    state, e = tx.init(theta), jnp.zeros(2)
    for _ in range(20):
        at = gx.gradient_params(tx, theta, state)
        updates, state = tx.update(curvature * at, state, theta)
        theta = gx.apply_updates(theta, updates)
        y = x + 0.6 * e
        after = y - 0.1 * curvature * y
        e, x = 0.9 * e + 0.1 * (after - x), after
        np.testing.assert_allclose(theta, x, rtol=1e-5)
    (still, _), _ = train(gx.ema_nesterov(gx.adam(0.1), 0.0), PARAMS)
    (plain, _), _ = train(gx.adam(0.1), PARAMS)
    np.testing.assert_array_equal(still["w"], plain["w"])


def test_a_tail_average_has_nothing_of_the_time_before():
    tx = gx.chain(gx.sgd(1.0), gx.tail_ema_params(3, 0.5))
    (params, state), path = train(tx, {"w": jnp.zeros(1)}, 5)
    p = np.asarray(path["w"])[:, 0]
    expected = 0.5 * (0.5 * p[2] + 0.5 * p[3]) + 0.5 * p[4]
    np.testing.assert_allclose(gx.eval_params(tx, params, state)["w"], expected, rtol=1e-5)


def test_a_spike_is_left_out_and_one_that_lasts_is_taken():
    tx = gx.skip_spikes(gx.sgd(1.0), 3.0, 0.9, 10)
    sizes = [1.0 + 0.1 * (-1) ** n for n in range(20)] + [50.0, jnp.nan, 1.0] + [3.0] * 40
    state, taken = tx.init(jnp.zeros(1)), []
    for size in sizes:
        u, state = tx.update(jnp.array([size]), state)
        taken.append(float(u[0]) != 0)
    assert taken[:23] == [True] * 20 + [False, False, True]
    assert not taken[23]
    assert taken[-1]
    assert int(state["skipped"]) == taken.count(False)


def test_a_norm_that_is_not_finite_leaves_the_statistics_alone():
    tx = gx.clip_by_z_score(2.0, 0.9, 3)
    state = tx.init(jnp.zeros(1))
    for size in (1.0, 2.0, 1.5, 1.0, jnp.nan, jnp.inf):
        before, (_, state) = state, tx.update(jnp.array([size]), state)
    assert float(state["mean"]) == float(before["mean"])
    assert np.isfinite(float(state["var"]))


# Parameters in bfloat16 -----------------------------------------------------------------------------------------------

KEEPERS = {
    "kahan": gx.kahan,
    "split_weights": gx.split_weights,
    "split_weights in 32 bits": lambda inner: gx.split_weights(inner, bits=16),
    "master_weights": gx.master_weights,
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "inner", [gx.sgd(1e-3), gx.adam(1e-3), gx.quantized(gx.adam(1e-3))], ids=lambda tx: tx.call.name
)
@pytest.mark.parametrize("name", KEEPERS)
def test_parameters_of_1_arrive_where_float32_arrives(name, inner, dtype):
    (params, _), _ = train(KEEPERS[name](inner), {"w": jnp.ones(64, dtype)}, 500, lambda key, p: jnp.ones_like(p))
    np.testing.assert_allclose(np.asarray(params["w"], np.float32), 0.5, atol=2.0**-8)
    (stuck, _), _ = train(inner, {"w": jnp.ones(64, "bfloat16")}, 500, lambda key, p: jnp.ones_like(p))
    assert (stuck["w"] == 1).all()


def test_rounding_at_random_arrives_on_average():
    tx = gx.stochastic_rounding(gx.sgd(1e-3))
    (params, _), _ = train(tx, {"w": jnp.ones(4000, "bfloat16")}, 500, lambda key, p: jnp.ones_like(p))
    found = np.asarray(params["w"], np.float64)
    assert abs(found.mean() - 0.5) < 4 * found.std() / np.sqrt(4000)
    assert found.std() > 0.01


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_mean_of_where_an_update_lands_is_the_sum_exactly(dtype, draws):
    """Both neighbours and their chances, also where the sum is far from the parameter, or of the other sign."""
    theta = np.concatenate([draws.normal(size=300), [1.0, 1.0, 1e-3, -1.0, 0.0, 0.5]]).astype(dtype).astype(np.float32)
    update = np.concatenate(
        [draws.normal(size=300) * 10.0 ** draws.uniform(-6, 1, 300), [-2.003, 1e-6, 0.5, 1.001, 0.3, 0]]
    )
    p, u, kind = jnp.asarray(theta), jnp.asarray(update, jnp.float32), jnp.dtype(dtype)
    keys = jax.random.split(jax.random.key(0), 3000)
    ends = jax.jit(jax.vmap(lambda key: landed(p, at_random(p, u, kind, key), kind)))(keys)
    ends = np.asarray(ends, np.float64)
    low, high, total = ends.min(0), ends.max(0), theta.astype(np.float64) + np.asarray(u, np.float64)
    assert all(len(np.unique(column)) <= 2 for column in ends.T)
    assert ((low <= total + 1e-12) | (low == high)).all()
    deviation = np.maximum((high - low) / 2 / np.sqrt(3000), 1e-9 + 1e-7 * np.abs(total))
    rare = (high == low) & (np.abs(total - low) < 2e-2 * np.abs(total) + 1e-6)  # the other end was never drawn
    assert (np.abs(ends.mean(0) - total)[~rare] / deviation[~rare]).max() < 4.5
    np.testing.assert_array_equal(ends[:, -1], 0.5)  # no step, no noise


def test_in_32_bits_split_weights_are_master_weights_bit_for_bit(draws):
    w = draws.normal(size=(50,))
    params = {"w": jnp.asarray(w + np.sign(w), jnp.bfloat16), "f": jnp.ones(3)}
    exact = gx.sgd(2.0**-9)  # so that no compiler can round a product and a sum at once in one of the two
    (split, state), path = train(gx.split_weights(exact, bits=16), params, 100)
    (master, held), other = train(gx.master_weights(exact), params, 100)
    joined = jax.lax.bitcast_convert_type(
        jax.lax.bitcast_convert_type(split["w"].astype(jnp.float32), jnp.int32) + state["rest"]["w"].astype(jnp.int32),
        jnp.float32,
    )
    np.testing.assert_array_equal(joined, held["master"]["w"])
    np.testing.assert_array_equal(split["f"], master["f"])
    assert (state["rest"]["w"].nbytes, state["rest"]["f"].size) == (100, 0)
    assert np.mean(np.asarray(path["w"] != other["w"])) < 1e-2  # but for ties, which master_weights rounds to even


def test_in_24_bits_a_weight_has_16_digits(draws):
    params = {"w": jnp.asarray(draws.normal(size=(200,)), jnp.bfloat16)}
    (split, state), _ = train(gx.split_weights(gx.sgd(1e-3)), params, 300)
    (exact, _), _ = train(gx.sgd(1e-3), {"w": params["w"].astype(jnp.float32)}, 300)
    digits = jax.lax.bitcast_convert_type(split["w"].astype(jnp.float32), jnp.int32)
    weight = jax.lax.bitcast_convert_type(digits + state["rest"]["w"].astype(jnp.int32) * 256, jnp.float32)
    off = np.abs(np.asarray(weight) - np.asarray(exact["w"].astype(jnp.float32)))
    assert state["rest"]["w"].dtype == jnp.int8
    assert off.max() < 2e-2 * np.abs(np.asarray(exact["w"])).max()


def test_kahan_in_float32_is_more_exact_than_float32():
    steps = 20_000
    (kept, _), _ = train(gx.kahan(gx.sgd(1e-4)), {"w": jnp.full(1, 1e3)}, steps, lambda key, p: jnp.ones_like(p))
    (plain, _), _ = train(gx.sgd(1e-4), {"w": jnp.full(1, 1e3)}, steps, lambda key, p: jnp.ones_like(p))
    expected = 1e3 - steps * float(np.float32(1e-4))
    assert abs(float(kept["w"][0]) - expected) < 1e-4
    assert abs(float(plain["w"][0]) - expected) > 1e-2


LAYERS = {
    "quantized": gx.quantized,
    "guard": gx.guard_nonfinite,
    "hyperball": lambda inner: gx.hyperball(inner, 0.02),
    "nesterov": lambda inner: gx.ema_nesterov(inner, 0.3),
}


@pytest.mark.parametrize("order", list(itertools.permutations(LAYERS))[::5], ids="-".join)
def test_wrappers_nest_in_any_order(order, draws):
    tx = gx.adam(0.01)
    for name in order:
        tx = LAYERS[name](tx)
    tx = gx.dynamic_loss_scale(gx.split_weights(tx), 2.0)
    params = {"w": jnp.asarray(draws.normal(size=(8, 8)), jnp.bfloat16)}
    uphill = np.sign(draws.normal(size=(8, 8)))

    def along(p):
        w = np.asarray(p["w"], np.float64)
        return np.sum(w * uphill) / np.linalg.norm(w)

    # A linear loss: the sign of its gradient is its direction, so it falls also where the norm is held.
    (after, state), _ = train(tx, params, 40, lambda key, p: jnp.asarray(-uphill, p.dtype))
    assert along(after) > along(params) + 1
    assert all(np.isfinite(np.asarray(x, np.float32)).all() for x in jax.tree.leaves(after))
    assert float(gx.loss_scale(state)) == 2.0
