"""What is traced, how often, and where it lives: counts, not seconds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import gradtx
from gradtx import adam, adamw, chain, clip, clip_by_global_norm, lion, masked, partition, scale, sgd

TRANSFORMATIONS = {
    "adam": adam(1e-3),
    "adamw": adamw(1e-3),
    "sgd with momentum": sgd(1e-3, 0.9, nesterov=True),
    "lion": lion(1e-3),
    "scheduled": adam(gradtx.cosine_decay_schedule(1e-3, 100)),
    "clipped": chain(clip_by_global_norm(1.0), adam(1e-3)),
    "masked": masked(adam(1e-3), "leaf_0"),
    "partition": partition({"a": adam(1e-3), "b": sgd(1e-3, 0.9)}, {"leaf_0": "a", "*": "b"}),
}


def tree_of(*shapes, dtype=jnp.float32):
    return {f"leaf_{n}": jnp.full(shape, n + 1.0, dtype) for n, shape in enumerate(shapes)}


def jaxpr_of(tx, params):
    return jax.make_jaxpr(lambda tx, *args: tx.update(*args))(tx, params, tx.init(params), params).jaxpr


def calls(jaxpr):
    """The calls of the inner jit of formulas: one a leaf."""
    return [eqn for eqn in jaxpr.eqns if eqn.params.get("name") == "step"]


def equations(jaxpr, seen=None):
    """How many there are to lower: those of every distinct inner function once."""
    seen = set() if seen is None else seen
    total = 0
    for eqn in jaxpr.eqns:
        total += 1
        inner = eqn.params.get("jaxpr")
        if inner is not None and id(inner) not in seen:
            seen.add(id(inner))
            total += equations(inner.jaxpr, seen)
    return total


# Size of the program --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", ["adam", "adamw", "in a chain"])
def test_equal_leaves_cost_one_call_each_and_a_constant(links):
    tx = {"adam": adam(1e-3), "adamw": adamw(1e-3), "in a chain": chain(clip(1.0), chain(scale(2.0), adam(1e-3)))}[
        links
    ]
    sizes = {n: len(jaxpr_of(tx, tree_of(*[(3,)] * n)).eqns) for n in (2, 3, 10, 40)}
    constant = sizes[2] - 2
    assert sizes == {n: n + constant for n in sizes}
    assert constant <= {"adam": 16, "adamw": 17, "in a chain": 16}[links]  # the powers of two decays are eight of them
    inside = [equations(jaxpr_of(tx, tree_of(*[(3,)] * n))) for n in (2, 40)]
    assert inside[0] <= {"adam": 43, "adamw": 46, "in a chain": 51}[links]  # one leaf's formula, whatever stands where
    assert inside[1] - inside[0] == 38
    jaxpr = jaxpr_of(tx, tree_of(*[(3,)] * 40))
    assert len(calls(jaxpr)) == 40
    assert len({id(eqn.params["jaxpr"]) for eqn in calls(jaxpr)}) == 1


def test_a_chain_of_formulas_is_one_formula():
    flat = chain(
        clip(1.0), gradtx.scale_by_ewma(0.9), gradtx.bias_correction(0.9), gradtx.scale_by_rms(0.999), scale(-1e-3)
    )
    params = tree_of(*[(3,)] * 10)
    assert len(calls(jaxpr_of(flat, params))) == 10
    assert len(calls(jaxpr_of(chain(clip(1.0), adam(1e-3), scale(0.5)), params))) == 10


def test_the_program_grows_with_distinct_shapes_and_not_with_leaves():
    shapes = [(3,), (4,), (2, 2), (5, 1), (6,)]
    tx = adam(1e-3)
    one, two, five = (equations(jaxpr_of(tx, tree_of(*shapes[:k] * 4))) for k in (1, 2, 5))
    assert five - one == 4 * (two - one)  # a shape more: its formula once, and a call for each of its leaves
    formula = two - one - 4
    assert formula > 10
    doubled = equations(jaxpr_of(tx, tree_of(*shapes * 8)))
    assert doubled - five == 4 * 5  # twice the leaves: calls, and nothing else


def test_distinct_dtypes_are_distinct_kinds_of_leaves():
    params = tree_of((3,), (3,)) | {f"half_{n}": jnp.ones(3, jnp.bfloat16) for n in range(2)}
    jaxpr = jaxpr_of(adam(1e-3), params)
    assert len(calls(jaxpr)) == 4
    assert len({id(eqn.params["jaxpr"]) for eqn in calls(jaxpr)}) == 2


def test_lowered_code_has_one_function_for_all_equal_leaves():
    def functions(n):
        tx, params = adam(1e-3), tree_of(*[(3,)] * n)
        text = jax.jit(tx.update).lower(params, tx.init(params), params).as_text()
        return text.count("func.func private")

    assert functions(12) == functions(2)


def test_the_count_is_advanced_once_however_many_links_are_timed():
    tx = chain(adam(lambda step: 1e-3), adam(1e-3), sgd(lambda step: 1e-3))
    jaxpr = jaxpr_of(tx, tree_of((3,), (3,)))
    additions = [e for e in jaxpr.eqns if e.primitive.name == "add" and e.outvars[0].aval.dtype == jnp.int32]
    assert len(additions) <= 2  # t = step + 1 for the formulas, and the next count
    state = tx.init(tree_of((3,)))
    assert [str(path[0].key) for path, x in jax.tree.leaves_with_path(state) if x.dtype == jnp.int32] == ["count"]


def test_eager_updates_compile_nothing_that_grows_with_steps():
    tx, params = adam(1e-3), tree_of((3,), (3,), (2, 2))
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(params, state, params)
    with jax.log_compiles(False), count_compilations() as compiled:
        for _ in range(3):
            _, state = tx.update(params, state, params)
    assert compiled == []


class count_compilations:
    """Names of the programs that are compiled meanwhile."""

    def __enter__(self):
        self.compiled, self.active = [], True
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        return self.compiled

    def _heard(self, event, duration, **_):
        if self.active and event == "/jax/core/compile/backend_compile_duration":
            self.compiled.append(event)

    def __exit__(self, *_):
        self.active = False


def test_the_counter_of_compilations_counts():
    with count_compilations() as compiled:
        jax.jit(lambda x: x + 17.5)(1.0).block_until_ready()
    assert len(compiled) == 1


# Traces and compilations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_loop_compiles_once_and_a_new_number_does_not_compile_again(name):
    tx, traces = TRANSFORMATIONS[name], []

    @jax.jit
    def step(tx, params, state):
        traces.append(None)
        updates, state = tx.update(params, state, params)
        return gradtx.apply_updates(params, updates), state

    params = tree_of((3,), (2, 2))
    state = tx.init(params)
    for _ in range(3):
        params, state = step(tx, params, state)
    assert len(traces) == step._cache_size() == 1
    fresh = jax.tree.map(lambda x: x * 0.5, tx)
    step(fresh, params, state)
    assert len(traces) == step._cache_size() == 1
    assert fresh != tx


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_scan_carries_the_state(name):
    tx, params = TRANSFORMATIONS[name], tree_of((3,), (2, 2))

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(params, state, params)
        return (gradtx.apply_updates(params, updates), state), None

    (scanned, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=3))((params, tx.init(params)))
    carry = (params, tx.init(params))
    for _ in range(3):
        carry, _ = step(carry, None)
    for a, b in zip(jax.tree.leaves(scanned), jax.tree.leaves(carry[0]), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)


def test_initialisation_under_jit_equals_initialisation():
    params = tree_of((3,), (2, 2))
    for tx in TRANSFORMATIONS.values():
        eager, jitted = tx.init(params), jax.jit(tx.init)(params)
        assert jax.tree.structure(eager) == jax.tree.structure(jitted)
        assert jax.tree.map(jax.typeof, eager) == jax.tree.map(jax.typeof, jitted)
        for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
            np.testing.assert_array_equal(a, b)


def test_shapes_alone_are_enough_to_plan_the_state():
    shapes = jax.eval_shape(lambda: tree_of((3,), (2, 2)))
    state = jax.eval_shape(adam(1e-3).init, shapes)
    assert state["scale_by_rms"]["nu"]["leaf_1"].shape == (2, 2)


def test_donated_parameters_and_state_are_reused():
    tx = chain(clip_by_global_norm(1.0), adamw(1e-3))

    def step(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    params, gradients = tree_of((64,), (8, 8)), tree_of((64,), (8, 8))
    state = tx.init(params)
    expected, _ = step(params, state, gradients)
    given = jax.tree.leaves((params, state))
    after, after_state = jax.jit(step, donate_argnums=(0, 1))(params, state, gradients)
    assert all(x.is_deleted() for x in given)  # an unused donation warns, and warnings are errors
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert int(after_state["count"]) == 1


def test_a_fresh_state_shares_no_buffer_that_would_be_donated_twice():
    params = tree_of((3,), (3,))
    for tx in TRANSFORMATIONS.values():
        pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((params, tx.init(params)))]
        assert len(set(pointers)) == len(pointers)


def test_vmap_over_parameters_is_a_loop_over_them():
    tx = adam(1e-2)
    stacked = {"w": jnp.arange(6.0).reshape(3, 2) + 1}

    def run(params):
        updates, state = tx.update(params, tx.init(params), params)
        return tx.update(updates, state, params)[0]

    together = jax.vmap(run)(stacked)
    for lane in range(3):
        np.testing.assert_allclose(together["w"][lane], run({"w": stacked["w"][lane]})["w"], rtol=1e-6)


# Sharding -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sharded():
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
    specs = {
        "rows": PartitionSpec("x"),
        "both": PartitionSpec("x", "y"),
        "last": PartitionSpec(None, "y"),
        "whole": PartitionSpec(),
    }
    return {
        name: jax.device_put(jnp.arange(1.0, 65.0).reshape(8, 8), NamedSharding(mesh, spec))
        for name, spec in specs.items()
    }


def assert_sharded_alike(params, tree):
    found = 0
    for path, leaf in jax.tree.leaves_with_path(tree):
        if leaf.ndim:
            found += 1
            param = params[path[-1].key]
            assert leaf.sharding.is_equivalent_to(param.sharding, leaf.ndim), f"{path}: {leaf.sharding}"
        else:
            assert leaf.sharding.is_fully_replicated
    assert found


@pytest.mark.parametrize("name", ["adam", "sgd with momentum", "lion", "clipped"])
@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
def test_the_state_is_sharded_as_the_parameters_are(name, jitted, sharded):
    tx = TRANSFORMATIONS[name]
    state = (jax.jit(tx.init) if jitted else tx.init)(sharded)
    assert_sharded_alike(sharded, state)
    updates, state = jax.jit(tx.update)(sharded, state, sharded)
    assert_sharded_alike(sharded, state)
    assert_sharded_alike(sharded, updates)


def test_a_step_on_eight_devices_equals_one_on_one(sharded):
    tx = TRANSFORMATIONS["clipped"]
    single = jax.tree.map(np.asarray, sharded)

    @jax.jit
    def two_steps(params):
        updates, state = tx.update(params, tx.init(params), params)
        return tx.update(updates, state, params)[0]

    for a, b in zip(jax.tree.leaves(two_steps(sharded)), jax.tree.leaves(two_steps(single)), strict=True):
        assert len(a.sharding.device_set) == 8
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_step_of_adam_on_sharded_parameters_communicates_nothing(sharded):
    tx = adam(1e-3)
    text = jax.jit(tx.update).lower(sharded, tx.init(sharded), sharded).compile().as_text()
    assert not [word for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute") if word in text]


# The benchmarks themselves --------------------------------------------------------------------------------------------


def test_the_benchmark_of_tracing_measures_both_libraries():
    from benchmarks.tracing import measure

    with jax.numpy_dtype_promotion("standard"):
        timing = measure(leaves=20, pairs=1)
    assert timing.gradtx > 0
    assert timing.optax > 0
    assert timing.ratio == timing.gradtx / timing.optax


def test_the_benchmark_of_importing_measures_a_fresh_interpreter():
    from benchmarks.import_time import seconds_to_import

    assert seconds_to_import("gradtx", runs=1) > seconds_to_import("keyword", runs=1) >= 0
