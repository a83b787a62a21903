"""A user extends the library by public names alone: one program of every kind, thirty lines at most each.

The programs are the files of ``tests/extending``. Each keeps every contract of the kit, and is compared with Optax,
with PyTorch's trajectories, or with the paper in float64.
"""

import ast
import importlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx.testing import CONTRACTS, check
from tests.extending import (
    accumulation,
    belief,
    eight_bit,
    eight_bit_momentum,
    factored,
    guard,
    kronecker,
    lookahead,
    noise,
    orthogonal,
    polyak,
    prodigy,
    schedule_free,
    wary,
)

FOLDER = pathlib.Path(__file__).parent / "extending"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
ORACLE = json.loads((FOLDER.parent / "oracles" / "torch_extending.json").read_text())
OF_PARAMS = 1e-6  # an update that is a difference of parameters is as exact as they are


def fall(step):
    """A schedule that no wrapper may read at another step than its own."""
    return 0.1 / (1.0 + jnp.asarray(step, float))


INNER = gx.sgd(fall, 0.9)
CHECKS = {  # what the kit is asked; a tolerance where the arithmetic, not the library, has it
    "accumulation": (accumulation.mean_of(INNER, many=2), {}),
    "belief": (belief.scale_by_belief(), {}),
    "eight_bit": (eight_bit.in_eight_bits(INNER), {}),
    "eight_bit_momentum": (eight_bit_momentum.trace_in_eight_bits(), {}),
    "factored": (factored.scale_by_factors(), {}),
    "guard": (guard.skip_nonfinite(INNER), {}),
    # A root of a singular matrix is as exact as its smallest eigenvalue, which is eps, to a rounding of the largest.
    "kronecker": (kronecker.scale_by_shampoo(0.01), {"tolerance": 1e-4}),
    "lookahead": (lookahead.look_ahead(INNER, period=2), {"tolerance": OF_PARAMS}),
    "noise": (noise.langevin(0.1), {}),
    "orthogonal": (orthogonal.muon(0.1), {}),
    "polyak": (polyak.polyak(), {"extra": {"value": jnp.array(0.5)}}),
    "prodigy": (prodigy.prodigy(), {}),
    "schedule_free": (schedule_free.free_of_schedule(INNER), {"tolerance": OF_PARAMS}),
    "wary": (wary.wary(INNER), {}),
}


# The programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_thirty_lines_of_public_names_are_enough_for(name):
    text = (FOLDER / f"{name}.py").read_text()
    tree = ast.parse(text)
    docstrings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        for doc in node.body[:1]
        if isinstance(doc, ast.Expr)
        for line in range(doc.lineno, doc.end_lineno + 1)
    }
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() and n not in docstrings]
    assert len(lines) <= 30
    imported = {
        (node.module, alias.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {module for module, _ in imported} <= {"gradtx", "typing"}
    assert {name for module, name in imported if module == "gradtx"} <= set(gx.__all__)
    plain = {(a.name, a.asname) for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert plain <= {("jax", None), ("jax.numpy", "jnp"), ("gradtx", "gx")}
    of_gx = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "gx"}
    assert of_gx <= set(gx.__all__)
    used = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree)}
    assert [name for name in used if name.startswith("_") and name != "_"] == []


def test_every_program_is_checked():
    assert sorted(CHECKS) == PROGRAMS
    assert all(hasattr(importlib.import_module(f"tests.extending.{name}"), "__doc__") for name in PROGRAMS)


@pytest.mark.parametrize("name", CHECKS)
def test_the_kit_finds_nothing_in(name):
    tx, kept = CHECKS[name]
    assert "exempt" not in kept
    check(tx, **kept)
    assert len(CONTRACTS) > 15


# Optax and the papers -------------------------------------------------------------------------------------------------


def drawn(steps=12, seed=0):
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=(3,))}
    return params, [{k: rng.normal(size=v.shape) for k, v in params.items()} for _ in range(steps)]


def trajectory(tx, params, gradients, extra=lambda params: {}):
    """The parameters after every step, in float64."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        params = jax.tree.map(jnp.asarray, params)
        state, path = tx.init(params), []
        update = jax.jit(tx.update)
        for gradient in gradients:
            updates, state = update(jax.tree.map(jnp.asarray, gradient), state, params, **extra(params))
            params = optax.apply_updates(params, updates)
            path.append(jax.tree.map(np.asarray, params))
        return path, state, params


def assert_same_path(ours, theirs, atol):
    for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for name in b:
            np.testing.assert_allclose(a[name], b[name], rtol=0, atol=atol, err_msg=f"{name} after step {n + 1}")


def square_loss(params):
    """What a Polyak step is told."""
    return {"value": sum((x**2).sum() for x in jax.tree.leaves(params))}


def by_role(params):
    return jax.tree.map(lambda x: "matrix" if x.ndim == 2 else "other", params)


def as_matrices(updates):
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(), updates)


OF_OPTAX = {  # without its own momentum, which is no heavy ball
    "matrix": optax.chain(
        optax.trace(0.9),
        optax.contrib.scale_by_muon(beta=0.0, nesterov=False, weight_dimension_numbers=as_matrices),
        optax.scale(-0.1),
    ),
    "other": optax.sgd(0.1),
}

PEERS = {  # MultiSteps and factored_rms of Optax compute their means and decays in float32, also where all is float64
    "accumulation": (accumulation.mean_of(INNER, many=4), optax.MultiSteps(optax.sgd(fall, 0.9), 4), {}, 1e-7),
    "belief": (
        gx.chain(belief.scale_by_belief(eps=1e-8), gx.scale(-0.1)),
        optax.chain(optax.scale_by_belief(eps=1e-8), optax.scale(-0.1)),
        {},
        1e-12,
    ),
    "factored": (
        gx.chain(factored.scale_by_factors(), gx.scale(-0.1)),
        optax.chain(optax.scale_by_factored_rms(min_dim_size_to_factor=2), optax.scale(-0.1)),
        {},
        1e-7,
    ),
    "orthogonal": (orthogonal.muon(0.1, 0.9), optax.partition(OF_OPTAX, by_role), {}, 1e-10),
    "polyak": (polyak.polyak(0.05, -1.0), optax.polyak_sgd(0.05, f_min=-1.0), {"extra": square_loss}, 1e-12),
    "prodigy": (prodigy.prodigy(d0=0.01), optax.contrib.prodigy(1.0, (0.9, 0.999), estim_lr0=0.01), {}, 1e-12),
    "schedule_free": (
        schedule_free.free_of_schedule(gx.sgd(0.1)),
        optax.contrib.schedule_free(optax.sgd(0.1), 0.1, b1=0.9),
        {},
        1e-12,
    ),
}


@pytest.mark.parametrize("name", PEERS)
def test_goes_where_optax_goes(name):
    ours, theirs, options, atol = PEERS[name]
    params, gradients = drawn()
    assert_same_path(*(trajectory(tx, params, gradients, **options)[0] for tx in (ours, theirs)), atol)


def test_guard_goes_where_optax_goes_and_lets_the_third_in_a_row_in():
    params, gradients = drawn(9)
    for n in (2, 5, 6):
        gradients[n]["w"][1, 1] = np.nan
    ours = guard.skip_nonfinite(INNER, at_most=2)
    theirs = optax.apply_if_finite(optax.sgd(fall, 0.9), 2)
    assert_same_path(*(trajectory(tx, params, gradients)[0] for tx in (ours, theirs)), 1e-12)
    for n in (1, 2, 3):
        gradients[n]["b"][0] = np.inf
    path, _, params = trajectory(ours, params, gradients)
    assert np.isfinite(path[2]["b"]).all()
    assert not np.isfinite(path[3]["b"]).all()


def test_lookahead_goes_where_optax_goes_and_deploys_the_slow_parameters():
    params, gradients = drawn()
    tx = lookahead.look_ahead(INNER, 0.3, period=3)
    path, state, last = trajectory(tx, params, gradients)
    theirs = optax.lookahead(optax.sgd(fall, 0.9), 3, 0.3)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        both = optax.LookaheadParams.init_synced(jax.tree.map(jnp.asarray, params))
        kept = theirs.init(both)
        for gradient, ours in zip(gradients, path, strict=True):
            updates, kept = theirs.update(jax.tree.map(jnp.asarray, gradient), kept, both)
            both = optax.apply_updates(both, updates)
            assert_same_path([ours], [both.fast], 1e-12)
        assert_same_path([gx.eval_params(tx, last, state)], [both.slow], 1e-12)


def test_eval_params_of_schedule_free_are_those_of_optax():
    params, gradients = drawn()
    tx = schedule_free.free_of_schedule(gx.sgd(0.1))
    theirs = optax.contrib.schedule_free(optax.sgd(0.1), 0.1, b1=0.9)
    (_, ours, last), (_, state, y) = (trajectory(x, params, gradients) for x in (tx, theirs))
    with jax.enable_x64(True):
        assert_same_path([gx.eval_params(tx, last, ours)], [optax.contrib.schedule_free_eval_params(state, y)], 1e-12)


def test_kronecker_factors_of_any_rank_are_those_of_the_paper():
    rng = np.random.default_rng(3)
    params = {"scalar": 1.0, "b": rng.normal(size=3), "w": rng.normal(size=(3, 2)), "t": rng.normal(size=(2, 3, 4))}
    params = jax.tree.map(np.asarray, params)
    gradients = [jax.tree.map(lambda x: rng.normal(size=x.shape), params) for _ in range(4)]
    path, state, _ = trajectory(gx.chain(kronecker.scale_by_shampoo(1e-3), gx.scale(-0.1)), params, gradients)
    assert [f.shape for f in state["scale_by_shampoo"]["factors"]["t"]] == [(2, 2), (3, 3), (4, 4)]
    for name, theta in params.items():
        k, theta = theta.ndim, theta.copy()
        factors = [np.zeros((n, n)) for n in theta.shape]
        for n, gradient in enumerate(gradients):
            u = g = gradient[name]
            for side in range(k):
                others = [axis for axis in range(k) if axis != side]
                factors[side] += np.tensordot(g, g, (others, others))
                values, vectors = np.linalg.eigh(factors[side] + 1e-3 * np.eye(len(factors[side])))
                root = vectors @ np.diag(values ** (-1 / (2 * k))) @ vectors.T
                u = np.moveaxis(np.tensordot(root, u, (1, side)), 0, side)
            theta = theta - 0.1 * u
            np.testing.assert_allclose(path[n][name], theta, rtol=0, atol=1e-10, err_msg=name)


# What a user need not know --------------------------------------------------------------------------------------------


def test_a_field_that_is_written_with_zeros_like_is_float32_where_parameters_are_bfloat16():
    @gx.transformation
    def average(decay: gx.Decay = 0.9):
        def formula(u, mu):
            mu = gx.ewma(decay, mu, u)
            return mu, mu

        return gx.per_leaf(formula, mu=jnp.zeros_like)

    state = average().init({"w": jnp.ones(3, jnp.bfloat16)})
    assert state["mu"]["w"].dtype == jnp.float32


def test_a_number_in_the_state_that_somebody_wrote_does_not_compile_again():
    @gx.transformation
    def counted(step_size=0.1):
        def update(updates, state):
            return jax.tree.map(lambda u: step_size * u, updates), {
                "largest": jnp.where(state["largest"] > 2, 2.0, 3.0)
            }

        return gx.whole_tree(update, init=lambda params: {"largest": jnp.asarray(1.0)})

    tx, params = counted(), jnp.ones(3)
    update, state = jax.jit(tx.update), tx.init(params)
    for _ in range(3):
        _, state = update(params, state)
    assert update._cache_size() == 1


def test_a_power_of_a_decay_takes_the_step_as_a_whole_number():
    @gx.transformation
    def corrected(decay: gx.Decay = 0.999):
        def update(updates, state, *, t):
            return jax.tree.map(lambda u: u / (1 - decay**t), updates), state

        return gx.whole_tree(update)

    tx, one = corrected(), jnp.ones(1)
    state = tx.init(one)
    for t in (1, 2, 3):
        updates, state = tx.update(one, state)
        np.testing.assert_allclose(updates, [1 / (1 - 0.999**t)], rtol=2e-7)


# Eight bits -----------------------------------------------------------------------------------------------------------


def test_momentum_in_eight_bits_is_that_of_blocks_by_hand():
    rng = np.random.default_rng(5)
    gradients = rng.normal(size=(6, 10, 13))
    path, state, _ = trajectory(eight_bit_momentum.trace_in_eight_bits(0.9), {"w": np.zeros((10, 13))},
                                [{"w": g} for g in gradients])  # fmt: skip
    assert state["trace"]["w"].codes.dtype == np.int8
    assert state["trace"]["w"].scales.shape == (3, 1)  # 130 numbers in blocks of 64
    held, total = np.zeros(130), np.zeros(130)
    for n, gradient in enumerate(gradients):
        momentum = 0.9 * held + gradient.reshape(-1)
        total = total + momentum
        for start in range(0, 130, 64):
            block = momentum[start : start + 64]
            top = np.abs(block).max()
            held[start : start + 64] = np.round(127 * block / top) / 127 * top
        np.testing.assert_allclose(path[n]["w"].reshape(-1), total, rtol=0, atol=1e-12)


def test_any_state_in_eight_bits_is_read_decoded_everywhere():
    tx = eight_bit.in_eight_bits(gx.chain(gx.trace(0.9), gx.scale(fall), gx.ema_params(0.5)))
    exact = gx.chain(gx.trace(0.9), gx.scale(fall), gx.ema_params(0.5))
    params, gradients = drawn()
    (path, state, last), (theirs, kept, _) = (trajectory(x, params, gradients) for x in (tx, exact))
    assert state["inner"]["trace"]["w"].codes.dtype == np.int8
    assert_same_path(path, theirs, 0.1)  # 12 steps of at most 1/254 of the largest number each
    with jax.enable_x64(True):
        averages = (gx.eval_params(tx, last, state), gx.eval_params(exact, last, kept))
    for name, expected in averages[1].items():
        top = np.abs(expected).max()
        np.testing.assert_allclose(averages[0][name], expected, rtol=0, atol=0.02 * top)
    with jax.enable_x64(True):
        assert float(gx.hyperparameters(tx, state)["in_eight_bits.inner.scale.step_size"]) == pytest.approx(0.1 / 13)


# PyTorch --------------------------------------------------------------------------------------------------------------

TORCH = {
    "pytorch_optimizer.AdaBelief": gx.chain(
        belief.scale_by_belief(), gx.add_decayed_weights(0.01), gx.scale_by_learning_rate(1e-3)
    ),
    "pytorch_optimizer.Lion": wary.wary(gx.lion(1e-3, 0.9, 0.999, weight_decay=0.0)),
    "prodigyopt.Prodigy": prodigy.prodigy(weight_decay=0.01),
}


def test_the_distance_that_prodigy_finds_grows_as_that_of_optax():
    params, gradients = drawn(40)
    gradients = [jax.tree.map(lambda g, p: 0.1 * g + p, g, params) for g in gradients]
    (_, ours, _), (_, theirs, _) = (trajectory(PEERS["prodigy"][n], params, gradients) for n in (0, 1))
    assert float(ours["d"]) > 0.02
    assert float(ours["d"]) == pytest.approx(float(theirs.estim_lr), rel=1e-12)


@pytest.mark.parametrize("name", TORCH)
def test_goes_where_pytorch_goes(name):
    case = next(case for case in ORACLE["cases"] if case["optimizer"] == name)
    init = jax.tree.map(np.asarray, ORACLE["init"], is_leaf=lambda x: isinstance(x, list))
    gradients = [jax.tree.map(np.asarray, g, is_leaf=lambda x: isinstance(x, list)) for g in ORACLE["gradients"]]
    path, _, _ = trajectory(TORCH[name], init, gradients)
    for after, params in case["params"].items():
        for leaf, value in params.items():
            np.testing.assert_allclose(path[int(after) - 1][leaf], value, rtol=0, atol=1e-10, err_msg=f"{leaf} {after}")


# Noise ----------------------------------------------------------------------------------------------------------------


def test_langevin_noise_has_the_variance_of_the_paper():
    tx, zeros = noise.langevin(0.08, 2.0), {"w": jnp.zeros((400, 250))}
    updates, _ = tx.update(zeros, tx.init(zeros))
    found = np.asarray(updates["w"], np.float64)
    variance = 2 * 0.08 * 2.0
    assert abs(found.mean()) < 5 * np.sqrt(variance / found.size)
    assert abs(found.var() / variance - 1) < 5 * np.sqrt(2 / found.size)
