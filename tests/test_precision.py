"""How many digits come out: against float64 references, in half precision, and after what broke elsewhere.

References are written here from the papers, in NumPy float64 throughout.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import adagrad, adam, adamax, adamw, amsgrad, chain, clip_by_global_norm, lion, nadam, rmsprop, scale, sgd

RECIPES = {
    "sgd": sgd(1e-3),
    "sgd with momentum": sgd(1e-3, 0.9, nesterov=True),
    "adagrad": adagrad(1e-3),
    "adagrad from nothing": adagrad(1e-3, 0.0, 0.0),
    "rmsprop": rmsprop(1e-3),
    "rmsprop of PyTorch": rmsprop(1e-3, eps_in_sqrt=False),
    "rmsprop, centred": rmsprop(1e-3, centered=True, momentum=0.9),
    "rmsprop, corrected": rmsprop(1e-3, bias_correction=True),
    "adam": adam(1e-3),
    "adam with eps_root": adam(1e-3, eps_root=1e-8),
    "adamw": adamw(1e-3),
    "nadam": nadam(1e-3),
    "nadam, warmed up": nadam(1e-3, momentum_decay=0.004),
    "amsgrad": amsgrad(1e-3),
    "adamax": adamax(1e-3),
    "lion": lion(1e-3),
    "clipped": chain(clip_by_global_norm(1.0), adam(1e-3)),
}
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def noise(steps, size=64, seed=0):
    """Independent gradients, some coordinates small, some large: nothing averages out."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(steps, size)) * np.logspace(-3, 2, size)).astype(np.float32)


def rms(x):
    return np.sqrt(np.mean(np.square(x), axis=-1))


# Float32 against float64 ----------------------------------------------------------------------------------------------


def adam_in_float64(gradients, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """Kingma & Ba 2015, Algorithm 1, line by line."""
    m = v = np.zeros(gradients.shape[1])
    updates = []
    for t, g in enumerate(gradients.astype(np.float64), start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        updates.append(-learning_rate * m_hat / (np.sqrt(v_hat) + eps))
    return np.array(updates)


def updates_of(tx, gradients):
    def step(state, gradient):
        updates, state = tx.update(gradient, state)
        return state, updates

    return jax.lax.scan(step, tx.init(gradients[0]), gradients)[1]


@pytest.mark.parametrize("numbers", [{}, {"b1": 0.95, "b2": 0.98}, {"b1": 0.8, "b2": 0.9999}, {"b1": 0.0}], ids=str)
@pytest.mark.parametrize("given", ["baked in", "argument of jit", "arrays"])
def test_adam_in_float32_is_exact_to_rounding(given, numbers):
    gradients, tx = noise(3000), adam(1e-3, **numbers)
    if given == "arrays":  # as in a sweep: every number, and what its rounding lost, is a float32 array
        tx = jax.tree.map(np.float32, tx)
    baked = jax.jit(lambda g: updates_of(tx, g))
    found = baked(gradients) if given == "baked in" else jax.jit(updates_of)(tx, gradients)
    assert found.dtype == jnp.float32
    expected = adam_in_float64(gradients, **numbers)
    off = rms(np.asarray(found, np.float64) - expected) / rms(expected)
    assert off[:50].max() < 5e-7
    # rounding errors add up as a random walk over the memory of ν: 1/(1 − b2) steps, 1,000 by default
    assert off.max() < 1e-6 * max(1.0, np.sqrt(1e-3 / (1 - numbers.get("b2", 0.999))))


def test_adam_in_float32_is_exact_to_rounding_step_by_step_without_jit():
    gradients, tx = noise(8), adam(1e-3)
    expected, state = adam_in_float64(gradients), tx.init(gradients[0])
    for n, gradient in enumerate(gradients):
        updates, state = tx.update(gradient, state)
        assert rms(np.asarray(updates, np.float64) - expected[n]) / rms(expected[n]) < 5e-7


def test_flat_links_of_adam_are_as_exact_as_the_recipe():
    gradients = noise(50)
    links = (gradtx.scale_by_ewma(0.9), gradtx.bias_correction(0.9), gradtx.scale_by_rms(0.999), scale(-1e-3))
    found = jax.jit(updates_of)(chain(*links), gradients)
    expected = adam_in_float64(gradients)
    assert (rms(np.asarray(found, np.float64) - expected) / rms(expected)).max() < 5e-7


# A lane of a sweep ----------------------------------------------------------------------------------------------------


def parameters_after(tx, gradients, params):
    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        return (params + updates, state), None

    return jax.lax.scan(step, (params, tx.init(params)), gradients)[0][0]


SWEEPS = {
    "adam": [adam(1e-3), adam(1e-2, 0.8, 0.999), adam(3e-3, 0.95, 0.9995), adam(1e-3, b1=0.0)],
    "adamw": [adamw(1e-3), adamw(1e-2, 0.8, weight_decay=0.1), adamw(3e-3, 0.95, 0.9995, 1e-6)],
    "rmsprop": [rmsprop(1e-3, 0.999), rmsprop(1e-2), rmsprop(3e-3, 0.99, 1e-6, 0.1)],
    "rmsprop with momentum": [rmsprop(1e-3, 0.999, momentum=0.9), rmsprop(1e-2, 0.99, momentum=0.5)],
    "lion": [lion(1e-3), lion(1e-2, 0.95, 0.98), lion(3e-3, 0.9, 0.999, 0.1)],
    "nadam": [nadam(1e-3), nadam(1e-2, 0.8)],
    "amsgrad": [amsgrad(1e-3), amsgrad(1e-2, 0.8)],
    "adamax": [adamax(1e-3), adamax(1e-2, 0.8)],
    "sgd": [sgd(1e-3, 0.9), sgd(1e-2, 0.99)],
}


@pytest.mark.parametrize("stack", [np.asarray, lambda x: jnp.asarray(x, jnp.float32)], ids=["numpy", "jax"])
@pytest.mark.parametrize("name", SWEEPS)
def test_lane_of_a_sweep_equals_the_single_run_with_its_numbers_baked_in(name, stack):
    rng = np.random.default_rng(3)
    gradients, params = rng.normal(size=(140, 256)).astype(np.float32), rng.normal(size=256).astype(np.float32)
    lanes = SWEEPS[name]
    population = jax.tree.map(lambda *xs: stack(np.array(xs)), *lanes)
    together = jax.jit(jax.vmap(parameters_after, (0, None, None)))(population, gradients, params)
    for lane, tx in enumerate(lanes):
        single = np.asarray(jax.jit(partial(parameters_after, tx))(gradients, params))
        assert np.abs(single - params).max() > 1e-2
        off = np.abs(np.asarray(together[lane]) - single)
        assert off.max() <= 1e-6 * np.abs(single).max()


# Half precision, and the scars of others ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RECIPES)
def test_zero_gradients_make_finite_updates_that_move_nothing(name, dtype):
    with jax.enable_x64(True):
        tx, params = RECIPES[name], {"w": jnp.zeros((2, 2), dtype), "b": jnp.zeros((), dtype)}
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(params, state, params)
            assert {str(u.dtype) for u in jax.tree.leaves(updates)} == {dtype}
            assert all((u == 0).all() for u in jax.tree.leaves(updates))
            assert all(np.isfinite(x.astype(np.float64)).all() for x in jax.tree.leaves(state))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RECIPES)
def test_structure_and_dtypes_of_state_do_not_change_and_moments_are_wide(name, dtype):
    with jax.enable_x64(True):
        params = {"w": jnp.ones((2, 2), dtype), "b": jnp.ones((), dtype)}
        moments = "float64" if dtype == "float64" else "float32"

        def step(carry, _):
            params, state = carry
            updates, state = RECIPES[name].update(params, state, params)
            return (gradtx.apply_updates(params, updates), state), None

        start = (params, RECIPES[name].init(params))
        assert {str(x.dtype) for x in jax.tree.leaves(start[1])} <= {moments, "int32"}
        (after, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=20))(start)  # refuses a change
        assert all(np.isfinite(x.astype(np.float64)).all() for x in jax.tree.leaves(after))
        assert {str(x.dtype) for x in jax.tree.leaves(after)} == {dtype}


@pytest.mark.parametrize("name", RECIPES)
def test_bfloat16_gradients_give_the_update_of_the_same_gradients_in_float32(name):
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.normal(size=32), jnp.bfloat16)
    gradients = jnp.asarray(rng.normal(size=(6, 32)), jnp.bfloat16)
    tx = RECIPES[name]
    half, wide = tx.init(params), tx.init(params.astype(jnp.float32))
    for gradient in gradients:
        a, half = tx.update(gradient, half, params)
        b, wide = tx.update(gradient.astype(jnp.float32), wide, params.astype(jnp.float32))
        assert a.dtype == jnp.bfloat16
        np.testing.assert_array_equal(a, b.astype(jnp.bfloat16))  # rounded once, at the exit


def test_tiny_float16_gradients_do_not_become_zero_half_way_in_adam():
    gradient = jnp.array([6e-8, -6e-8, 1.2e-7], jnp.float16)
    assert (np.abs(np.asarray(gradient)) > 0).all()  # the smallest that float16 has: their squares are not
    tx = adam(1e-2, eps=1e-12)
    updates, state = tx.update(gradient, tx.init(jnp.zeros(3, jnp.float16)))
    np.testing.assert_allclose(np.asarray(updates, np.float32), [-1e-2, 1e-2, -1e-2], rtol=2e-3)
    assert (state["scale_by_rms"]["nu"] > 0).all()


def test_second_moments_of_bfloat16_reach_the_truth():
    """In bfloat16 ν stalls at 0.5 where 2,000 steps of gradient 1 make it 1 − 0.999²⁰⁰⁰ = 0.865 (scar 2)."""
    tx, gradient = adam(1e-3), jnp.ones(4, jnp.bfloat16)

    def step(state, _):
        return tx.update(gradient, state)[1], None

    state = jax.jit(lambda s: jax.lax.scan(step, s, None, length=2000)[0])(tx.init(gradient))
    nu = state["scale_by_rms"]["nu"]
    assert nu.dtype == jnp.float32
    # on equal gradients float32 rounds every step the same way: half a unit in the last place, 1/(1 − b2) times
    np.testing.assert_allclose(nu, 1 - 0.999**2000, rtol=0.5 * 2**-23 / (1 - 0.999))


def test_a_state_dtype_is_smaller_only_where_it_is_asked_for():
    params = jnp.ones(3, jnp.bfloat16)
    state = adam(1e-3, mu_dtype=jnp.bfloat16).init(params)
    assert state["scale_by_ewma"]["mu"].dtype == jnp.bfloat16
    assert state["scale_by_rms"]["nu"].dtype == jnp.float32
    _, after = adam(1e-3, mu_dtype=jnp.bfloat16).update(params, state)
    assert after["scale_by_ewma"]["mu"].dtype == jnp.bfloat16
    assert after["scale_by_rms"]["nu"].dtype == jnp.float32


@pytest.mark.parametrize("as_array", [False, True], ids=["baked in", "arrays"])
def test_decays_are_not_rounded_to_the_dtype_of_the_parameters(as_array):
    """In bfloat16 0.999 is 1, and the first update NaN (scar 3)."""
    tx = jax.tree.map(jnp.float32, adamw(1e-2)) if as_array else adamw(1e-2)
    params = jnp.ones(3, jnp.bfloat16)
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    np.testing.assert_allclose(updates.astype(jnp.float32), -1e-2, rtol=4e-3)


@pytest.mark.parametrize(("dtype", "size"), [("float16", 300_000), ("bfloat16", 300_000), ("float32", 300_000)])
def test_the_global_norm_of_a_long_vector_in_half_precision_is_right(dtype, size):
    """In float16 it is inf, and what is clipped to it silently zero (scar 7)."""
    gradients = {"a": jnp.ones(size, dtype)}
    np.testing.assert_allclose(gradtx.tree.norm(gradients), np.sqrt(size), rtol=1e-5)
    clipped, _ = clip_by_global_norm(100.0).update(gradients, {})
    assert clipped["a"].dtype == jnp.dtype(dtype)
    np.testing.assert_allclose(np.asarray(clipped["a"], np.float32), 100 / np.sqrt(size), rtol=4e-3)


def test_the_global_norm_over_many_leaves_in_bfloat16_is_right():
    """Summed in bfloat16, 400 leaves of norm 10 make 181 instead of 200 (scar 7)."""
    gradients = [jnp.full(100, 1.0, jnp.bfloat16) for _ in range(400)]
    np.testing.assert_allclose(gradtx.tree.norm(gradients), 200.0, rtol=1e-6)
    clipped, _ = clip_by_global_norm(100.0).update(gradients, {})
    assert all((leaf == 0.5).all() for leaf in clipped)


def test_a_float16_gradient_far_above_the_limit_is_clipped_to_it():
    """The factor, 3e-8, is no number of float16 (nearest: 6e-8), and the clipped gradient, 1.8e-3, is."""
    clipped, _ = clip_by_global_norm(1.0).update({"a": jnp.full(300_000, 6e4, jnp.float16)}, {})
    np.testing.assert_allclose(np.asarray(clipped["a"], np.float32), 300_000**-0.5, rtol=1e-3)


def test_large_float16_gradients_do_not_overflow_in_a_chain():
    gradient = jnp.array([6e4, -6e4, 1.0], jnp.float16)
    tx = chain(clip_by_global_norm(1.0), scale(1000.0), scale(1e-3))
    updates, _ = tx.update(gradient, tx.init(gradient))
    np.testing.assert_allclose(np.asarray(updates, np.float32)[:2], [2**-0.5, -(2**-0.5)], rtol=1e-3)
    adapted, _ = adam(1e-2).update(gradient, adam(1e-2).init(gradient))
    np.testing.assert_allclose(np.asarray(adapted, np.float32), [-1e-2, 1e-2, -1e-2], rtol=1e-3)


def test_a_frozen_leaf_has_no_part_in_the_norm_of_the_others():
    """Elsewhere its gradient shrinks everyone's update (scar 7)."""
    labels = {"frozen": "off", "*": "on"}
    tx = chain(clip_by_global_norm(1.0), gradtx.partition({"on": scale(1.0), "off": gradtx.set_to_zero()}, labels))
    gradients = {"a": jnp.array([0.3]), "b": jnp.array([0.4]), "frozen": jnp.array([1e6])}
    updates, _ = tx.update(gradients, tx.init(gradients), gradients)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0], updates["frozen"][0]], [0.3, 0.4, 0.0], rtol=1e-6)


def test_a_clip_before_a_partition_takes_one_norm_over_all_groups():
    tx = chain(clip_by_global_norm(1.0), gradtx.partition({"x": scale(1.0), "y": scale(10.0)}, {"a": "x", "b": "y"}))
    gradients = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    updates, _ = tx.update(gradients, tx.init(gradients), gradients)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [0.6, 8.0], rtol=1e-6)


def test_leaves_of_mixed_dtypes_each_keep_their_own():
    with jax.enable_x64(True):
        params = {dtype: jnp.full(3, 0.5, dtype) for dtype in DTYPES}
        tx = chain(clip_by_global_norm(1e3), adamw(1e-2))
        updates, state = jax.jit(tx.update)(params, tx.init(params), params)
        assert {name: str(u.dtype) for name, u in updates.items()} == {dtype: dtype for dtype in DTYPES}
        assert str(state["adamw"]["scale_by_rms"]["nu"]["float64"].dtype) == "float64"
        # the first step has the length of the rate, and decay adds 1e-4 · 0.5 of it
        np.testing.assert_allclose(updates["float64"], -1e-2 * (1 + 5e-5), rtol=1e-7)
        np.testing.assert_allclose(updates["float16"].astype(np.float64), -1e-2, rtol=1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_complex_leaves_have_real_second_moments_and_complex_updates(name):
    params = jnp.array([3 + 4j, -1j], jnp.complex64)
    tx = RECIPES[name]
    updates, state = tx.update(params, tx.init(params), params)
    assert updates.dtype == jnp.complex64
    assert np.isfinite(np.asarray(updates)).all()
    seconds = [x for p, x in jax.tree.leaves_with_path(state) if "nu" in str(p)]
    assert {x.dtype for x in seconds} <= {jnp.dtype(jnp.float32)}
    if name == "adam":
        np.testing.assert_allclose(updates, -1e-3 * np.asarray(params) / np.abs(params), rtol=1e-6)


@pytest.mark.parametrize(
    ("tx", "size", "end"),
    [
        (gradtx.adam(1e-3), 8, 1.0),
        (gradtx.adam(1e-3, mu_dtype="bfloat16"), 6, 1.0),
        (gradtx.with_state_dtype(gradtx.adam(1e-3), state_dtype="bfloat16"), 4, 1.0),
        (gradtx.master_weights(gradtx.adam(1e-3)), 12, 0.5),
        (gradtx.kahan(gradtx.adam(1e-3)), 10, 0.5),
        (gradtx.split_weights(gradtx.adam(1e-3)), 9, 0.5),
        (gradtx.split_weights(gradtx.quantized(gradtx.adam(1e-3))), 3.128, 0.5),
    ],
    ids=["adam", "first moment in bfloat16", "both in bfloat16", "master weights", "kahan", "split", "split, in codes"],
)
def test_bytes_of_a_state_beside_bfloat16_parameters_and_where_small_steps_lead(tx, size, end):  # the README's table
    theta, gradient = jnp.ones(1000, jnp.bfloat16), jnp.ones(1000, jnp.bfloat16)
    state = tx.init(theta)
    assert sum(x.nbytes for x in jax.tree.leaves(state) if x.ndim) == 1000 * size

    def step(carry, _):
        theta, state = carry
        updates, state = tx.update(gradient, state, theta)
        return (gradtx.apply_updates(theta, updates), state), None

    (theta, state), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, length=500))((theta, state))
    np.testing.assert_allclose(np.asarray(theta, np.float32), end, atol=2.0**-9)
