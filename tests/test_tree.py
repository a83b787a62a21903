"""Trees: what Optax has in `optax.tree`, equal to it in float64 and right where it is not; states searched by name."""

import functools
import operator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import tree_utils as theirs

import gradtx as gx
from gradtx import TransformationError
from gradtx import tree as ours


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield


def drawn(seed, *, imaginary=False):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0))

    return {"w": draw(3, 4), "b": [draw(4), draw()], "gone": None}


def equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert jnp.result_type(x) == jnp.result_type(y)
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-15)


# Optax's functions ----------------------------------------------------------------------------------------------------

OF_TREES = {
    "add": lambda tree, x, y: tree("add")(x, y),
    "add three": lambda tree, x, y: tree("add")(x, y, x),
    "sub": lambda tree, x, y: tree("sub")(x, y),
    "mul": lambda tree, x, y: tree("mul")(x, y),
    "div": lambda tree, x, y: tree("div")(x, y),
    "scale": lambda tree, x, y: tree("scale")(0.3, x),
    "scale by an array": lambda tree, x, y: tree("scale")(jnp.asarray(0.3), x),
    "add_scale": lambda tree, x, y: tree("add_scale")(x, 0.3, y),
    "where": lambda tree, x, y: tree("where")(jnp.asarray(False), x, y),
    "vdot": lambda tree, x, y: tree("vdot")(x, y),
    "sum": lambda tree, x, y: tree("sum")(x),
    "sum in pairs": lambda tree, x, y: tree("sum")(x, associative_reduction=True),
    "norm": lambda tree, x, y: tree("norm")(x),
    "norm 2 squared": lambda tree, x, y: tree("norm")(x, 2, squared=True),
    "norm 1": lambda tree, x, y: tree("norm")(x, ord=1),
    "norm 1 squared": lambda tree, x, y: tree("norm")(x, 1, True),
    "norm inf": lambda tree, x, y: tree("norm")(x, ord=jnp.inf),
    "norm inf by name, squared": lambda tree, x, y: tree("norm")(x, ord="inf", squared=True),
    "zeros_like": lambda tree, x, y: tree("zeros_like")(x),
    "ones_like": lambda tree, x, y: tree("ones_like")(x, dtype=jnp.float32),
    "full_like": lambda tree, x, y: tree("full_like")(x, 2.5),
    "batch_shape": lambda tree, x, y: tree("batch_shape")(x, (2, 1)),
    "conj": lambda tree, x, y: tree("conj")(x),
    "real": lambda tree, x, y: tree("real")(x),
    "cast_like": lambda tree, x, y: tree("cast_like")(x, tree("ones_like")(x, dtype=jnp.complex64)),
    "size": lambda tree, x, y: tree("size")(x),
    "dtype": lambda tree, x, y: tree("dtype")(x),
    "allclose": lambda tree, x, y: tree("allclose")(x, y),
    "allclose by far": lambda tree, x, y: tree("allclose")(x, y, 0.0, 100.0),
    "update_moment": lambda tree, x, y: tree("update_moment")(x, y, 0.9, 2),
    "update_moment_per_elem_norm": lambda tree, x, y: tree("update_moment_per_elem_norm")(x, tree("real")(y), 0.9, 2),
    "of order 3": lambda tree, x, y: tree("update_moment_per_elem_norm")(x, tree("real")(y), 0.9, 3),
    "update_infinity_moment": lambda tree, x, y: tree("update_infinity_moment")(x, tree("real")(y), 0.9, 1e-3),
    "bias_correction": lambda tree, x, y: tree("bias_correction")(x, 0.9, jnp.asarray(3)),
    "split_key_like": lambda tree, x, y: tree("unwrap_random_key_data")(tree("split_key_like")(jax.random.key(1), x)),
    "random_like": lambda tree, x, y: tree("random_like")(jax.random.key(1), tree("real")(x)),
    "random_like, uniform": lambda tree, x, y: tree("random_like")(jax.random.key(1), x, jax.random.uniform, "float32"),
    "unwrapped keys": lambda tree, x, y: tree("unwrap_random_key_data")({"key": jax.random.key(1), "x": x}),
}  # fmt: skip
OF_REAL_TREES = {
    "cast": lambda tree, x, y: tree("cast")(x, jnp.float32),
    "cast to None": lambda tree, x, y: tree("cast")(x, None),
    "max": lambda tree, x, y: tree("max")(x),
    "min": lambda tree, x, y: tree("min")(x),
    "clip": lambda tree, x, y: tree("clip")(x, -0.5, jnp.asarray(0.5)),
    "clip from below": lambda tree, x, y: tree("clip")(x, min_value=0.0),
}


def of_optax(name):
    return getattr(theirs, f"tree_{name}")


def of_gradtx(name):
    return getattr(ours, name)


CASES = [(name, False) for name in OF_TREES | OF_REAL_TREES] + [(name, True) for name in OF_TREES]


@pytest.mark.parametrize(("name", "imaginary"), CASES)
def test_equals_optax(name, imaginary, double_precision):
    x, y = drawn(1, imaginary=imaginary), drawn(2, imaginary=imaginary)
    of = (OF_TREES | OF_REAL_TREES)[name]
    with jax.numpy_dtype_promotion("standard" if imaginary else "strict"):
        expected = of(of_optax, x, y)
    found = of(of_gradtx, x, y)
    if name == "dtype":
        assert found == expected
        return
    equal(found, expected)
    if name != "size":
        equal(jax.jit(functools.partial(of, of_gradtx))(x, y), expected)


def test_has_every_function_of_optax():
    names = {name for name in vars(optax.tree) if not name.startswith("_")}
    assert names <= set(ours.__all__)
    assert {name for name in ours.__all__ if not hasattr(ours, name)} == set()
    assert list(ours.__all__) == sorted(ours.__all__)


@pytest.mark.parametrize("handler", ["promote", "highest", "lowest"])
def test_dtypes_that_differ(handler):
    tree = [jnp.ones(1), jnp.ones(1, jnp.bfloat16), jnp.ones(1, jnp.float16)][: 3 if handler == "promote" else 2]
    with jax.numpy_dtype_promotion("standard"):
        expected = optax.tree.dtype(tree, handler)
    assert ours.dtype(tree, handler) == expected
    with pytest.raises(TransformationError, match="leaf 1: expected float32 as in the first leaf, found bfloat16"):
        ours.dtype(tree)
    with pytest.raises(TransformationError, match="neither bfloat16 nor float16"):
        ours.dtype([jnp.ones(1, jnp.bfloat16), jnp.ones(1, jnp.float16)], "lowest")
    with pytest.raises(TransformationError, match="mixed_dtype_handler"):
        ours.dtype(tree, "widest")


# Where ours differs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [{}, None, {"a": None}, [jnp.zeros((0, 3))]], ids=repr)
def test_trees_without_numbers(empty):
    assert [float(ours.norm(empty, ord)) for ord in (None, 1, 2, jnp.inf)] == [0.0] * 4
    assert (
        float(ours.sum(empty))
        == float(ours.sum(empty, True))
        == float(ours.vdot(empty, empty))
        == ours.size(empty)
        == 0
    )
    assert float(ours.max(empty)) == -jnp.inf
    assert float(ours.min(empty)) == jnp.inf
    assert bool(ours.allclose(empty, empty))
    for of in (ours.zeros_like, ours.conj, ours.real, ours.clip, functools.partial(ours.scale, 2.0)):
        assert jax.tree.structure(of(empty)) == jax.tree.structure(empty)
    assert jax.tree.structure(ours.random_like(jax.random.key(0), empty)) == jax.tree.structure(empty)
    assert ours.dtype({}) == jnp.float32


def test_half_precision_does_not_overflow_in_sums_and_norms():
    ones = {"w": jnp.ones(300_000, jnp.float16)}
    assert float(ours.sum(ones)) == float(ours.norm(ones, 1)) == float(ours.norm(ones, squared=True)) == 300_000
    assert float(ours.vdot(ones, ones)) == 300_000
    assert ours.norm(ones, jnp.inf).dtype == jnp.float32
    with jax.numpy_dtype_promotion("standard"):
        assert not np.isfinite(optax.tree.norm(ones))
    large = {"w": jnp.full(2, 300, jnp.float16)}
    assert ours.update_moment(large, ours.zeros_like(large, jnp.float32), 0.5, 2)["w"].tolist() == [45000, 45000]


def test_a_tree_keeps_its_dtype_beside_a_wider_number():
    half = {"w": jnp.ones(2, jnp.bfloat16), "z": jnp.ones(2, jnp.complex64)}
    number = jnp.asarray(0.3)
    for made in (ours.scale(number, half), ours.add_scale(half, number, half)):
        assert ours.map(lambda x: x.dtype, made) == ours.map(lambda x: x.dtype, half)
    clipped = ours.clip({"w": half["w"]}, max_value=number)["w"]
    assert clipped.dtype == jnp.bfloat16
    moments = ours.zeros_like({"w": half["w"]}, jnp.float32)
    for of in (ours.update_moment, ours.update_moment_per_elem_norm):
        assert of({"w": half["w"]}, moments, number, 2)["w"].dtype == jnp.float32
    corrected = ours.bias_correction({"w": half["w"]}, number, jnp.asarray(1))
    assert corrected["w"].dtype == jnp.bfloat16
    assert jnp.iscomplexobj(ours.scale(jnp.asarray(1j), {"w": half["w"]})["w"])


def test_integers():
    counts = {"n": jnp.array([2**24 + 1, -3]), "on": jnp.array([True, True])}
    assert int(ours.max({"n": counts["n"]})) == 2**24 + 1  # Optax compares with −∞, and so in float32
    assert int(ours.sum(counts)) == 2**24 - 2 + 2
    assert float(ours.norm({"n": jnp.array([3, 4])})) == 5.0
    assert float(ours.norm({"n": jnp.array([3, -4])}, 1)) == 7.0
    assert ours.cast(counts, jnp.bfloat16)["n"].dtype == jnp.int32
    assert ours.scale(2, counts)["n"].dtype == jnp.int32
    assert ours.scale(jnp.asarray(0.5), {"n": jnp.array([3])})["n"].tolist() == [1.5]
    assert ours.vdot({"n": jnp.array([3, 4])}, {"n": jnp.array([3, 4])}) == 25


@pytest.mark.parametrize("ord", [None, 1, jnp.inf])
@pytest.mark.parametrize("zero", [0.0, 0j], ids=["real", "complex"])
def test_norms_have_finite_derivatives_at_zero(ord, zero):
    found = jax.grad(lambda x: ours.norm({"x": x}, ord))(jnp.full(3, zero))
    assert np.isfinite(found).all()


def test_norms_of_another_order_are_refused():
    with pytest.raises(TransformationError, match="norm: ord: expected None, 1, 2 or inf, found 3"):
        ours.norm({"w": jnp.ones(2)}, ord=3)


@pytest.mark.parametrize("decay", [0.999, 0, 0.0, gx.adam(0.1).b2], ids=repr)
def test_bias_correction_is_exact_to_rounding_in_float32(decay):
    count = jnp.asarray(2)
    found = float(ours.bias_correction([jnp.asarray(1.0)], decay, count)[0])
    np.testing.assert_allclose(found, 1 / (1 - float(decay) ** 2), rtol=2e-7)
    slope = jax.grad(lambda decay: ours.bias_correction([jnp.asarray(1.0)], decay, count)[0])(jnp.asarray(0.5))
    np.testing.assert_allclose(slope, 2 * 0.5 / 0.75**2, rtol=1e-6)


def test_random_numbers_lie_where_the_leaf_does():
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        leaf = jax.device_put(jnp.zeros((8, 2)), jax.sharding.NamedSharding(mesh, jax.P("rows")))
        drawn = ours.random_like(jax.random.key(0), [leaf])[0]
        assert drawn.sharding.is_equivalent_to(leaf.sharding, 2)
        np.testing.assert_allclose(ours.vdot([leaf], [leaf]), 0.0)


# States by name -------------------------------------------------------------------------------------------------------

PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}


class Pair(NamedTuple):
    count: Any
    rest: Any


class Slot(NamedTuple):
    value: Any


@jax.tree_util.register_dataclass
@dataclass
class Module:
    count: Any
    inside: Any


STATES = {
    "adam": gx.adam(0.1),
    "clipped adam": gx.chain(gx.clip(0.1), gx.adam(0.1)),
    "masked": gx.masked(gx.adam(0.1), "w"),
    "groups": gx.partition({"fast": gx.adam(0.1), "slow": gx.sgd(0.1, 0.9)}, {"w": "fast", "*": "slow"}),
    "accumulated": gx.accumulate(gx.adam(0.1), 2),
    "a line search": gx.chain(gx.scale(-1.0), gx.scale_by_zoom_linesearch(4)),
    "two links of one name": gx.chain(gx.trace(0.9), gx.trace(0.5)),
    "measured": gx.measured(gx.chain(gx.clip(0.1), gx.adam(0.1))),
    "a foreign link": gx.chain(optax.adam(0.1), gx.adam(0.1)),
    "Optax's adam": optax.adam(0.1),
    "Optax's injected sgd": optax.inject_hyperparams(optax.sgd)(lambda step: 1 / (step + 1)),
    "Optax's two": optax.chain(optax.add_noise(1.0, 0.9, key=0), optax.scale_by_adam(), optax.trace(0.9)),
    "Optax's lbfgs": optax.lbfgs(),
    "Optax's MultiSteps": optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(),
    "Optax's groups": optax.partition({"a": optax.adam(0.1), "b": optax.sgd(0.1, 0.9)}, {"w": "a", "b": "b"}),
}
KEYS = [
    "count", "mu", "nu", "trace", "w", "b", "value", "grad", "learning_rate", "inner", "acc_grads", "hyperparams",
    "ScaleByAdamState", "EmptyState", "inner_state", "measurements", "nothing",
]  # fmt: skip


def told(paths):
    return [(jax.tree_util.keystr(path), jax.tree.structure(x), jax.tree.leaves(x)) for path, x in paths]


def same(found, expected):
    assert len(found) == len(expected)
    for (path, treedef, leaves), (wanted, kind, others) in zip(found, expected, strict=True):
        assert (path, treedef) == (wanted, kind)
        assert all(map(operator.is_, leaves, others))


@pytest.mark.parametrize("name", STATES)
def test_finds_what_optax_finds(name):
    state = STATES[name].init(PARAMS)
    for key in KEYS:
        expected = theirs.tree_get_all_with_path(state, key)
        same(told(ours.get_all_with_path(state, key)), told(expected))
        scalars = {"filtering": lambda path, x: jnp.ndim(x) == 0 if hasattr(x, "ndim") else False}
        same(
            told(ours.get_all_with_path(state, key, **scalars)),
            told(theirs.tree_get_all_with_path(state, key, **scalars)),
        )
        if len(expected) > 1:
            for get in (theirs.tree_get, ours.get):
                with pytest.raises(KeyError, match="Found multiple values for"):
                    get(state, key)
        else:
            assert ours.get(state, key, "default") is theirs.tree_get(state, key, "default")


LEFT_BY_OPTAX = [
    ("Optax's injected sgd", "learning_rate"),
    ("Optax's injected sgd", "count"),
    ("a foreign link", "count"),
]
LEFT_BY_OPTAX += [("Optax's groups", "b"), ("a foreign link", "mu")]


@pytest.mark.parametrize("name", STATES)
def test_sets_what_optax_sets(name):
    state = STATES[name].init(PARAMS)
    for key in KEYS:
        found = theirs.tree_get_all_with_path(state, key)
        if found and (name, key) not in LEFT_BY_OPTAX:
            new, expected = (jax.tree.flatten(of(state, **{key: 7})) for of in (ours.set, theirs.tree_set))
            assert new[1] == expected[1]
            assert all(map(operator.is_, new[0], expected[0]))
        elif not found:
            with pytest.raises(KeyError, match=f"Found no value for '{key}'"):
                ours.set(state, **{key: 7})


def test_filters_see_the_names_of_named_tuples():
    state = (Pair(1, {"count": 2}), [Slot(3)])
    paths = [path for path, _ in ours.get_all_with_path(state, "count")]
    assert [jax.tree_util.keystr(path) for path in paths] == ["[0]Pair.count", "[0]Pair.rest['count']"]
    assert paths[0][-1] == ours.NamedTupleKey("Pair", "count")
    own = {"filtering": lambda path, _: isinstance(path[-1], ours.NamedTupleKey)}
    assert ours.get(state, "count", **own) == 1
    assert ours.get(state, "Slot") == Slot(3)
    assert ours.set(state, own["filtering"], count=7) == (Pair(7, {"count": 2}), [Slot(3)])
    with pytest.raises(KeyError, match="that filtering keeps"):
        ours.set(state, lambda path, x: x == 9, count=7)


def test_what_is_set_is_set_everywhere():
    state = {"count": 1, "deep": {"er": [{"count": 2}, Pair(3, ({"count": 4},))]}}
    everywhere = {"count": 0, "deep": {"er": [{"count": 0}, Pair(0, ({"count": 0},))]}}
    assert ours.set(state, count=0) == everywhere
    assert theirs.tree_set(state, count=0) != everywhere
    assert list(ours.set({"z": 1, "count": 2, "a": 3}, count=0)) == ["z", "count", "a"]
    assert ours.set({"n": {"n": 1}}, n=2) == {"n": 2}
    assert ours.set((Slot(1), Slot(2)), Slot=None, value=5) == (None, None)


def test_a_node_with_named_children_is_searched_too():
    module = Module(1, [Module(2, None)])
    assert [x for _, x in ours.get_all_with_path({"net": module}, "count")] == [1, 2]
    again = ours.set({"net": module}, count=5)["net"]
    assert (again.count, again.inside[0].count) == (5, 5)
    tx = gx.chain(gx.clip(0.5), gx.adam(0.1))
    assert ours.get(tx, "learning_rate") == 0.1


def test_nothing_is_found_in_leaves_and_in_none():
    for tree in (None, jnp.ones(3), 1.0, [], {}, "count"):
        assert ours.get_all_with_path(tree, "count") == []
        assert ours.get(tree, "count", 3) == 3
    assert ours.get({1: "one"}, 1) == "one"
    assert ours.get([4, 5], 1) is None


# What a state keeps for parameters ------------------------------------------------------------------------------------

SPECS = {"w": "of w", "b": "of b"}
MAPPED = [name for name in STATES if name not in ("Optax's groups", "masked", "groups", "Optax's lbfgs")]


@pytest.mark.parametrize("name", MAPPED)
def test_maps_what_optax_maps(name):
    tx = STATES[name]
    state = tx.init(PARAMS)
    for more in ({}, {"transform_non_params": lambda _: "-"}):
        expected = optax.tree_map_params(tx, lambda x, spec: spec, state, SPECS, **more)
        found = gx.tree_map_params(tx, lambda x, spec: spec, state, SPECS, **more)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert x is y or x == y
    assert jax.tree.structure(ours.map_params(tx.init, jnp.zeros_like, state)) == jax.tree.structure(state)


def test_maps_what_is_kept_for_some_parameters_and_in_several_arrays():
    for tx in (STATES["masked"], STATES["groups"], gx.masked(gx.adam(0.1), {"w": True, "b": False})):
        found = ours.map_params(tx, lambda x, spec: spec, tx.init(PARAMS), SPECS)
        assert ours.get(found, "mu") == {"w": "of w", "b": None}
    tx = gx.scale_by_shampoo()
    found = ours.map_params(tx, lambda x, spec: spec, tx.init(PARAMS), SPECS)
    assert found["factors"] == {"w": ("of w", "of w"), "b": ("of b",)}
    shapes = ours.map_params(tx, lambda x, p: (x.shape, p.shape), tx.init(PARAMS), PARAMS)
    assert shapes["factors"]["b"] == (((3, 3), (3,)),)


def test_maps_with_leaves_of_optax():
    tx = optax.masked(optax.adam(0.1), lambda tree: jax.tree.map(lambda x: jnp.ndim(x) > 1, tree))
    leaf = {"is_leaf": lambda x: isinstance(x, optax.MaskedNode)}
    state = tx.init(PARAMS)
    found = ours.map_params(tx, lambda x, spec: spec, state, SPECS, **leaf)
    expected = optax.tree_map_params(tx, lambda x, spec: spec, state, SPECS, **leaf)
    assert jax.tree.leaves(found) == jax.tree.leaves(expected)
