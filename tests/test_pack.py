"""Packed parameters: the same numbers as a tree of leaves, for everything that does not look at leaves."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import gradtx as gx
from gradtx import TransformationError, pack
from gradtx._rules.elementwise import check_elementwise
from tests.table import CONTRACTED

PARAMS = {
    "w": np.array([0.5, -1.0, 2.0], np.float32),
    "b": {"c": np.linspace(-0.4, 0.6, 6, dtype=np.float32).reshape(2, 3), "s": np.float32(0.3)},
    "large": np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8),
}
LOOKS_AT_LEAVES = {
    "add_noise": "it draws at random, for every leaf its own",
    "MultiSteps that skips": "it looks at whole leaves",
    "scale_by_factored_rms": "its state is more than one array for a leaf",
    "scale_by_factored_rms capped": "its formula uses reduce_sum, which is not elementwise",
    "cautious": "it looks at whole leaves",
    "a rollback of noise and averages": "it draws at random, for every leaf its own",
    "three wrappers, one in the other": "it draws at random, for every leaf its own",
    "centralize": "its formula uses reduce_sum, which is not elementwise",
    "chain with links of optax": "it may look at leaves",
    "foreign": "it may look at leaves",
    "foreign without state": "it may look at leaves",
    "split_real_and_imaginary": "it looks at whole leaves",
    "sam": "it draws at random, for every leaf its own",
    "hutchinson_estimator_diag_hessian": "it looks at whole leaves",
    "scale_by_sophia": "it looks at whole leaves",
    "sophia": "it looks at whole leaves",
    "differentially_private_aggregate": "it may look at leaves",
    "dpsgd": "it may look at leaves",
    "muon": "it chooses between",
    "soap_muon": "it chooses between",
    "scale_by_mean_side": "its formula depends on the shape of the leaf",
    "limit_norm_growth": "its formula uses slice, which is not elementwise",
    "came": "its formula uses reduce_sum, which is not elementwise",
    "graft": "its formula uses sum_of_squares, which is not elementwise",
    "scale_by_confidence": "its formula uses reduce_sum, which is not elementwise",
    "normuon": "it chooses between",
    "adamuon": "it chooses between",
    "dion2": "it chooses between",
    "aurora": "it chooses between",
    "adago": "it chooses between",
    "scion": "it chooses between",
    "muon_clip": "it chooses between",
    "scale_by_galore": "it looks at whole leaves",
    "galore": "it looks at whole leaves",
    "flatten": "it makes one vector of all leaves",
    "project_params onto a ball": "it looks at whole leaves",
    "stateless": "it looks at whole leaves",
    "stateless_with_tree_map": "it looks at whole leaves",
    "precision in four layers": "it looks at whole leaves",
    "hyperball": "it looks at whole leaves",
    "radial_brake": "it looks at whole leaves",
    "row_floor": "it looks at whole leaves",
    "scale_to_params": "it looks at whole leaves",
    "zero_nans": "its formula uses reduce_or, which is not elementwise",
    "noisy_sgd": "it draws at random, for every leaf its own",
    "adahessian with labels that are drawn": "it looks at whole leaves",
} | dict.fromkeys(
    (
        "scale_by_shampoo", "scale_by_shampoo of averages", "scale_by_shampoo in blocks, in turn", "shampoo",
        "soap", "splus", "conda", "psgd_kron", "adam_mini", "apollo", "in_eigenbasis, KL form, by eigh",
        "in_singular_basis", "scale_by_kron at every step", "scale_by_kron, long axes diagonal", "scale_by_apollo",
        "scale_by_mini_rms",
    ),
    "it looks at whole leaves",
) | dict.fromkeys(
    (
        "adaptive_grad_clip", "novograd", "ranger", "remove_radial, adamp and sgdp", "scale_by_novograd",
        "scale_by_sm3", "sm3", "stable_adamw and its link",
    ),
    "its formula uses reduce_sum, which is not elementwise",
) | dict.fromkeys(
    (
        "adafactor", "clip_by_block_rms", "clip_by_leaf_norm", "fromage", "lamb", "lars",
        "links of norms and of lion", "mars", "scale_by_distance_over_gradients", "scale_by_param_block_norm",
        "scale_by_param_block_rms", "scale_by_trust_ratio", "stable_spam",
    ),
    "its formula uses sum_of_squares, which is not elementwise",
)  # fmt: skip
CHOOSES = {
    "add_decayed_weights masked", "masked", "masked by a tree", "partition", "partition with frozen leaves",
    "partition by a tree", "adamw masked", "wrappers in groups, at paces of their own", "multi_transform", "freeze",
    "selective_transform", "by_role",
}  # fmt: skip
OWN_PARAMS = {case.name for case in CONTRACTED if case.params is not None}
ROUNDED = {  # to bfloat16 or to codes, where the last place of float32, or the neighbours in a block, may decide
    "with_state_dtype", "quantized", "quantized to 4 and 8 bits, at random",
}  # fmt: skip


def packed_params():
    return pack(PARAMS, below=20)


def bumpy(params):
    return sum(jnp.sum(jnp.cosh(0.9 * x) + 0.2 * x) for x in jax.tree.leaves(params))


def of_packed(packed):
    return bumpy(packed.unpack())


def train(case, loss, params, steps=3):
    """A few steps; what a row of the table gets as extra keywords is made of this loss."""

    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        own = {"value": value, "grad": gradient, "value_fn": loss} if "value_fn" in case.extra else case.extra
        updates, state = case.tx.update(gradient, state, params, **own)
        return gx.apply_updates(params, jax.tree.map(lambda u: 0.1 * jnp.tanh(u), updates)), state

    step, state = jax.jit(step), case.tx.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def assert_close(packed, expected):
    found = packed.unpack()
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-6, atol=5e-6 * float(jnp.abs(b).max()))


def named(name):
    return next(case for case in CONTRACTED if case.name == name)


@pytest.mark.parametrize(
    "case",
    [case for case in CONTRACTED if case.name not in LOOKS_AT_LEAVES.keys() | CHOOSES | OWN_PARAMS | ROUNDED],
    ids=lambda case: case.name,
)
def test_training_packed_is_training(case):
    assert_close(train(case, of_packed, packed_params()), train(case, bumpy, jax.tree.map(jnp.asarray, PARAMS)))


@pytest.mark.parametrize("name", sorted(CHOOSES))
def test_what_chooses_among_leaves_chooses_buffers(name):
    case, params = named(name), {"w": jnp.asarray(PARAMS["w"]), "b": {"c": jnp.asarray(PARAMS["b"]["c"])}}
    with pytest.raises(TransformationError, match=r"it chooses between b\.c and w, which are in one buffer: gradtx"):
        train(case, of_packed, pack(params))
    packed = pack(params, by={"w": "one", "*": "other"})
    assert_close(train(case, of_packed, packed), train(case, bumpy, params))


def test_decay_of_matrices_alone_asks_for_nothing_where_what_is_packed_are_biases():
    params = {"fc": {"w": jnp.ones((5, 6)), "b": jnp.ones(6)}, "norm": {"w": jnp.ones(5), "b": jnp.zeros(5)}}
    tx = gx.adamw(0.1, weight_decay=0.5, mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params))
    case = named("adamw")._replace(tx=tx)
    assert_close(train(case, of_packed, pack(params, below=20)), train(case, bumpy, params))


def test_masks_inside_masks_and_groups_that_train_a_part():
    params = {"a": jnp.ones(2), "b": jnp.ones(2), "c": {"d": jnp.ones(3), "none": None}}
    groups = gx.partition({"x": gx.masked(gx.adam(0.1), "a"), "y": gx.sgd(0.1)}, {"a": "x", "*": "y"})
    tx = gx.masked(groups, ["a", "b"])
    case, packed = named("masked")._replace(tx=tx), pack(params, by={"a": 1, "b": 2, "*": 3})
    assert_close(train(case, of_packed, packed), train(case, bumpy, params))
    assert gx.tree.size(tx.init(packed)) == gx.tree.size(tx.init(params)) == 2 * 2 + 1  # of one leaf, and the count


def test_a_label_says_what_shares_a_buffer():
    packed = pack(PARAMS, below=20, by={"*.s": "scalars", "*": "rest"})
    assert repr(packed) == "<Packed: 2 leaves in float32[9] (rest), 1 leaf in float32[1] (scalars), 1 leaf apart>"
    for a, b in zip(jax.tree.leaves(packed.unpack()), jax.tree.leaves(PARAMS), strict=True):
        np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(packed.like(PARAMS)) == jax.tree.structure(packed)
    assert set(pack(PARAMS, by="w").buffers) == {"float32 False", "float32 True"}
    with pytest.raises(TransformationError, match=r"leaf b\.c: no rule matches"):
        pack(PARAMS, by={"w": 1})


@pytest.mark.parametrize("name", LOOKS_AT_LEAVES)
def test_what_looks_at_leaves_is_refused_with_the_reason(name):
    with pytest.raises(TransformationError, match=LOOKS_AT_LEAVES[name]):
        train(named(name), of_packed, packed_params())


def test_the_reason_says_which_link():
    packed = packed_params()
    tx = gx.chain(gx.clip_by_global_norm(1.0), inner=gx.chain(gx.trace(0.9), gx.centralize()))
    with pytest.raises(TransformationError, match=r"^inner: centralize: its formula uses reduce_sum"):
        tx.update(packed, tx.init(packed), packed)
    with pytest.raises(TransformationError, match=r"^adamw: add_decayed_weights: it chooses between b\.c and w, which"):
        gx.adamw(1e-3, mask="w").init(packed)


def test_a_part_of_a_tree_that_is_packed_is_seen_too():
    params = {"head": jnp.ones(3), "body": packed_params()}
    with pytest.raises(TransformationError, match=r"^masked: it chooses between b\.c and w"):
        gx.masked(gx.sgd(0.1), "body.w").init(params)
    updates, _ = gx.masked(gx.scale(2.0), "body").update(params, {})
    np.testing.assert_array_equal(updates["head"], params["head"])
    np.testing.assert_array_equal(updates["body"].buffers["float32"], 2 * params["body"].buffers["float32"])
    with pytest.raises(TransformationError, match="reduce_sum"):
        gx.centralize().update(params, {})
    updates, _ = gx.sgd(0.5).update(params, {})
    np.testing.assert_array_equal(updates["head"], -0.5)


# What is elementwise --------------------------------------------------------------------------------------------------


def by_rank(u):
    return u if u.ndim < 2 else 2 * u


def by_size(u):
    return u / u.size


def by_first_axis(u):
    return u * float(u.shape[0])


def by_place(u):
    return u + jax.lax.iota(jnp.float32, u.size).reshape(u.shape)


def by_neighbour(u):
    return u + jnp.roll(u, 1)


def by_norm(u):
    return u * jnp.sqrt(jnp.sum(u * u))


def by_product(u):
    return (u.ravel() @ u.ravel()) * u


def by_order(u):
    return jnp.sort(u, axis=0)


def by_sum_so_far(u):
    return jnp.cumsum(u, axis=0)


def by_chance(u):
    return u + jax.random.normal(jax.random.key(0), u.shape)


def by_loop(u):
    return jax.lax.fori_loop(0, 3, lambda _, x: x - x.mean(), u)


@pytest.mark.parametrize(
    "formula",
    [by_rank, by_size, by_first_axis, by_place, by_neighbour, by_norm, by_product, by_order, by_sum_so_far, by_chance,
     by_loop],
)  # fmt: skip
def test_a_formula_that_looks_beyond_one_number_is_found(formula):
    @gx.transformation
    def link():
        return gx.per_leaf(formula)

    packed = packed_params()
    with pytest.raises(TransformationError, match=r"^link: its formula (uses|depends on the shape)"):
        link().update(packed, {}, packed)


@jax.custom_jvp
def squared(x):
    return x * x


squared.defjvp(lambda primals, tangents: (squared(*primals), 2 * primals[0] * tangents[0]))


@pytest.mark.parametrize(
    "formula",
    [
        lambda u: jnp.where(u > 0, jnp.exp(u), jnp.tanh(u)),
        lambda u: jax.lax.cond(jnp.float32(1.0) > 0, lambda x: 2 * x, lambda x: x, u),
        lambda u: jax.jit(lambda x: jnp.clip(x, -1, 1))(u),
        lambda u: squared(u) + jax.checkpoint(jnp.sin)(u),
        lambda u: u * jnp.full(u.shape, 0.5) + jnp.ones_like(u),
        lambda u: jax.lax.stop_gradient(u) ** 3,
        lambda u: u.astype(jnp.bfloat16).astype(jnp.float32),
    ],
)
def test_a_formula_of_one_number_is_let_through(formula):
    check_elementwise(formula, jnp.ones(7))


def test_state_that_starts_from_more_than_one_number_is_refused():
    @gx.transformation
    def link():
        return gx.per_leaf(lambda u, scale: (u * scale, scale), scale=lambda param: jnp.mean(param))

    with pytest.raises(TransformationError, match=r"^link: scale: its formula uses reduce_sum"):
        link().init(packed_params())


def test_the_parameters_to_deploy_are_looked_at_too():
    @gx.transformation
    def link():
        return gx.per_leaf(lambda u: u, eval_params=lambda param: param - param.mean())

    with pytest.raises(TransformationError, match="reduce_sum"):
        gx.eval_params(link(), packed_params(), {})


def test_a_rule_over_whole_trees_says_that_it_packs():
    @gx.transformation
    def shrink(*, packs=False):
        return gx.whole_tree(lambda updates, state: (jax.tree.map(jnp.negative, updates), state), packs=packs)

    packed = packed_params()
    np.testing.assert_array_equal(shrink(packs=True).update(packed, {})[0].apart[0], -PARAMS["large"])
    for refused in (lambda: shrink().update(packed, {}), lambda: shrink().init(packed)):
        with pytest.raises(TransformationError, match=r"^shrink: it looks at whole leaves, and packed parameters"):
            refused()


# The value itself -----------------------------------------------------------------------------------------------------


def test_unpacking_gives_back_what_was_packed():
    params = {
        "f32": jnp.arange(3.0), "f16": jnp.ones((2, 2), jnp.float16), "c": jnp.ones(2, jnp.complex64), "none": None,
        "n": jnp.arange(3), "key": jax.random.key(0), "large": jnp.ones(50), "scalar": 2.0, "empty": jnp.zeros((0, 3)),
    }  # fmt: skip
    packed = pack(params, below=50)
    assert {name: x.shape for name, x in packed.buffers.items()} == {
        "complex64": (2,), "float16": (4,), "float32": (4,)
    }  # fmt: skip
    assert len(packed.apart) == 3
    found = packed.unpack()
    assert jax.tree.structure(found) == jax.tree.structure(params)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True):
        assert jnp.shape(a) == jnp.shape(b)
        assert a is b or bool(jnp.all(a == b))


def test_its_leaves_have_names():
    names = gx.tree.paths(packed_params())
    assert names == ["packed float32", "large"]
    with pytest.raises(TransformationError, match="leaf packed float32: expected"):
        gx.adam(0.1).update(pack(PARAMS, below=0), gx.adam(0.1).init(packed_params()), packed_params())


def test_gradients_that_were_not_packed_are_told_how():
    packed, tx = packed_params(), gx.adam(0.1)
    with pytest.raises(TransformationError, match=r"leaf packed float32: .* no such leaf; Packed\.like packs a tree"):
        tx.update(PARAMS, tx.init(packed), packed)


def test_it_compares_prints_and_pickles():
    packed = packed_params()
    assert repr(packed) == "<Packed: 3 leaves in float32[10], 1 leaf apart>"
    again = pickle.loads(pickle.dumps(packed))
    assert jax.tree.structure(again) == jax.tree.structure(packed)
    assert hash(jax.tree.structure(again)) == hash(jax.tree.structure(packed))


def test_a_gradient_as_a_tree_is_packed_alike():
    packed = packed_params()
    tree, own = jax.grad(bumpy)(packed.unpack()), jax.grad(of_packed)(packed)
    for a, b in zip(jax.tree.leaves(packed.like(tree)), jax.tree.leaves(own), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    halves = packed.like(gx.tree.cast(tree, jnp.bfloat16))
    assert halves.buffers["float32"].dtype == jnp.bfloat16
    updates, state = gx.adam(0.1).update(halves, gx.adam(0.1).init(packed), packed)
    assert updates.buffers["float32"].dtype == jnp.float32  # what is added to float32 is not rounded first
    assert state["scale_by_rms"]["nu"].buffers["float32"].dtype == jnp.float32


def test_a_gradient_that_does_not_fit_is_an_error_at_its_leaf():
    packed = packed_params()
    with pytest.raises(TransformationError, match=r"^leaf b.c: expected shape \(2, 3\), found \(3, 2\)"):
        packed.like(PARAMS | {"b": {"c": jnp.ones((3, 2)), "s": 0.0}})
    with pytest.raises(TransformationError, match=r"^leaf w: expected shape \(3,\), found no such leaf"):
        packed.like({name: x for name, x in PARAMS.items() if name != "w"})
    with pytest.raises(TransformationError, match=r"^leaf w: expected float16 as in the leaves beside it"):
        packed.like(PARAMS | {"b": gx.tree.cast(jax.tree.map(jnp.asarray, PARAMS["b"]), jnp.float16)})
    with pytest.raises(TransformationError, match=r"^pack: below: expected a whole number, found 0\.5"):
        pack(PARAMS, below=0.5)


def test_one_split_takes_it_apart_and_one_concatenation_makes_its_gradient():
    params = {f"leaf_{n}": jnp.ones(n + 1) for n in range(20)}
    jaxpr = jax.make_jaxpr(jax.grad(of_packed))(pack(params))
    kinds = [eqn.primitive.name for eqn in jaxpr.eqns]
    assert kinds.count("split") == kinds.count("concatenate") == 1
    assert not {"pad", "slice", "dynamic_slice"} & set(kinds)


def test_it_passes_through_jit_vmap_scan_and_fit():
    packed, tx = packed_params(), gx.adam(0.1)

    def two(packed):
        def step(carry, _):
            packed, state = carry
            updates, state = tx.update(jax.grad(of_packed)(packed), state, packed)
            return (gx.apply_updates(packed, updates), state), None

        return jax.lax.scan(step, (packed, tx.init(packed)), None, length=2)[0][0]

    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), packed)
    together = jax.jit(jax.vmap(two))(stacked).unpack()
    for lane, scale in enumerate((1, 2)):
        alone = jax.jit(two)(jax.tree.map(lambda x, scale=scale: scale * x, packed)).unpack()
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            assert a.shape[1:] == b.shape
            np.testing.assert_allclose(a[lane], b, rtol=1e-5)
    run = gx.minimize(of_packed, packed, tx, steps=5)
    assert isinstance(run.params, gx.Packed)


def test_a_packed_step_compiles_once():
    packed, tx, traces = packed_params(), gx.adam(0.1), []

    @jax.jit
    def step(tx, packed, state, gradient):
        traces.append(None)
        updates, state = tx.update(packed.like(gradient), state, packed)
        return gx.apply_updates(packed, updates), state

    state = tx.init(packed)
    for rate in (0.1, 0.2, 0.3):
        packed, state = step(tx.replace(learning_rate=rate), packed, state, PARAMS)
    assert len(traces) == 1


def test_leaves_that_are_split_over_devices_stay_apart():
    mesh = Mesh(np.array(jax.devices()), ("x",))
    split = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, PartitionSpec("x")))
    whole = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, PartitionSpec()))
    packed = pack({"split": split, "whole": whole})
    assert packed.apart[0] is split
    assert packed.buffers["float32"].shape == (8,)


def test_optax_and_gradtx_agree_on_a_packed_tree():
    packed = packed_params()
    ours, theirs = gx.adam(0.1), optax.adam(0.1)
    u, _ = ours.update(packed, ours.init(packed), packed)
    with jax.numpy_dtype_promotion("standard"):
        v, _ = theirs.update(packed, theirs.init(packed), packed)
    for a, b in zip(jax.tree.leaves(u), jax.tree.leaves(v), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
