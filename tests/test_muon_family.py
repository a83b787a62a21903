"""The Muon family: recipes against float64 references and recorded trajectories, and the identities between them."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from tests import references_matrices as M
from tests.recorded import trajectory

HERE = pathlib.Path(__file__).parent / "oracles"
MODERN, WIDE = (json.loads((HERE / f"torch_{name}.json").read_text()) for name in ("modern", "muon"))
TORCH = {"w": gx.MuonDimensionNumbers(1, 0), "u": gx.MuonDimensionNumbers(1, 0), "b": None}  # outputs first
STEPS = 12
EVERY = {"weight_dimension_numbers": gx.MuonDimensionNumbers()}  # whatever has two axes


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


def drawn(shapes, seed=3):
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return params, [
        {name: rng.normal(size=s) * np.exp(rng.normal()) for name, s in shapes.items()} for _ in range(STEPS)
    ]


def updates_of(tx, params, gradients, **extra):
    params, made = jax.tree.map(jnp.asarray, params), []
    state, update = tx.init(params), jax.jit(tx.update)
    for g in gradients:
        u, state = update(jax.tree.map(jnp.asarray, g), state, params, **extra)
        params = gx.apply_updates(params, u)
        made.append(jax.tree.map(np.asarray, u))
    return made


# References -----------------------------------------------------------------------------------------------------------

REFERENCES = {
    "normuon": (gx.normuon(0.1, weight_decay=0.1, **EVERY), M.beside(M.normuon, 0.1, 0.1)),
    "normuon of the paper": (
        gx.normuon(0.1, adjust_lr_fn="match_rms_adamw", **EVERY),
        M.beside(functools.partial(M.normuon, rms=0.2), 0.1),
    ),
    "adamuon": (gx.adamuon(0.1, weight_decay=0.1, **EVERY), M.beside(M.adamuon, 0.1, 0.1)),
    "dion2": (
        gx.dion2(0.1, fraction=0.5, adam_weight_decay=0.0, **EVERY),
        M.beside(functools.partial(M.dion2, fraction=0.5), 0.1, 0.01, eps=1e-8),
    ),
    "aurora": (gx.aurora(0.1, **EVERY), M.beside(M.aurora, 0.1, 0.025, eps=1e-8)),
    "adago": (gx.adago(0.1, **EVERY), functools.partial(M.adago, rate=0.1)),
    "scion": (
        gx.scion(0.1, radius=2.0, weight_decay=1.0, **EVERY),
        functools.partial(M.scion, rate=0.1, radius=2.0, weight_decay=1.0),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_equals_its_reference(name, wide):
    tx, reference = REFERENCES[name]
    params, gradients = drawn({"w": (3, 5), "u": (5, 3), "v": (4, 4), "b": (4,)})
    expected, _ = reference(gradients, params)
    for found, wanted in zip(updates_of(tx, params, gradients), expected, strict=True):
        for leaf in params:
            np.testing.assert_allclose(found[leaf], wanted[leaf], rtol=0, atol=1e-10)


@pytest.mark.parametrize("ball", ["sign", "outputs", "inputs", "rms"])
def test_every_norm_of_scion_equals_its_reference(ball, wide):
    x = np.random.default_rng(0).normal(size=(3, 5))
    found, _ = gx.scale_by_lmo(ball=ball).update(jnp.asarray(x), {})
    np.testing.assert_allclose(found, M.lmo(x, ball), rtol=1e-14)
    chosen = gx.scion(0.5, beta=0.0, end_radius=3.0, norms={"*": ball})
    radius = 1.0 if ball == "rms" else 3.0
    moved, _ = chosen.update(jnp.asarray(x), chosen.init(jnp.asarray(x)), jnp.asarray(x))
    np.testing.assert_allclose(moved, -0.5 * radius * M.lmo(x, ball), rtol=1e-14)


# Recorded trajectories ------------------------------------------------------------------------------------------------


def clamped(inner, *links, rate=0.02, **adam):
    """Links for matrices, and for vectors what the recorded code has."""
    matrices = gx.chain(inner, *links, gx.scale_by_learning_rate(rate))
    return gx.partition({"m": matrices, "b": gx.adamw(3e-4, 0.9, 0.95, 1e-10, weight_decay=0.0)}, {"b": "b", "*": "m"})


def of_torch(case):
    """What was recorded, in our words: in that code nothing is added to the norm, so ε is 0."""
    name, given = case["optimizer"].rpartition(".")[2], case["given"]
    axes = {"weight_dimension_numbers": TORCH}
    of_matrices = {"weight_dimension_numbers": gx.MuonDimensionNumbers(1, 0)}
    orthogonal = gx.orthogonalize(eps=0.0, **of_matrices)
    if name == "Muon":
        looks = (gx.nesterov_lookahead(0.95),) if given.get("nesterov", True) else ()
        size = gx.scale_by_shape(
            scaling="match_rms_adamw" if given.get("use_adjusted_lr") else "original", **of_matrices
        )
        decay = gx.add_decayed_weights(given.get("weight_decay", 0.0))
        return clamped(gx.trace(0.95), *looks, orthogonal, size, decay)
    if name == "NorMuon":
        adjusted = {"adjust_lr_fn": "match_rms_adamw"} if "update_scale" in given else {}
        rest = {"adam_learning_rate": 3e-4, "weight_decay": given.get("weight_decay", 0.0)}
        return gx.normuon(0.02, **rest, **adjusted, **axes)
    if name == "AdaMuon":
        return gx.adamuon(0.02, adam_learning_rate=3e-4, adam_b2=0.999, **axes)
    if name == "AdaGO":
        each = {  # that code multiplies the rate by the factor of the shape, before it is compared with the least step
            leaf: gx.chain(gx.scale_by_ewma(0.95), orthogonal, gx.scale_by_norm_history(rate, divide_by="sum"))
            for leaf, rate in {"w": 0.02 * 1.5**0.5, "u": 0.02}.items()
        }
        vectors = gx.adamw(3e-4, 0.9, 0.95, 1e-10, weight_decay=0.0)
        return gx.partition({**each, "b": vectors}, {"w": "w", "u": "u", "b": "b"})
    how = {"beta": 0.9 if name == "SCION" else 0.0, "radius": given.get("scale", 1.0)}
    return gx.scion(0.001, weight_decay=float(given.get("constraint", False)), **how, **axes)


def case_title(case):
    return f"{case['optimizer'].rpartition('.')[2]} {case['given']}"


def farthest(case, tx):
    """The largest difference from what was recorded, of matrices and of vectors."""
    trained, _ = trajectory(tx, MODERN)
    off = {"matrices": 0.0, "vectors": 0.0}
    for after, params in case["params"].items():
        for leaf, value in params.items():
            kind = "vectors" if leaf == "b" else "matrices"
            off[kind] = max(off[kind], np.abs(trained[leaf][int(after) - 1] - np.asarray(value)).max())
    return off


@pytest.mark.parametrize("case", WIDE["cases"], ids=case_title)
def test_reproduces_the_trajectory_of_in_double_precision(case):
    assert max(farthest(case, of_torch(case)).values()) <= 1e-10


RECORDED = {case_title(case): case for case in WIDE["cases"]}


@pytest.mark.parametrize("title", [title for title in RECORDED if "weight_decay" not in title and "scale" not in title])
def test_is_as_far_from_the_trajectory_in_half_precision_as_that_precision_is(title):
    """That code makes matrices orthogonal in bfloat16; where it does not, it is met to 1e-10."""
    of_matrices = next(c for c in MODERN["cases"] if case_title(c) == title)
    off = farthest(of_matrices, of_torch(of_matrices))
    steps = 40 * max(of_matrices["given"]["lr"], 0.001)
    assert off["vectors"] <= 1e-10
    assert off["matrices"] <= steps * 2.0**-8 * 2  # a rounding to 8 bits, twice, in the same direction each time


# Identities -----------------------------------------------------------------------------------------------------------

SQUARE = {"w": (4, 4), "v": (4, 4)}


def same(a, b, atol=1e-12):
    for x, y in zip(a, b, strict=True):
        for leaf in x:
            np.testing.assert_allclose(x[leaf], y[leaf], rtol=0, atol=atol)


def test_dion2_of_everything_is_heavy_ball_muon(wide):
    params, gradients = drawn({"w": (3, 5), "u": (5, 3)})
    sizes = gx.scale_by_shape(scaling="spectral")
    links = (gx.trace(0.95), gx.orthogonalize("polar_express"), sizes, gx.scale_by_learning_rate(0.1))
    dion2 = gx.dion2(0.1, weight_decay=0.0, fraction=1.0, **EVERY)
    same(updates_of(dion2, params, gradients), updates_of(gx.chain(*links), params, gradients))


def test_aurora_of_square_matrices_is_muon(wide):
    params, gradients = drawn(SQUARE)
    links = (gx.trace(0.95), gx.nesterov_lookahead(0.95), gx.orthogonalize((2.0, -1.5, 0.5), 1e-7, steps=12))
    muon = gx.chain(*links, gx.scale_by_learning_rate(0.1))
    same(updates_of(gx.aurora(0.1, weight_decay=0.0, **EVERY), params, gradients), updates_of(muon, params, gradients))


@pytest.mark.parametrize("shape", [(16, 64), (64, 16)])
def test_aurora_gives_the_longer_side_vectors_of_one_length(shape, wide):
    x = np.random.default_rng(1).normal(size=shape) * np.exp(np.random.default_rng(2).normal(size=shape[:1]))[:, None]
    spread = []
    for tx in (
        gx.orthogonalize((2.0, -1.5, 0.5), steps=12),
        gx.scale_by_aurora(),
        gx.scale_by_aurora(rounds=8),
    ):
        u, _ = tx.update(jnp.asarray(x), {})
        lengths = np.linalg.norm(u, axis=0 if shape[0] < shape[1] else 1)
        spread.append(np.abs(lengths - 0.5).max())  # √(16/64)
    assert spread[2] < 1e-2
    assert spread[1] < spread[0] / 2


def test_muon_has_the_scalings_of_pytorch_by_name(wide):
    params, gradients = drawn({"w": (3, 5)})
    axes = {"muon_weight_dimension_numbers": gx.MuonDimensionNumbers()}
    by_name = gx.muon(0.1, adjust_lr_fn="match_rms_adamw", **axes)
    same(
        updates_of(by_name, params, gradients), updates_of(gx.muon(0.1, consistent_rms=0.2, **axes), params, gradients)
    )
    with pytest.raises(gx.TransformationError, match="consistent_rms: scaling='match_rms_adamw' says it already"):
        gx.muon(0.1, consistent_rms=0.2, adjust_lr_fn="match_rms_adamw", **axes).init(jax.tree.map(jnp.asarray, params))


# Attention logits -----------------------------------------------------------------------------------------------------


def test_logits_of_clipped_weights_are_at_most_tau(wide):
    rng = np.random.default_rng(5)
    x, q, k = rng.normal(size=(20, 8)), rng.normal(size=(8, 3, 4)) * 5, rng.normal(size=(8, 3, 4)) * 5

    def largest(q, k):
        return np.abs(np.einsum("ie,ehd,jf,fhd->hij", x, q, x, k)).max((1, 2))

    before = largest(q, k)
    tau = float(np.sort(before)[1])  # one head is above, one on it, one below
    after = largest(*gx.qk_clip(jnp.asarray(q), jnp.asarray(k), jnp.asarray(before), tau, 0.0))
    np.testing.assert_allclose(after, np.minimum(before, tau), rtol=1e-12)
    fused, _ = gx.qk_clip(jnp.asarray(q.reshape(8, 12)), jnp.asarray(k.reshape(8, 12)), jnp.asarray(before), tau, 0.0)
    apart, _ = gx.qk_clip(jnp.asarray(q), jnp.asarray(k), jnp.asarray(before), tau, 0.0)
    np.testing.assert_array_equal(fused.reshape(8, 3, 4), apart)
    with pytest.raises(gx.TransformationError, match=r"one for each head on axis 1 of \(8, 12\), found \(5,\)"):
        gx.qk_clip(jnp.ones((8, 12)), jnp.ones((8, 12)), jnp.ones(5))


def test_muon_clip_ends_where_qk_clip_of_muon_would(wide):
    params, gradients = drawn({"query": (4, 6), "key": (4, 6), "out": (6, 4)})
    s = {"query": jnp.array([400.0, 50.0]), "key": jnp.array([400.0, 50.0]), "out": None}
    axes = {"weight_dimension_numbers": gx.MuonDimensionNumbers()}
    found = updates_of(gx.muon_clip(0.1, **axes), params, gradients[:1], max_logits=s)[0]
    plain = updates_of(gx.muon_clip(0.1, **axes), params, gradients[:1], max_logits=jnp.array(1.0))[0]
    moved = {leaf: jnp.asarray(params[leaf] + plain[leaf]) for leaf in params}
    query, key = gx.qk_clip(moved["query"], moved["key"], s["query"])
    for leaf, wanted in {"query": query, "key": key, "out": moved["out"]}.items():
        np.testing.assert_allclose(params[leaf] + found[leaf], wanted, rtol=1e-12)
    np.testing.assert_allclose(query[:, :3] / moved["query"][:, :3], 0.5, rtol=1e-8)  # √(100/400)
