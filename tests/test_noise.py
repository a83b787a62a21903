"""Random links draw the same on any devices, after a resume, in any lane; and never twice the same."""

import os
import pathlib
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import NonNegative, transformation, whole_tree
from tests.extending.noise import langevin

PARAMS = {"a": jnp.zeros((8, 16)), "b": jnp.zeros((8, 16)), "c": jnp.zeros(3)}


@transformation
def shaken(size: NonNegative = 1.0, seed: NonNegative = 0):
    """A link over whole trees that asks for a key: one draw for all leaves."""

    def update(updates, state, *, key):
        return jax.tree.map(lambda u: u + size * jax.random.normal(key, dtype=u.dtype), updates), state

    return whole_tree(update, seed=seed)


@transformation
def wavering(inner: gx.Link, seed: NonNegative = 0):
    """A wrapper that asks for a key."""

    def update(step, updates, state, *, key):
        new, inner = step(updates)
        return jax.tree.map(lambda u: u * jax.random.uniform(key, dtype=u.dtype), new), {"inner": inner}

    return gx.around(inner, update, seed=seed, every_step=True)


RANDOM = {
    "add_noise": gx.add_noise(1.0, 0.55, 7),
    "a link of a user": langevin(0.1, seed=7),
    "a link over whole trees": shaken(seed=7),
    "a wrapper of a user": wavering(gx.add_noise(1.0, 0.55, 7)),
    "in a chain": gx.chain(gx.clip(1.0), gx.add_noise(1.0, 0.55), gx.adam(0.1)),
    "accumulated": gx.accumulate(gx.chain(gx.add_noise(1.0, 0.55), gx.sgd(0.1)), 2),
}


def drawn(tx, steps=3, params=PARAMS):
    """Every update for gradients of ones, and the last state."""
    state, made = tx.init(params), []
    for _ in range(steps):
        updates, state = jax.jit(tx.update)(jax.tree.map(jnp.ones_like, params), state, params)
        made.append(jax.tree.map(np.asarray, updates))
    return made, state


def assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


# The same -------------------------------------------------------------------------------------------------------------

CHILD = """
import sys, numpy as np, jax
from tests.test_noise import PARAMS, everything
assert len(jax.devices()) == 1
np.savez(sys.argv[1], **everything(PARAMS))
"""


def everything(params):
    """All draws of two steps of all random links, by name."""
    made = jax.jit(lambda params: {name: traced(tx, params, 2) for name, tx in RANDOM.items()})(params)
    return {f"{name}/{n}/{leaf}": x for name, path in made.items() for n, u in enumerate(path) for leaf, x in u.items()}


def traced(tx, params=PARAMS, steps=3):
    state, made = tx.init(params), []
    for _ in range(steps):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
        made.append(updates)
    return made


@pytest.mark.slow
def test_draws_are_equal_on_one_device_and_on_eight(tmp_path):
    one_device = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "one.npz")],
        cwd=pathlib.Path(__file__).parent.parent,
        env=one_device,
        check=True,
    )
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("devices"))
    eight = everything({k: jax.device_put(v, rows) if v.ndim == 2 else v for k, v in PARAMS.items()})
    assert len(mesh.devices) == 8
    assert len(eight["add_noise/1/a"].sharding.device_set) == 8
    one = np.load(tmp_path / "one.npz")
    assert sorted(one.files) == sorted(eight)
    for name, x in eight.items():
        np.testing.assert_allclose(np.asarray(x), one[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["add_noise", "accumulated", "a wrapper of a user"])
def test_draws_are_equal_after_a_resume_from_a_pickle(name):
    tx, ones = RANDOM[name], jax.tree.map(jnp.ones_like, PARAMS)
    state = resumed = tx.init(PARAMS)
    for _ in range(4):
        leaves, treedef = jax.tree.flatten(resumed)
        keys = [jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in leaves]
        held = [np.asarray(jax.random.key_data(x) if is_key else x) for x, is_key in zip(leaves, keys, strict=True)]
        held = pickle.loads(pickle.dumps(held))
        resumed = treedef.unflatten(
            [jax.random.wrap_key_data(x) if is_key else x for x, is_key in zip(held, keys, strict=True)]
        )
        (whole, state), (updates, resumed) = (tx.update(ones, s, PARAMS) for s in (state, resumed))
        assert_equal(whole, updates)


def test_draws_are_equal_in_a_lane_and_alone():
    seeds = jnp.array([0.0, 7.0, 3.0])
    lanes = jax.vmap(lambda seed: jnp.stack([u["a"] for u in traced(gx.add_noise(1.0, 0.55, seed))]))(seeds)
    for seed, lane in zip((0, 7, 3), lanes, strict=True):
        alone = np.stack([u["a"] for u in traced(gx.add_noise(1.0, 0.55, seed))])
        np.testing.assert_allclose(lane, alone, rtol=0, atol=1e-6)
    swept = gx.sweep.grid(lambda eta: gx.add_noise(eta, 0.0, 7), eta=[1.0, 1.0])
    made = jax.vmap(lambda tx: traced(tx, steps=1)[0]["a"])(swept.tx)
    np.testing.assert_array_equal(made[0], made[1])


def test_draws_are_equal_where_a_link_without_state_or_a_leaf_of_another_group_is_added():
    bare, _ = drawn(gx.chain(gx.add_noise(1.0, 0.55), gx.scale(1.0)))
    clipped, _ = drawn(gx.chain(gx.clip(9.0), gx.add_noise(1.0, 0.55), gx.scale(1.0)))
    assert_equal(bare, clipped)


# Never twice the same -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add_noise", "a wrapper of a user"])
def test_two_leaves_and_two_steps_differ(name):
    path, _ = drawn(RANDOM[name], 4)
    seen = [u[leaf].ravel() for u in path for leaf in ("a", "b") if u[leaf].any()]
    assert len(seen) == 8
    assert np.max(np.abs(np.corrcoef(seen) - np.eye(len(seen)))) < 0.4  # 128 numbers: 4.5 deviations


def test_two_links_and_two_seeds_and_two_places_differ():
    noise = gx.add_noise(1.0, 0.0)
    draws = {
        "link": noise,
        "seed": gx.add_noise(1.0, 0.0, 1),
        "two": gx.chain(noise, noise),
        "named": gx.chain(other=noise, last=gx.scale(1.0)),
        "inside": gx.accumulate(noise, 1),
        "group": gx.partition({"a": noise, "rest": gx.set_to_zero()}, {"a": "a", "*": "rest"}),
    }
    found = {name: drawn(tx, 1)[0][0]["a"].ravel() - 1 for name, tx in draws.items()}
    assert abs(found["two"].var() / 2 - 1) < 0.4  # independent: else it were 4 times that of one
    rows = list(found.values())
    assert np.max(np.abs(np.corrcoef(rows) - np.eye(len(rows)))) < 0.4


def test_the_key_that_init_is_given_makes_other_draws():
    tx = gx.add_noise(1.0, 0.0)
    one, two = (tx.update(PARAMS, tx.init(PARAMS, key=jax.random.key(n)))[0]["a"] for n in (1, 2))
    again = tx.update(PARAMS, tx.init(PARAMS, key=jax.random.key(1)))[0]["a"]
    np.testing.assert_array_equal(one, again)
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.4


# Its distribution -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("eta", "gamma", "steps"), [(0.3, 0.55, 4), (2.0, 0.0, 2)])
def test_mean_and_variance_over_a_hundred_thousand_draws(eta, gamma, steps):
    zeros = {"w": jnp.zeros((250, 400))}
    tx = gx.add_noise(eta, gamma)
    state = tx.init(zeros)
    for t in range(1, steps + 1):
        updates, state = tx.update(zeros, state)
        found, variance = np.asarray(updates["w"], np.float64), eta / t**gamma
        assert abs(found.mean()) < 5 * np.sqrt(variance / found.size)
        assert abs(found.var() / variance - 1) < 5 * np.sqrt(2 / found.size)
        assert abs((found**4).mean() / variance**2 - 3) < 5 * np.sqrt(96 / found.size)
        halves = found.reshape(2, -1)
        assert abs(np.corrcoef(halves)[0, 1]) < 5 / np.sqrt(halves.shape[1])


def test_complex_noise_has_its_variance_in_both_parts_together():
    zeros = {"w": jnp.zeros((250, 400), jnp.complex64)}
    tx = gx.add_noise(0.5, 0.0)
    found = np.asarray(tx.update(zeros, tx.init(zeros))[0]["w"])
    assert abs((np.abs(found) ** 2).mean() / 0.5 - 1) < 5 / np.sqrt(found.size)
    assert abs(found.real.var() / 0.25 - 1) < 5 * np.sqrt(2 / found.size)
