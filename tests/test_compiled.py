"""What the compilers make of a step, counted, so that no later change makes it worse unseen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import gradtx
from benchmarks import accelerator
from benchmarks.ahead_of_time import MOVES_NOTHING, collectives, count, devices, entry, hbm_bytes, kernels, missing
from benchmarks.models import (
    LIBRARIES,
    OPTIMIZERS,
    equal,
    gpt2,
    packing_step_of,
    random,
    shapes,
    size,
    step_of,
    transformer,
)
from gradtx._value.norm import _leaf_by_leaf, _shape_by_shape, primitive, sum_of_squares

pytestmark = pytest.mark.slow


def needs(kind):
    return pytest.mark.skipif(missing(kind) is not None, reason=missing(kind) or "")


@pytest.fixture(autouse=True)
def lenient():
    """Optax and the transformer promote as JAX does by default."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def both(measure, optimizer):
    return [measure(library, OPTIMIZERS[optimizer](library)) for library in LIBRARIES.values()]


# TPU ------------------------------------------------------------------------------------------------------------------


@needs("tpu")
@pytest.mark.parametrize("tree", ["one leaf", "GPT-2", "20 leaves"])
def test_adam_moves_28_bytes_a_parameter_on_a_tpu_and_needs_no_temporary(tree):
    params = {"one leaf": equal(1, 4096, 4096), "GPT-2": gpt2(), "20 leaves": equal(20, 256, 256)}[tree]
    found = accelerator.counted("tpu", gradtx, gradtx.adam(1e-3), params)
    assert found.bytes / size(params) <= 28.1
    assert found.temporaries == 0


@needs("tpu")
@pytest.mark.parametrize("tree", ["one leaf", "GPT-2 of 4 layers"])
def test_a_clip_moves_no_more_bytes_than_optax_on_a_tpu(tree):
    params = {"one leaf": equal(1, 4096, 4096), "GPT-2 of 4 layers": gpt2(4)}[tree]
    ours, theirs = both(lambda library, tx: accelerator.counted("tpu", library, tx, params), "clip + AdamW")
    assert ours.bytes <= theirs.bytes + 1000  # scalars, which are as many bytes as they like
    assert ours.temporaries <= theirs.temporaries


@needs("tpu")
@pytest.mark.parametrize("alike", [True, False], ids=["alike", "in three ways"])
def test_a_clip_on_eight_tpus_is_one_collective(alike):
    mesh = Mesh(np.array(devices("tpu", "2x4")), ("x",))
    expected = {"Adam": 0, "clip + AdamW": 1}
    for optimizer, most in expected.items():
        tx = OPTIMIZERS[optimizer](gradtx)
        assert accelerator.collectives("tpu", mesh, gradtx, tx, alike=alike) == most


# GPU ------------------------------------------------------------------------------------------------------------------


@needs("gpu")
@pytest.mark.parametrize(("optimizer", "most", "packed"), [("Adam", 150, 60), ("clip + AdamW", 175, 80)])
def test_kernels_of_an_update_of_gpt2_on_an_h100(optimizer, most, packed):
    tx = OPTIMIZERS[optimizer](gradtx)
    assert accelerator.counted("gpu", gradtx, tx, gpt2()).kernels <= most
    assert accelerator.counted_packed("gpu", tx, gpt2()).kernels <= packed
    assert accelerator.counted_packed("gpu", tx, gpt2(), gradients_are_a_tree=True).kernels <= packed


@needs("gpu")
def test_a_packed_step_is_five_kernels_more_than_its_gradient_on_an_h100():
    found = accelerator.counted_training("gpu", transformer())
    assert found["gradtx, packed"].kernels <= found["the gradient alone"].kernels + 5
    assert found["gradtx"].kernels <= found["Optax"].kernels


@needs("gpu")
def test_a_norm_over_hundreds_of_large_leaves_needs_no_memory_on_an_h100():
    params = accelerator.on_one("gpu", equal(200, 1024, 1024))
    found = count("gpu", gradtx.tree.norm, params, donate=())
    assert found.kernels < 20
    assert found.temporaries < 2**20


@needs("gpu")
@pytest.mark.parametrize("alike", [True, False], ids=["alike", "in three ways"])
def test_a_clip_on_eight_gpus_is_one_collective(alike):
    mesh = Mesh(np.array(devices("gpu", "1x8x1")), ("x",))
    tx = OPTIMIZERS["clip + AdamW"](gradtx)
    assert accelerator.collectives("gpu", mesh, gradtx, tx, alike=alike) == 1


# CPU ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "in three ways"])
def test_a_clip_on_eight_devices_is_one_collective(alike):
    mesh = Mesh(np.array(jax.devices()), ("x",))
    for optimizer, expected in {"Adam": 0, "clip + AdamW": 1}.items():
        for library in LIBRARIES.values():
            tx = OPTIMIZERS[optimizer](library)
            assert accelerator.collectives("cpu", mesh, library, tx, alike=alike) == expected


def test_adding_leaves_that_are_split_differently_would_move_them():
    mesh = Mesh(np.array(jax.devices()), ("x",))
    params = accelerator.split(mesh, equal(12, 64, 64), alike=False)
    assert count("cpu", lambda p: _shape_by_shape(*p.values()), params, donate=()).collectives > 1
    assert count("cpu", lambda p: _leaf_by_leaf(*p.values()), params, donate=()).collectives == 1


@pytest.mark.parametrize("packed", [False, True], ids=["a tree", "packed"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_donated_step_needs_no_second_copy(optimizer, packed):
    params, tx = random(equal(20, 300)), OPTIMIZERS[optimizer](gradtx)
    given = gradtx.pack(params) if packed else params
    state = tx.init(given)
    step = packing_step_of(tx) if packed else step_of(gradtx, tx)
    memory = jax.jit(step, donate_argnums=(0, 1)).lower(given, state, params).compile().memory_analysis()
    assert memory.alias_size_in_bytes == gradtx.tree.nbytes((given, state)) == 3 * 4 * 20 * 300 + 4
    assert memory.output_size_in_bytes - memory.alias_size_in_bytes <= 8 * 64  # what is new: the tuple of results


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_update_is_one_call_a_leaf_and_a_constant_a_distinct_shape(optimizer):
    tx = OPTIMIZERS[optimizer](gradtx)

    def equations(*each):
        params = shapes({f"leaf_{n}": shape for n, shape in enumerate(each)})
        return len(jax.make_jaxpr(tx.update)(params, jax.eval_shape(tx.init, params), params).jaxpr.eqns)

    one, many = equations(*[(3,)] * 2), equations(*[(3,)] * 42)
    two, three = (equations(*[(n,) for n in range(1, k + 1) for _ in range(2)]) for k in (2, 3))
    a_leaf = (many - one) // 40
    assert a_leaf == (1 if optimizer == "Adam" else 2)  # the clip multiplies every leaf
    assert (two - one, three - two) == (2 * a_leaf, 2 * a_leaf)


def test_the_scalars_that_all_leaves_want_are_traced_once():
    params, tx = shapes({f"leaf_{n}": (n + 1, 3) for n in range(8)}), gradtx.adam(1e-3)
    jaxpr = jax.make_jaxpr(tx.update)(params, jax.eval_shape(tx.init, params), params).jaxpr
    shared = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "expm1"]
    assert len(shared) == 2  # of b1 and of b2, for eight leaves that share nothing else


# The norm -------------------------------------------------------------------------------------------------------------


LEAVES = [
    np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32) * 3, np.float32(2.0),
    np.linspace(1, 2, 6, dtype=np.float16).reshape(2, 3), np.ones(3, np.float32), np.ones((2, 3), np.complex64) * 1j,
]  # fmt: skip


def by_numpy(leaves):
    return sum(np.sum(np.abs(x.astype(np.complex128)) ** 2) for x in leaves)


@pytest.mark.parametrize("total", [sum_of_squares, lambda x: _leaf_by_leaf(*x), lambda x: _shape_by_shape(*x)])
def test_the_sum_of_squares_is_that_of_numpy(total):
    leaves = [jnp.asarray(x) for x in LEAVES]
    for run in (total, jax.jit(total)):
        np.testing.assert_allclose(run(leaves), by_numpy(LEAVES), rtol=1e-6)
        assert run(leaves).dtype == jnp.float32
    lanes = [jnp.stack([x, 2 * x]) for x in leaves]
    np.testing.assert_allclose(jax.vmap(total)(lanes), by_numpy(LEAVES) * np.array([1, 4]), rtol=1e-6)
    mixed = jax.vmap(lambda x, rest: total([x, *rest]), in_axes=(1, None))
    np.testing.assert_allclose(mixed(jnp.stack([leaves[0]] * 2, 1), leaves[1:]), [by_numpy(LEAVES)] * 2, rtol=1e-6)
    twice = jax.vmap(jax.vmap(total))([jnp.stack([x, x]) for x in lanes])
    np.testing.assert_allclose(twice, by_numpy(LEAVES) * np.array([[1, 4]] * 2), rtol=1e-6)


def test_the_sum_of_squares_has_derivatives_of_every_order():
    leaves = [jnp.array([1.0, 2.0]), jnp.array([3.0, 0.0])]
    for a, x in zip(jax.jit(jax.grad(sum_of_squares))(leaves), leaves, strict=True):
        np.testing.assert_array_equal(a, 2 * x)
    np.testing.assert_allclose(jax.hessian(lambda x: sum_of_squares([x, leaves[1]]))(leaves[0]), 2 * np.eye(2))
    _, along = jax.jvp(sum_of_squares, (leaves,), ([jnp.ones(2), jnp.zeros(2)],))
    assert float(along) == 6.0
    np.testing.assert_allclose(jax.vmap(jax.grad(sum_of_squares))([jnp.eye(2)])[0], 2 * np.eye(2))


def test_half_precision_neither_overflows_nor_stands_still():
    assert float(gradtx.tree.norm([jnp.ones(300_000, jnp.float16)])) == pytest.approx(300_000**0.5)
    many = [jnp.ones(100, jnp.bfloat16)] * 400
    for total in (_leaf_by_leaf, _shape_by_shape):
        assert float(total(*many)) == 40_000
    with jax.enable_x64(True):
        assert sum_of_squares([jnp.ones(2, jnp.float64), jnp.ones(2, jnp.float32)]).dtype == jnp.float64


def test_only_one_gpu_adds_leaves():
    given = {platform: jax.jit(sum_of_squares).trace([jnp.ones((4, 4))] * 3) for platform in ("cpu", "cuda", "tpu")}
    sums = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.reduce(")
        for platform, traced in given.items()
    }
    assert sums == {"cpu": 3, "cuda": 1, "tpu": 3}
    assert primitive().name == "sum_of_squares"


def test_under_an_explicit_mesh_and_in_a_shard_map_every_leaf_has_its_own_sum():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    x = jnp.arange(64.0).reshape(8, 8)
    with jax.set_mesh(mesh):
        split = jax.device_put(x, jax.NamedSharding(mesh, jax.P("x", None)))
        np.testing.assert_allclose(jax.jit(gradtx.tree.norm)([split, split]), np.sqrt(2 * by_numpy([np.asarray(x)])))

    def own(x):
        return gradtx.tree.norm([x, x])[None]

    automatic = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    each = jax.jit(jax.shard_map(own, mesh=automatic, in_specs=jax.P("x", None), out_specs=jax.P("x")))(x)
    np.testing.assert_allclose(each, np.sqrt(2 * np.sum(np.asarray(x) ** 2, 1)), rtol=1e-6)


# The counting itself --------------------------------------------------------------------------------------------------


PROGRAM = """HloModule m

ENTRY %main (a: f32[8,128]) -> f32[8,128] {
  %a = f32[8,128]{1,0:T(8,128)} parameter(0)
  %start = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%a)
  %done = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%start)
  %sum = f32[8,128]{1,0:T(8,128)S(1)} all-reduce(%done), channel_id=1, to_apply=%add
  %more = (f32[8,128]{1,0}, f32[8,128]{1,0}) all-gather-start(%sum), channel_id=2
  %last = f32[8,128]{1,0} all-gather-done(%more), channel_id=2
  ROOT %out = f32[8,128]{1,0:T(8,128)} fusion(%done, %a), kind=kLoop, calls=%body
}
"""


def test_bytes_count_where_the_array_stands_in_hbm():
    without = "\n".join(line for line in PROGRAM.splitlines() if "all-" not in line) + "\n"
    assert hbm_bytes(without) == 3 * 4096  # the copy reads a; the fusion reads a and writes out
    assert kernels(without) == 2
    assert collectives(PROGRAM) == 2
    assert collectives(without) == 0
    assert {op.kind for op in entry(without)} - MOVES_NOTHING == {"copy-start", "fusion"}


def test_a_compiler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("benchmarks.ahead_of_time.NEEDS", {"tpu": ["no_such_compiler"], "gpu": ["jax.no.such"]})
    assert missing("tpu") == "the TPU compiler is not installed: pip install libtpu"
    assert missing("gpu").startswith("the GPU compiler is not installed: pip install jax-cuda12-plugin")
