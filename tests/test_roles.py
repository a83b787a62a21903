"""Roles: what parameters of the real libraries are, what is refused, and matrices cut apart."""

import functools
import pickle

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradtx as gx
import gradtx.optax
from gradtx import Role
from gradtx._rules.matrices import DimensionNumbers, as_matrices, piece_shapes, pieces

KEY = jax.random.key(0)


def zeros(*shape):
    return jnp.zeros(shape)


def kinds(params, rules=None):
    return {path: role.kind for path, role in gx.roles(params, rules).items()}


def axes(role):
    return role.reduction_axis, role.output_axis


def shapes(init, *args):
    return jax.eval_shape(init, KEY, *args)


# Flax linen -----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    bias: bool = True

    @nn.compact
    def __call__(self, x, _=None):
        y = nn.LayerNorm(use_bias=self.bias)(x)
        x = x + nn.MultiHeadDotProductAttention(2, use_bias=self.bias, name="attn")(y, y)
        return x + nn.Dense(8, use_bias=self.bias)(nn.gelu(nn.Dense(16, use_bias=self.bias, name="up")(x))), None


class Transformer(nn.Module):
    bias: bool = True
    layers: str | None = None

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(11, 8)(tokens) + self.param("pos_embedding", nn.initializers.normal(), (5, 8))[None]
        x = nn.Conv(8, (3,), use_bias=self.bias)(x)
        scanned = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = scanned(self.bias, name=self.layers)(x)
        return nn.Dense(11, name="lm_head", use_bias=self.bias)(Block(self.bias)(x)[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [None, "layers"])
def test_a_transformer_of_linen_with_scanned_layers(bias, layers):
    params = shapes(Transformer(bias, layers).init, jnp.zeros((1, 5), int))["params"]
    found = gx.roles(params)
    stack = layers or "ScanBlock_0"
    assert {path: role for path, role in found.items() if path.endswith(("kernel", "embedding"))} == {
        "Embed_0.embedding": Role("embedding", 0, 1),
        "pos_embedding": Role("embedding", 0, 1),
        "Conv_0.kernel": Role("convolution", (0, 1), 2),
        "lm_head.kernel": Role("unembedding", 0, 1),
        **{f"Block_0.attn.{name}.kernel": Role("heads", 0, (1, 2), heads=2) for name in ("query", "key", "value")},
        "Block_0.attn.out.kernel": Role("heads", (0, 1), 2, input_heads=2),
        "Block_0.up.kernel": Role("matrix", 0, 1),
        "Block_0.Dense_0.kernel": Role("matrix", 0, 1),
        **{f"{stack}.attn.{name}.kernel": Role("heads", 1, (2, 3), heads=2) for name in ("query", "key", "value")},
        f"{stack}.attn.out.kernel": Role("heads", (1, 2), 3, input_heads=2),
        f"{stack}.up.kernel": Role("stack", 1, 2),
        f"{stack}.Dense_0.kernel": Role("stack", 1, 2),
    }
    rest = {path: role for path, role in found.items() if not path.endswith(("kernel", "embedding"))}
    assert all(role == Role(path.rpartition(".")[2]) for path, role in rest.items())  # bias or scale
    assert len(rest) == (18 if bias else 2)
    assert axes_shape(params, found, f"{stack}.attn.query.kernel") == [(6, 8, 4)]


def axes_shape(params, found, path):
    return piece_shapes(dict(zip(gx.tree.paths(params), jax.tree.leaves(params), strict=True))[path], found[path])


def test_layers_of_linen():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.ConvTranspose(4, (2, 2))(nn.GroupNorm(2)(nn.BatchNorm(True)(nn.Conv(8, (3, 3), use_bias=False)(x))))
            x = nn.PReLU()(nn.DenseGeneral((2, 4))(x))
            x = nn.WeightNorm(nn.Dense(3))(nn.DenseGeneral(8, axis=(-2, -1))(x))
            carry = nn.GRUCell(4).initialize_carry(KEY, x.shape)
            return nn.GRUCell(4)(carry, x)[1], self.param("cls", nn.initializers.normal(), (1, 1, 8))

    params = shapes(Model().init, zeros(1, 8, 8, 3))["params"]
    found = gx.roles(params)
    assert found["Conv_0.kernel"] == found["ConvTranspose_0.kernel"] == Role("convolution", (0, 1, 2), 3)
    assert found["DenseGeneral_0.kernel"] == Role("heads", 0, (1, 2), heads=2)
    assert found["DenseGeneral_1.kernel"] == Role("heads", (0, 1), 2, input_heads=2)
    assert found["PReLU_0.negative_slope"] == Role("scalar")
    assert found["WeightNorm_0.Dense_0/kernel/scale"] == found["BatchNorm_0.scale"] == Role("scale")
    assert found["cls"] == Role("vector")  # one axis is longer than 1
    assert found["GRUCell_1.in.kernel"] == Role("matrix", 0, 1)


def test_an_ensemble_is_a_stack():
    model = nn.Sequential([nn.Dense(16), nn.LayerNorm(), nn.Dense(4)])
    params = jax.eval_shape(jax.vmap(model.init, (0, None)), jax.random.split(KEY, 5), zeros(1, 8))
    assert set(kinds(params).values()) == {"stack", "bias", "scale"}


# Flax nnx -------------------------------------------------------------------------------------------------------------


class Network(nnx.Module):
    def __init__(self, rngs):
        self.emb, self.head = nnx.Embed(11, 8, rngs=rngs), nnx.Linear(8, 11, use_bias=False, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.first = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.lora, self.lstm = nnx.LoRA(8, 2, 4, rngs=rngs), nnx.OptimizedLSTMCell(3, 4, rngs=rngs)
        self.layers = nnx.vmap(lambda key: nnx.Linear(8, 8, rngs=nnx.Rngs(key)))(jax.random.split(KEY, 3))


EXPECTED = {
    "emb.embedding": Role("embedding", 0, 1),
    "head.kernel": Role("unembedding", 0, 1),
    "attn.query.kernel": Role("heads", 0, (1, 2), heads=2),
    "attn.value.kernel": Role("heads", 0, (1, 2), heads=2),
    "attn.out.kernel": Role("heads", (0, 1), 2, input_heads=2),
    "attn.value.bias": Role("bias"),
    "first.kernel": Role("convolution", (0, 1, 2), 3),
    "lora.lora_a": Role("matrix", 0, 1),
    "lstm.dense_i.kernel": Role("fused", 0, 1, split_sizes=(4,) * 4),
    "lstm.dense_h.kernel": Role("fused", 0, 1, split_sizes=(4,) * 4),
    "layers.kernel": Role("stack", 1, 2),
    "layers.bias": Role("bias"),
}


@pytest.mark.parametrize(
    "form", [lambda m: m, lambda m: nnx.state(m, nnx.Param), lambda m: nnx.to_pure_dict(nnx.state(m))]
)
def test_a_network_of_nnx_as_a_module_a_state_and_a_dict(form):
    found = {path.removesuffix(".value"): role for path, role in gx.roles(form(Network(nnx.Rngs(0)))).items()}
    assert {path: found[path] for path in EXPECTED} == EXPECTED


# Equinox --------------------------------------------------------------------------------------------------------------


class Model(eqx.Module):
    emb: eqx.nn.Embedding
    attn: eqx.nn.MultiheadAttention
    layers: eqx.nn.Linear
    convs: eqx.nn.Conv1d
    mlp: eqx.nn.MLP
    gru: eqx.nn.GRUCell
    lstm: eqx.nn.LSTMCell
    norms: eqx.nn.LayerNorm
    batch: eqx.nn.BatchNorm
    lm_head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.emb, self.attn = eqx.nn.Embedding(11, 8, key=key), eqx.nn.MultiheadAttention(2, 8, key=key)
        self.layers = jax.vmap(lambda key: eqx.nn.Linear(8, 16, key=key))(keys)
        self.convs = jax.vmap(lambda key: eqx.nn.Conv1d(4, 8, 3, groups=2, key=key))(keys)
        self.mlp, self.gru = eqx.nn.MLP(8, 2, 16, 1, key=key), eqx.nn.GRUCell(3, 4, key=key)
        self.lstm, self.batch = eqx.nn.LSTMCell(3, 4, key=key), eqx.nn.BatchNorm(8, "batch", mode="batch")
        self.norms = jax.vmap(lambda _: eqx.nn.LayerNorm(8))(keys)
        self.lm_head = eqx.nn.Linear(8, 11, key=key)


@pytest.mark.parametrize("form", [lambda m: m, lambda m: eqx.filter(m, eqx.is_inexact_array)])
def test_a_model_of_equinox_has_outputs_first(form):
    model = form(Model(KEY))
    found = gx.roles(model)
    weights = {path: role for path, role in found.items() if "weight" in path}
    assert weights == {
        "emb.weight": Role("embedding", 0, 1),
        **{f"attn.{name}_proj.weight": Role("heads", 1, 0, heads=2) for name in ("query", "key", "value")},
        "attn.output_proj.weight": Role("heads", 1, 0, input_heads=2),
        "layers.weight": Role("stack", 2, 1),
        "convs.weight": Role("convolution", (2, 3), 1, heads=2),  # two groups
        "mlp.layers.0.weight": Role("matrix", 1, 0),
        "mlp.layers.1.weight": Role("matrix", 1, 0),
        **{f"gru.weight_{of}": Role("fused", 1, 0, split_sizes=(4,) * 3) for of in ("ih", "hh")},
        **{f"lstm.weight_{of}": Role("fused", 1, 0, split_sizes=(4,) * 4) for of in ("ih", "hh")},
        "norms.weight": Role("scale"),
        "batch.weight": Role("scale"),
        "lm_head.weight": Role("unembedding", 1, 0),
    }
    assert {found[path].kind for path in found if path.endswith(".bias")} == {"bias"}
    assert jax.tree.structure(found.kinds) == jax.tree.structure(model)


def test_a_weight_of_ones_own_module_is_in_doubt():
    class Own(eqx.Module):
        weight: jax.Array

    with pytest.raises(
        gx.TransformationError, match=r"weight \(4, 3\): Role\('matrix', 1, 0\), 1 × \(3, 4\); 'matrix'"
    ):
        gx.roles(Own(zeros(4, 3)))


# Haiku ----------------------------------------------------------------------------------------------------------------


def haiku_model(tokens):
    x = hk.MultiHeadAttention(2, 4, w_init=hk.initializers.Constant(1.0), name="attn")(*[hk.Embed(11, 8)(tokens)] * 3)
    x = hk.experimental.layer_stack(3)(lambda x: hk.Linear(8)(hk.LayerNorm(-1, True, True)(x)))(x)
    y = hk.BatchNorm(True, True, 0.9)(hk.Conv2DTranspose(5, 2)(hk.Conv2D(4, 3)(zeros(1, 8, 8, 3))), True)
    hk.LSTM(4)(zeros(2, 3), hk.LSTM(4).initial_state(2)), hk.GRU(4)(zeros(2, 3), zeros(2, 4))
    return hk.Linear(11, name="logits")(hk.Conv1D(8, 3)(x)), hk.nets.MLP([4, 3])(y)


def test_a_model_of_haiku():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        params, _ = shapes(hk.transform_with_state(haiku_model).init, jnp.zeros((2, 5), int))
    found = gx.roles(params)
    expected = {
        "embed.embeddings": Role("embedding", 0, 1),
        "attn/query.w": Role("matrix", 0, 1),
        "attn/linear.w": Role("matrix", 0, 1),
        "__layer_stack_no_per_layer/linear.w": Role("stack", 1, 2),
        "__layer_stack_no_per_layer/linear.b": Role("bias"),
        "__layer_stack_no_per_layer/layer_norm.scale": Role("scale"),
        "conv1_d.w": Role("convolution", (0, 1), 2),
        "conv2_d.w": Role("convolution", (0, 1, 2), 3),
        "conv2_d_transpose.w": Role("convolution", (0, 1, 3), 2),
        "batch_norm.scale": Role("scale"),
        "batch_norm.offset": Role("bias"),
        "lstm/linear.w": Role("fused", 0, 1, split_sizes=(4,) * 4),
        "gru.w_i": Role("fused", 0, 1, split_sizes=(4,) * 3),
        "gru.w_h": Role("fused", 0, 1, split_sizes=(4,) * 3),
        "mlp/~/linear_0.w": Role("matrix", 0, 1),
        "logits.w": Role("unembedding", 0, 1),
    }
    assert {path: found[path] for path in expected} == expected


# Names, doubts, rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"qkv": {"kernel": zeros(8, 24)}}, Role("fused", 0, 1, split_sizes=(8, 8, 8))),
        ({"c_attn": {"kernel": zeros(8, 24), "bias": zeros(24)}}, Role("fused", 0, 1, split_sizes=(8, 8, 8))),
        ({"kv": {"kernel": zeros(8, 16)}}, Role("fused", 0, 1, split_sizes=(8, 8))),
        ({"qkv": {"kernel": zeros(8, 3, 2, 4), "bias": zeros(3, 2, 4)}}, Role("fused", 0, (1, 2, 3), 2, (8, 8, 8))),
        ({"qkv": {"kernel": zeros(5, 8, 24), "bias": zeros(5, 24)}}, Role("fused", 1, 2, split_sizes=(8, 8, 8))),
        ({"wq": zeros(8, 8)}, Role("matrix", 0, 1)),
        ({"proj": {"kernel": zeros(16, 16, 3, 8), "bias": zeros(8)}}, Role("convolution", (0, 1, 2), 3)),
        ({"up": {"kernel": zeros(5, 8, 16), "bias": zeros(5, 16)}}, Role("stack", 1, 2)),
        ({"q": {"kernel": zeros(8, 2, 4)}, "to_out": {"kernel": zeros(2, 4, 8)}}, Role("heads", 0, (1, 2), heads=2)),
        ({"q": {"kernel": zeros(5, 8, 6)}, "to_out": {"kernel": zeros(5, 6, 8)}}, Role("stack", 1, 2)),
        ({"lora": {"a": zeros(3), "b": zeros(2)}}, Role("vector")),
    ],
)  # fmt: skip
def test_what_names_shapes_and_neighbours_tell(params, expected):
    found = gx.roles(params)
    assert next(role for path, role in found.items() if not path.endswith("bias")) == expected


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"table": zeros(9, 4)}, "table (9, 4): 'matrix', 1 × (9, 4); 'embedding'"),
        ({"embed": {"kernel": zeros(9, 4)}}, "embed.kernel (9, 4): 'embedding'; 'matrix', 1 × (9, 4)"),
        (
            {"up": {"kernel": zeros(3, 8, 16)}},
            "up.kernel (3, 8, 16): Role('heads', 0, (1, 2), heads=8), 8 × (3, 16); "
            "Role('heads', (0, 1), 2, input_heads=3), 3 × (8, 16); 'convolution', 1 × (24, 16); 'stack', 3 × (8, 16)",
        ),
        (
            {"q": {"kernel": zeros(8, 2, 4)}},
            "q.kernel (8, 2, 4): Role('heads', 0, (1, 2), heads=2), 2 × (8, 4); 'stack', 8 × (2, 4)",
        ),
        (
            {"qkv": {"kernel": zeros(8, 16)}},
            "qkv.kernel (8, 16): Role('fused', split_sizes=(...)), parts of sizes that cannot be seen; "
            "'matrix', 1 × (8, 16)",
        ),
        (
            {"query_key_value": {"kernel": zeros(8, 24)}},
            "query_key_value.kernel (8, 24): Role('fused', split_sizes=(...)), parts of sizes that cannot be seen; "
            "'matrix', 1 × (8, 24)",
        ),
        ({"cube": zeros(2, 3, 4)}, "cube (2, 3, 4): 'stack', 2 × (3, 4); 'embedding'"),
        ({"lora": {"a": zeros(3), "b": zeros(2, 5)}}, "lora.b (2, 5): 'matrix', 1 × (2, 5); 'embedding'"),
        ({"Conv_0": {"kernel": zeros(2, 3)}}, "Conv_0.kernel (2, 3): no layer is known to have this"),
    ],
)  # fmt: skip
def test_a_doubt_is_an_error_that_says_what_it_could_be(params, line):
    with pytest.raises(gx.TransformationError) as error:
        gx.roles(params)
    assert str(error.value).splitlines()[1:] == [f"  {line}"]


def test_all_doubts_are_in_one_error_and_rules_answer_them():
    params = {"table": zeros(9, 4), "enc": {"up": {"kernel": zeros(3, 8, 16)}, "w": zeros(2, 2)}}
    with pytest.raises(gx.TransformationError) as error:
        gx.roles(params)
    first, *rest = str(error.value).splitlines()
    assert first == "roles: 2 leaves could be several things: say which, as in " + (
        "gradtx.roles(params, rules={'enc.up.kernel': Role('heads', 0, (1, 2), heads=8)})"
    )
    assert [line.split(":")[0] for line in rest] == ["  enc.up.kernel (3, 8, 16)", "  table (9, 4)"]
    found = gx.roles(params, {"*.up": "stack", "table": Role("embedding")})
    assert repr(found).startswith("Roles({'enc.up.kernel': Role('stack', 1, 2), ")
    assert dict(found) == {
        "enc.up.kernel": Role("stack", 1, 2),
        "enc.w": Role("matrix", 0, 1),
        "table": Role("embedding", 0, 1),
    }
    assert kinds(params, {"enc.w": "unembedding", "*": "bias"}) == {
        "enc.up.kernel": "bias", "enc.w": "unembedding", "table": "bias"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"w": "matrx"}, r"roles: rules: 'w': Role: kind: found 'matrx' \(did you mean 'matrix'\?\)"),
        ({"w": 3}, r"rules: 'w': expected a gradtx.Role or its kind, such as 'matrix', found 3"),
        ({"v": "matrix"}, "'v' matches no leaf"),
        ({"w": "stack"}, r"leaf w: expected axes that are left, found one matrix of shape \(4, 6\)"),
        ({"w": "heads"}, "leaf w: expected heads or input_heads"),
        ({"w": Role("heads", heads=4)}, r"leaf w: expected heads that divide outputs of \(6,\), found \(4,\)"),
        ({"w": Role("heads", input_heads=3)}, "leaf w: expected input_heads that divide 4 inputs, found 3"),
        ({"w": Role("fused", split_sizes=(2, 2))}, r"split_sizes that add up to 6 outputs, found \(2, 2\)"),
        ({"w": Role("matrix", 0, 2)}, r"expected axes of an array of shape \(4, 6\), found 2"),
        ({"w": Role("matrix", 0, 0)}, "expected each axis once"),
        ({"w": "vector"}, r"expected at most one axis longer than 1 in a vector, found shape \(4, 6\)"),
        ({"w": "scalar"}, "expected no axes in a scalar"),
        ({"c": "matrix"}, r"leaf c: expected one matrix, but in shape \(2, 4, 6\) axis 0 is left: that is a 'stack'"),
        ({"b": "matrix"}, r"leaf b: expected a matrix, found shape \(6,\)"),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_are_errors(rules, words):
    params = {"w": zeros(4, 6), "b": zeros(6), "c": zeros(2, 4, 6)}
    with pytest.raises(gx.TransformationError, match=words):
        gx.roles(params, {"c": "stack", **rules})


def test_a_table_is_printed_and_roles_are_a_mapping_and_a_value():
    params = {"scan": {"w": zeros(2, 4, 6), "b": zeros(2, 6)}, "n": jnp.arange(3), "key": KEY, "none": None, "s": 1.0}
    found = gx.roles(params)
    assert str(found).splitlines() == [
        "path    shape      role      axes   pieces      why",
        "key     ()         constant                     not floating-point",
        "n       (3,)       constant                     not floating-point",
        "s       ()         scalar                       no axes",
        "scan.b  (2, 6)     bias                         named b",
        "scan.w  (2, 4, 6)  stack     1 → 2  2 × (4, 6)  named w, stacked",
    ]
    assert found["scan.w"] == Role("stack", 1, 2)
    assert len(found) == 5
    assert "none" not in found
    assert found.kinds == {
        "key": "constant", "n": "constant", "none": None, "s": "scalar", "scan": {"b": "bias", "w": "stack"}
    }  # fmt: skip
    assert found == gx.roles(params) == pickle.loads(pickle.dumps(found))
    assert hash(found) == hash(gx.roles(params))
    assert found != gx.roles(params, {"n": "constant"})  # another reason
    assert repr(Role("heads", (0, -1), 2, input_heads=2)) == "Role('heads', (0, -1), 2, input_heads=2)"


# Matrices cut apart ---------------------------------------------------------------------------------------------------


def columns(x, sizes):
    """A matrix cut in NumPy."""
    return np.split(np.asarray(x), np.cumsum(sizes)[:-1], 1)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((4, 6), DimensionNumbers(), lambda x: [[x]]),
        ((4, 6), DimensionNumbers(1, 0), lambda x: [[x.T]]),
        ((4, 6), DimensionNumbers(heads=3), lambda x: [columns(x, (2, 2, 2))]),
        ((4, 6), DimensionNumbers(input_heads=2), lambda x: [[x[:2], x[2:]]]),
        ((4, 6), DimensionNumbers(split_sizes=(4, 2)), lambda x: [[x[:, :4]], [x[:, 4:]]]),
        ((4, 6), DimensionNumbers(split_sizes=(2, 2, 2)), lambda x: [columns(x, (2, 2, 2))]),
        ((4, 8), DimensionNumbers(split_sizes=(4, 2, 2), heads=(2, 1, 1)), lambda x: [columns(x, (2, 2, 2, 2))]),
        ((4, 7), DimensionNumbers(split_sizes=(2, 3, 2)), lambda x: [[x[:, :2], x[:, 5:]], [x[:, 2:5]]]),
        ((4, 2, 3), DimensionNumbers(0, (1, 2), heads=2), lambda x: [[x[:, 0], x[:, 1]]]),
        ((2, 3, 4), DimensionNumbers((0, 1), 2, input_heads=2), lambda x: [[x[0], x[1]]]),
        ((2, 4, 6), DimensionNumbers(1, 2, heads=2), lambda x: [[x[0, :, :3], x[0, :, 3:], x[1, :, :3], x[1, :, 3:]]]),
        ((4, 6, 2), DimensionNumbers(0, 1), lambda x: [[x[..., 0], x[..., 1]]]),
        ((2, 3, 3), DimensionNumbers((2, 1), 0), lambda x: [[x.transpose(2, 1, 0).reshape(9, 2)]]),
        ((0, 4), DimensionNumbers(heads=2), lambda x: [columns(x, (2, 2))]),
    ],
)  # fmt: skip
def test_pieces_are_the_matrices_and_go_back(shape, axes, expected):
    x = jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)
    parts, back = pieces(x, axes)
    assert [part.shape for part in parts] == piece_shapes(x, axes)
    for part, theirs in zip(parts, expected(np.asarray(x)), strict=True):
        np.testing.assert_array_equal(part, np.stack(theirs))
    np.testing.assert_array_equal(back(parts), x)
    doubled = jax.jit(lambda x: (lambda parts, back: back([2 * part for part in parts]))(*pieces(x, axes)))(x)
    np.testing.assert_array_equal(doubled, 2 * x)
    assert as_matrices(x, axes)[0].size == x.size  # side by side


@pytest.mark.parametrize(
    ("params", "alone"),
    [
        ({"up": {"kernel": (3, 4, 5), "bias": (3, 5)}}, lambda x: [x[0], x[1], x[2]]),
        ({"query": {"kernel": (6, 2, 3), "bias": (2, 3)}}, lambda x: [x[:, 0], x[:, 1]]),
        ({"out": {"kernel": (2, 3, 6), "bias": (6,)}}, lambda x: [x[0], x[1]]),
        ({"qkv": {"kernel": (4, 12)}}, lambda x: [x[:, :4], x[:, 4:8], x[:, 8:]]),
        ({"conv": {"kernel": (2, 2, 3, 5)}}, lambda x: [x.reshape(12, 5)]),
    ],
)  # fmt: skip
def test_orthogonalized_pieces_are_each_orthogonalized_alone(params, alone):
    params = jax.tree.map(lambda shape: jax.random.normal(KEY, shape), params, is_leaf=lambda x: isinstance(x, tuple))
    (name,) = params
    x = params[name]["kernel"]
    tx = gx.partition(
        {"a": gx.orthogonalize(weight_dimension_numbers=gx.roles), "b": gx.sgd(0.1)}, {"*kernel": "a", "*": "b"}
    )
    made = tx.update(params, tx.init(params))[0][name]["kernel"]
    single = gx.orthogonalize()
    for whole, part in zip(alone(made), alone(x), strict=True):
        np.testing.assert_allclose(whole, single.update(part, {})[0], atol=2e-6)


# Transformations by role ----------------------------------------------------------------------------------------------

MIXED = {
    "embed": {"embedding": jnp.ones((5, 4))},
    "layers": {"up": {"kernel": jnp.ones((3, 4, 6)), "bias": jnp.ones((3, 6))}, "norm": {"scale": jnp.ones((3, 4))}},
    "attn": {"query": {"kernel": jnp.ones((4, 2, 2)), "bias": jnp.ones((2, 2))}},
    "lm_head": {"kernel": jnp.ones((4, 5))},
}


def steps(tx, params):
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    return dict(zip(gx.tree.paths(params), [float(-x.ravel()[0]) for x in jax.tree.leaves(updates)], strict=True))


def test_each_role_has_its_transformation():
    tx = gx.by_role(
        {"matrices": gx.sgd(1.0), "heads": gx.sgd(2.0), "embedding": gx.sgd(3.0), "bias": gx.sgd(4.0)}, gx.sgd(5.0)
    )
    assert steps(tx, MIXED) == {
        "attn.query.bias": 4.0,
        "attn.query.kernel": 2.0,
        "embed.embedding": 3.0,
        "layers.norm.scale": 5.0,
        "layers.up.bias": 4.0,
        "layers.up.kernel": 1.0,
        "lm_head.kernel": 5.0,
    }
    ruled = gx.by_role({"matrices": gx.sgd(1.0)}, gx.sgd(5.0), {"lm_head": "matrix"})
    assert steps(ruled, MIXED)["lm_head.kernel"] == 1.0
    assert tx.replace({"heads.learning_rate": 0.5}).update(MIXED, {})[0]["attn"]["query"]["kernel"][0, 0, 0] == -0.5


def test_frozen_constants_and_missing_leaves_have_roles():
    params = {"w": jnp.ones((2, 2)), "n": jnp.arange(3), "none": None}
    tx = gx.by_role({"matrices": gx.sgd(1.0), "constant": gx.set_to_zero()})
    updates, _ = tx.update({"w": jnp.ones((2, 2)), "n": jnp.zeros(3, int), "none": None}, tx.init(params), params)
    assert updates["none"] is None
    np.testing.assert_array_equal(updates["n"], [0, 0, 0])
    np.testing.assert_array_equal(updates["w"], -np.ones((2, 2)))


def test_a_role_without_transformation_is_an_error_that_lists_the_leaves():
    with pytest.raises(gx.TransformationError) as error:
        gx.by_role({"matrices": gx.sgd(1.0), "bias": gx.sgd(1.0)}).init(MIXED)
    assert str(error.value) == (
        "by_role: no transformation, and no default, for embed.embedding (embedding), "
        "layers.norm.scale (scale), lm_head.kernel (unembedding)"
    )
    with pytest.raises(gx.TransformationError, match=r"by_role: no role 'biases' \(did you mean 'bias'\?\)"):
        gx.by_role({"biases": gx.sgd(1.0)}).init(MIXED)
    with pytest.raises(gx.TransformationError, match="default: found two"):
        gx.by_role({"default": gx.sgd(1.0)}, gx.sgd(1.0)).init(MIXED)


def test_muon_takes_matrices_by_role_and_optax_by_rank():
    def moments(state):
        return gx.tree.get(state, "mu", filtering=lambda path, _: "muon" in gx.tree.path_name(path))

    by_role = moments(gx.muon(0.1).init(MIXED))
    assert [x.shape for x in jax.tree.leaves(by_role)] == [(4, 2, 2), (3, 4, 6)]
    by_rank = moments(gradtx.optax.contrib.muon(0.1).init(MIXED))
    assert {x.shape for x in jax.tree.leaves(by_rank)} == {(5, 4), (2, 2), (3, 6), (3, 4), (4, 5)}
    with pytest.raises(gx.TransformationError, match=r"muon: roles: a leaf could be several things.*'table': 'matrix'"):
        gx.muon(0.1).init({"table": zeros(9, 4)})
    said = functools.partial(gx.roles, rules={"table": "embedding"})
    for answer in (said, gx.roles({"table": zeros(9, 4)}, {"table": "embedding"})):
        gx.muon(0.1, muon_weight_dimension_numbers=answer).init({"table": zeros(9, 4)})


def test_roles_are_known_where_a_mask_hides_the_leaf_that_tells_them():
    params = {"up": {"kernel": jnp.ones((3, 4, 6)), "bias": jnp.ones((3, 6))}}  # alone, the kernel could be many things
    inner = gx.masked(gx.orthogonalize(weight_dimension_numbers=gx.roles), "*.kernel")
    tx = gx.chain(gx.freeze("*.bias"), gx.lookahead(inner, 2, 0.5))
    for update in (tx.update, jax.jit(tx.update)):
        made, _ = update(params, tx.init(params), params)
        assert made["up"]["kernel"].shape == (3, 4, 6)
    lone = {"up": {"kernel": params["up"]["kernel"], "bias": None}}  # here nothing tells it
    state = tx.init(lone)
    with pytest.raises(gx.TransformationError, match="several things"):
        tx.update(lone, state, lone)


def test_a_role_may_stand_for_dimension_numbers():
    x = jax.random.normal(KEY, (4, 6))
    cut = gx.orthogonalize(weight_dimension_numbers=Role("matrix", 1, 0))
    np.testing.assert_array_equal(
        cut.update(x, {})[0], gx.orthogonalize(weight_dimension_numbers=DimensionNumbers(1, 0)).update(x, {})[0]
    )
    with pytest.raises(gx.TransformationError, match="expected reduction_axis and output_axis, found Role"):
        gx.orthogonalize(weight_dimension_numbers=Role("matrix")).update(x, {})
