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
    "normuon": (gx.normuon(0.1, weight_decay=0.1), M.beside(M.normuon, 0.1, 0.1)),
    "normuon of the paper": (
        gx.normuon(0.1, adjust_lr_fn="match_rms_adamw"),
        M.beside(functools.partial(M.normuon, rms=0.2), 0.1),
    ),
    "adamuon": (gx.adamuon(0.1, weight_decay=0.1), M.beside(M.adamuon, 0.1, 0.1)),
    "dion2": (
        gx.dion2(0.1, fraction=0.5, adam_weight_decay=0.0),
        M.beside(functools.partial(M.dion2, fraction=0.5), 0.1, 0.01, eps=1e-8),
    ),
    "aurora": (gx.aurora(0.1), M.beside(M.aurora, 0.1, 0.025, eps=1e-8)),
    "adago": (gx.adago(0.1), functools.partial(M.adago, rate=0.1)),
    "scion": (
        gx.scion(0.1, radius=2.0, weight_decay=1.0),
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
        return gx.adamuon(0.02, adam_learning_rate=3e-4, **axes)
    if name == "AdaGO":
        return gx.adago(0.02, divide_by="sum", **axes)
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
    print(farthest(case, of_torch(case)))
    assert max(farthest(case, of_torch(case)).values()) <= 1e-10
