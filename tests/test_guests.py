"""Values wherever JAX and its neighbours take a callable or a pytree: compiled, exported, in checkpoints."""

import os
import subprocess
import sys
import weakref

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from gradtx import (
    adam,
    adamw,
    apply_updates,
    centralize,
    chain,
    clip,
    constant_schedule,
    function_of_step,
    identity,
    linear_schedule,
    partition,
    set_to_zero,
    sgd,
)

P = {"w": jnp.arange(1.0, 4.0), "b": jnp.ones(2)}


def in_another_process(text):
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout.split()


# As callables ---------------------------------------------------------------------------------------------------------


def test_a_schedule_is_compiled_twice_in_a_process_that_lives():
    # it once had no weak references, and the second call ended Python
    text = "import jax, gradtx; s = gradtx.constant_schedule(0.1); print(jax.jit(s)(1), jax.jit(s)(1), jax.jit(s)(2))"
    assert in_another_process(text) == ["0.1", "0.1", "0.1"]


SCHEDULES = [
    constant_schedule(0.25),
    constant_schedule(jnp.array(0.25)),
    linear_schedule(0.5, 0.0, 2),
    function_of_step(lambda step: 0.25 * jnp.asarray(step, float)),
    constant_schedule(0.5) - 0.25,
]


@pytest.mark.parametrize("s", SCHEDULES, ids=repr)
def test_a_schedule_goes_wherever_jax_takes_a_callable(s):
    one = jnp.array(1.0)
    found = {
        "jit": jax.jit(s)(one),
        "jit again": jax.jit(s)(one),
        "jit inside": jax.jit(lambda x: jax.jit(s)(x))(one),
        "cond": jax.lax.cond(True, s, lambda x: jnp.float32(0) * x, one),
        "switch": jax.lax.switch(1, [lambda x: jnp.float32(0) * x, s], one),
        "checkpoint": jax.checkpoint(s)(one),
        "vmap": jax.vmap(s)(one[None])[0],
        "map": jax.lax.map(s, one[None])[0],
        "linearize": jax.linearize(s, one)[0],
        "a shape": jnp.full(jax.eval_shape(s, one).shape, 0.25),
    }
    assert {name: float(x) for name, x in found.items()} == dict.fromkeys(found, 0.25)
    assert jax.make_jaxpr(s)(one).out_avals[0].shape == ()


def test_a_schedule_of_traced_numbers_is_compiled_apart():
    def twice(x):
        s = constant_schedule(x)
        return jax.jit(s)(1) + jax.jit(s)(2) + jax.checkpoint(s)(1)

    assert float(jax.jit(twice)(0.5)) == 1.5
    assert float(jax.grad(twice)(0.5)) == 3.0
    np.testing.assert_array_equal(jax.vmap(lambda x: jax.jit(constant_schedule(x))(1))(P["w"]), P["w"])


@pytest.mark.parametrize("value", [*SCHEDULES, adam(1e-3), chain(clip(1.0), sgd(0.1))], ids=repr)
def test_values_have_weak_references(value):
    kept = weakref.WeakKeyDictionary({value: "kept"})
    assert kept[value] == kept[jax.tree.map(lambda x: x, value)] == "kept"
    assert weakref.ref(value)() is value


def test_methods_of_a_transformation_are_callables():
    tx = adam(0.5)
    state = jax.jit(tx.init)(P)
    assert jax.tree.structure(jax.eval_shape(tx.init, P)) == jax.tree.structure(state)
    for compiled in (jax.jit(tx.update), jax.jit(tx.update), jax.checkpoint(tx.update)):
        np.testing.assert_allclose(compiled(P, state)[0]["b"], -0.5, rtol=1e-5)


# Exported programs ----------------------------------------------------------------------------------------------------


def step(tx, params, state):
    updates, state = tx.update(params, state, params)
    return apply_updates(params, updates), state, tx


GROUPS = partition({"a": sgd(0.1, 0.9)}, {"*": "a"})
EXPORTED = {
    "adamw": adamw(1e-3, mask="w"),
    "nested": chain(clip(1.0), main=adam(linear_schedule(0.1, 0.0, 10)), rest=GROUPS),
    "without numbers": chain(centralize(), identity()),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_a_step_is_exported_and_read_back(name):
    pytest.importorskip("flatbuffers")
    tx = EXPORTED[name]
    state = tx.init(P)
    written = jax.export.export(jax.jit(step))(tx, P, state).serialize()
    params, _, back = jax.export.deserialize(written).call(tx, P, state)
    assert jax.tree.structure(back) == jax.tree.structure(tx)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), params, step(tx, P, state)[0])


def test_an_exported_step_runs_in_another_process(tmp_path):
    pytest.importorskip("flatbuffers")
    tx = EXPORTED["nested"]
    written = jax.export.export(jax.jit(step), platforms=["cpu"])(tx, P, tx.init(P)).serialize()
    (tmp_path / "step").write_bytes(written)
    text = (
        "import pathlib, jax, jax.export; from tests.test_guests import EXPORTED, P\n"
        f"step = jax.export.deserialize(bytearray(pathlib.Path({str(tmp_path / 'step')!r}).read_bytes()))\n"
        "tx = EXPORTED['nested']; print(*step.call(tx, P, tx.init(P))[0]['w'].tolist())"
    )
    wanted = step(tx, P, tx.init(P))[0]["w"]
    np.testing.assert_allclose(np.array(in_another_process(text), float), wanted, rtol=1e-6)


# Checkpoints ----------------------------------------------------------------------------------------------------------

SAVED = {
    "unnamed links without numbers": chain(centralize(), sgd(0.1)),
    "no numbers at all": chain(identity(), centralize()),
    "named links": chain(first=centralize(), second=adam(linear_schedule(0.1, 0.0, 10))),
    "groups": partition({"a": set_to_zero(), "b": sgd(0.1, 0.9)}, {"w": "a", "*": "b"}),
    "with the state of sgd": {"params": P, "state": sgd(0.1).init(P), "tx": chain(centralize(), sgd(0.1))},
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:orbax.*")
@pytest.mark.parametrize("name", SAVED)
def test_orbax_saves_and_restores(name, tmp_path):
    saved = jax.device_put(SAVED[name])
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "saved", saved)
        checkpointer.wait_until_finished()
        found = checkpointer.restore(tmp_path / "saved", jax.tree.map(jnp.zeros_like, saved))
    assert jax.tree.structure(found) == jax.tree.structure(saved)
    jax.tree.map(np.testing.assert_array_equal, found, saved)
    if not isinstance(saved, dict):
        assert found == saved


def test_filter_jit_of_equinox_compiles_again_for_a_python_float_and_not_for_an_array():
    import equinox as eqx

    traces = []

    @eqx.filter_jit
    def step(tx, grads):
        traces.append(1)
        return tx.update(grads, tx.init(grads), grads)[0]

    def compiled(*txs):
        before = len(traces)
        for tx in txs:
            step(tx, P)
        return len(traces) - before

    assert compiled(sgd(0.1), sgd(0.2)) == 2
    assert compiled(*(jax.tree.map(jnp.asarray, sgd(rate)) for rate in (0.1, 0.2))) == 1
