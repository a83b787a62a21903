"""Every rule equals its float64 reference to rounding: updates, parameters and state, at every step."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from tests.table import ROWS

STEPS = 20


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


REFERRED = [row for row in ROWS if row.reference]
COMPLEX = [  # the references of these hold for complex arrays too
    "scale_by_ewma", "scale_by_rms", "scale_by_rms from an initial scale, both eps, uncorrected", "scale_by_stddev",
    "scale_by_rss", "scale_by_rss by default", "scale_by_infinity_norm", "scale_by_max_rms", "scale_by_shampoo",
    "scale_by_factored_rms", "adam", "adam on a schedule", "sgd with momentum", "clip_by_global_norm, now and then",
    "scale_by_belief", "scale_by_yogi", "scale_by_adan", "scale_by_novograd", "scale_by_sm3", "scale_by_rectified_rms",
    "scale_by_trust_ratio", "clip_by_block_rms", "adaptive_grad_clip", "scale_by_distance_over_gradients",
    "normalize_by_update_norm", "ema", "apply_every", "scale_by_optimistic_gradient", "adafactor",
]  # fmt: skip
COMPLEX = [row for row in REFERRED if row.name in COMPLEX]


def drawn(seed, *, imaginary=False):
    """Parameters, and gradients whose sizes differ by coordinate and step; one coordinate never has any."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0)

    params = {"w": draw(3, 4), "b": draw(4)}
    sizes = np.exp(rng.normal(size=(STEPS, 1)))
    gradients = [{"w": draw(3, 4) * sizes[n], "b": draw(4) * sizes[n]} for n in range(STEPS)]
    for g in gradients:
        g["w"][1, 2] = 0.0
    return params, gradients


def run(tx, gradients, params, **extra):
    """All updates, the last parameters and the last state."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params, **extra)
        return (gx.apply_updates(params, updates), state), updates

    (params, state), updates = jax.lax.scan(step, (params, tx.init(params)), gradients)
    return updates, params, state


def fields(state):
    """The state of a chain of distinct links, as one mapping from field names."""
    found = {}
    for name, entry in state.items():
        nested = isinstance(entry, dict) and not set(entry) & {"w", "b"}
        found |= fields(entry) if nested else {name: entry}
    found.pop("count", None)
    return found


def check(case, made, gradients, params):
    """Against the reference: 1e-12 relative; where terms cancel, relative to the largest number of the array."""
    updates, last, state = jax.tree.map(np.asarray, made)
    expected, kept = case.reference(gradients, params)

    def equal(found, wanted):
        wanted = np.asarray(wanted)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15 * np.abs(wanted).max())

    final = dict(params)
    for n, row in enumerate(expected):
        final = {leaf: final[leaf] + row[leaf] for leaf in final}
        for leaf in row:
            equal(updates[leaf][n], row[leaf])
    for leaf in final:
        equal(last[leaf], final[leaf])
    state = fields(state)
    assert state.keys() == kept.keys()
    for field in kept:
        jax.tree.map(equal, state[field], kept[field])


def stacked(gradients):
    return jax.tree.map(lambda *rows: jnp.asarray(np.stack(rows)), *gradients)


@functools.cache
def compiled():
    return jax.jit(run)


@pytest.mark.parametrize("case", REFERRED, ids=lambda case: case.name)
def test_equals_its_reference(case):  # as an argument of jit; that its numbers may be constants is a contract
    params, gradients = drawn(2)
    made = compiled()(case.tx, stacked(gradients), jax.tree.map(jnp.asarray, params), **case.extra)
    check(case, made, gradients, params)


@pytest.mark.parametrize("case", COMPLEX, ids=lambda case: case.name)
def test_complex_gradients_equal_the_reference_with_a_real_second_moment(case):
    params, gradients = drawn(3, imaginary=True)
    with jax.numpy_dtype_promotion("standard"):
        made = jax.jit(functools.partial(run, case.tx))(stacked(gradients), jax.tree.map(jnp.asarray, params))
    check(case, made, gradients, params)


@pytest.mark.parametrize("case", [case for case in COMPLEX if "schedule" not in case.name], ids=lambda case: case.name)
def test_complex_gradients_need_no_implicit_promotion(case):
    params, gradients = drawn(4, imaginary=True)
    check(case, run_once(case.tx, gradients, params), gradients[:1], params)


def run_once(tx, gradients, params):
    params = jax.tree.map(jnp.asarray, params)
    updates, state = tx.update(jax.tree.map(jnp.asarray, gradients[0]), tx.init(params), params)
    return jax.tree.map(lambda u: u[None], updates), gx.apply_updates(params, updates), state


def test_every_transformation_of_these_files_has_a_reference():
    factories = {name: x for name in gx.__all__ if hasattr(x := getattr(gx, name), "__code__") and hasattr(x, "call")}
    printed = " ".join(repr(case.tx) for case in REFERRED)
    covered = {name for name in factories if f"{name}(" in printed}
    files = {
        factories[name].__module__ for name in covered if re.search("_links|_optimizers", factories[name].__module__)
    }
    assert {name for name, x in factories.items() if x.__module__ in files} <= covered
