"""Guards and accumulation beside Optax's, and a guard that raises."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx

PARAMS = {"w": jnp.array([[0.5, -1.0, 2.0], [1.0, 0.0, -2.0]]), "b": jnp.array([1.0, -1.0])}


def gradients(bad, steps=24):
    """Gradients, those of some steps with a number that is not finite."""
    rng = np.random.default_rng(0)
    made = [jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), PARAMS) for _ in range(steps)]
    for n, value in bad.items():
        made[n]["w"] = made[n]["w"].at[1, 0].set(value)
    return made


def trained(tx, gradients):
    params, state, seen = PARAMS, tx.init(PARAMS), []
    update = jax.jit(tx.update)
    with jax.numpy_dtype_promotion("standard"):
        for gradient in gradients:
            updates, state = update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            seen.append(params)
    return seen, state


def close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)  # what Optax itself is off: it forms 1 − 0.999 in float32


SCHEDULE = optax.cosine_decay_schedule(0.1, 10)
OURS = gx.cosine_decay_schedule(0.1, 10)
BAD = {2: jnp.nan, 3: jnp.inf, 7: -jnp.inf, 8: jnp.nan, 9: jnp.nan, 20: jnp.nan}


@pytest.mark.parametrize("most", [1, 2, 5])
def test_apply_if_finite_is_that_of_optax(most):
    ours, state = trained(gx.apply_if_finite(gx.adam(OURS), most), gradients(BAD))
    theirs, other = trained(optax.apply_if_finite(optax.adam(SCHEDULE), most), gradients(BAD))
    close(ours, theirs)
    for name in ("notfinite_count", "last_finite", "total_notfinite"):
        assert state[name] == getattr(other, name)


@pytest.mark.parametrize(
    "options",
    [{}, {"use_grad_mean": False}, {"should_skip_update_fn": optax.skip_not_finite}],
    ids=["by default", "of sums", "that skips"],
)
def test_multi_steps_is_that_of_optax(options):
    bad = BAD if "should_skip_update_fn" in options else {}
    ours, state = trained(gx.MultiSteps(gx.adam(OURS), 3, **options), gradients(bad))
    theirs, other = trained(optax.MultiSteps(optax.adam(SCHEDULE), 3, **options), gradients(bad))
    close(ours, theirs)
    assert (state["mini_step"], state["gradient_step"]) == (other.mini_step, other.gradient_step)


def test_multi_steps_of_a_growing_number_is_that_of_optax():
    def every(step):
        return jnp.where(step < 2, 2, 5)

    ours, state = trained(gx.MultiSteps(gx.adam(OURS), every), gradients({}))
    close(ours, trained(optax.MultiSteps(optax.adam(SCHEDULE), every), gradients({}))[0])
    assert int(state["gradient_step"]) == 6  # 2 + 2 + 4 · 5


def test_has_updated_tells_when_a_step_was_taken():
    tx = gx.accumulate(gx.sgd(0.1), 3)
    state, seen = tx.init(PARAMS), []
    for gradient in gradients({}, 7):
        _, state = tx.update(gradient, state, PARAMS)
        seen.append(bool(gx.has_updated(state)))
    assert seen == [False, False, True, False, False, True, False]


def test_a_skip_that_returns_something_else_is_an_error():
    tx = gx.MultiSteps(gx.sgd(0.1), 2, should_skip_update_fn=lambda updates, step, params: True)
    with pytest.raises(gx.TransformationError, match="should_skip_update_fn: expected"):
        tx.init(PARAMS)


def test_a_guard_that_raises_names_the_leaves_and_counts():
    tx = gx.guard_nonfinite(gx.adam(0.1), policy="raise")
    good, bad = gradients({1: jnp.nan}, 2)
    updates, state = tx.update(good, tx.init(PARAMS), PARAMS)
    close(updates, gx.adam(0.1).update(good, gx.adam(0.1).init(PARAMS), PARAMS)[0])
    with pytest.raises(gx.TransformationError, match="guard_nonfinite: leaf w: 1 of 6 numbers are not finite"):
        tx.update(bad, state, PARAMS)
    with pytest.raises(jax.errors.JaxRuntimeError, match="guard_nonfinite: leaf w: 1 of 6 numbers are not finite"):
        jax.block_until_ready(jax.jit(tx.update)(bad, state, PARAMS))


def test_a_guard_that_raises_does_not_in_a_lane_that_is_finite():
    tx = gx.guard_nonfinite(gx.sgd(0.1), policy="raise")
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *gradients({}, 3))
    updates, _ = jax.jit(jax.vmap(tx.update, in_axes=(0, None, None)))(stacked, tx.init(PARAMS), PARAMS)
    close(updates, jax.tree.map(lambda g: -0.1 * g, stacked))
    stacked["b"] = stacked["b"].at[1, 0].set(jnp.inf)
    with pytest.raises(jax.errors.JaxRuntimeError, match="leaf b: 1 of 2 numbers"):
        jax.block_until_ready(jax.jit(jax.vmap(tx.update, in_axes=(0, None, None)))(stacked, tx.init(PARAMS), PARAMS))
