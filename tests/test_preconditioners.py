"""Preconditioners: their references and laws, blocks, turns, bases, and what they have in common with Adam."""

import functools
import itertools
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import gradtx as gx
from gradtx._numeric.matrix_powers import matrix_power, newton_root
from gradtx._rules.blocks import Blocks
from gradtx._rules.decompositions import solve_adjoint
from gradtx._rules.turns import in_turn
from tests import references
from tests import references_preconditioners as P
from tests.recorded import trajectory
from tests.table.row import of

STEPS = 12


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def drawn(shapes, seed=5, steps=STEPS):
    """Parameters, and gradients for some steps."""
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return params, [{name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(steps)]


def run(tx, gradients, params):
    """All updates and the last state, in one compiled scan."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        return (gx.apply_updates(params, updates), state), updates

    def all_steps(params, gradients):
        (_, state), updates = jax.lax.scan(step, (params, tx.init(params)), gradients)
        return updates, state

    stacked = jax.tree.map(lambda *rows: jnp.asarray(np.stack(rows)), *gradients)
    return jax.tree.map(np.asarray, jax.jit(all_steps)(jax.tree.map(jnp.asarray, params), stacked)[0])


def close(found, expected, tolerance=1e-11):
    for name, wanted in expected.items():
        np.testing.assert_allclose(found[name], wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


# References -----------------------------------------------------------------------------------------------------------

NUMBERS = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.95, "weight_decay": 0.1}
AT_ONCE = {"precondition_frequency": 3, "staggered": False}
OF_SOAP = (0.1, 0.8, 0.95, 0.1, 0.1)
APOLLO = functools.partial(P.apollo, learning_rate=0.1, rank=2, every=3, factor=0.5, weight_decay=0.1)


def adam_beside_soap(gradients, theta):
    """Adam, for what has no basis."""
    updates, state = references.adam(gradients, theta, learning_rate=0.1, eps=0.1)
    return updates, state | {"factors": (), "basis": ()}


REFERRED = {
    "soap": (gx.soap(*OF_SOAP, **AT_ONCE), of(P.soap, every=3, eps=0.1, **NUMBERS)),
    "soap with the form of KL": (
        gx.soap(*OF_SOAP, form="kl", **AT_ONCE),
        of(P.soap, every=3, eps=0.1, kl=True, **NUMBERS),
    ),
    "soap at every step": (gx.soap(*OF_SOAP, precondition_frequency=1), of(P.soap, eps=0.1, **NUMBERS)),
    "soap_muon": (
        gx.soap_muon(*OF_SOAP),
        of(functools.partial(P.soap, eps=0.1, orthogonal=P.orthogonal, **NUMBERS), only="w", other=adam_beside_soap),
    ),
    "splus": (
        gx.splus(0.1, 0.8, 0.95, 0.1, 0.9, 0.1, **AT_ONCE),
        of(P.splus, ema_rate=0.9, constant=0.1, every=3, **NUMBERS),
    ),
    "conda": (
        gx.conda(0.1, 0.8, 0.95, weight_decay=0.1, update_proj_gap=3, staggered=False),
        of(P.conda, every=3, **NUMBERS),
    ),
    "apollo": (
        gx.apollo(0.1, 2, 3, 0.5, weight_decay=0.1, projection="svd"),
        of(APOLLO, tensor=False),
    ),
    "apollo of whole matrices": (
        gx.apollo(0.1, 2, 3, 0.5, weight_decay=0.1, projection="svd", granularity="tensor"),
        of(APOLLO, tensor=True),
    ),
}


@pytest.mark.parametrize("name", REFERRED)
def test_updates_equal_the_reference(name):
    tx, reference = REFERRED[name]
    params, gradients = drawn({"w": (3, 4), "b": (4,)})
    expected, _ = reference(gradients, params)
    close(run(tx, gradients, params), jax.tree.map(lambda *rows: np.stack(rows), *expected))


def test_a_recorded_splus_is_reached_where_no_basis_is_rounding():
    oracle = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_modern.json").read_text())
    case = next(case for case in oracle["cases"] if case["optimizer"].endswith("SPlus"))
    trained, _ = trajectory(gx.splus(0.001, staggered=False), oracle)
    for after, params in case["params"].items():
        np.testing.assert_allclose(trained["b"][int(after) - 1], params["b"], rtol=0, atol=1e-10)
    for name in ("w", "u"):  # the first step has no basis; it is 2/(m + n) of the rate, of which decay takes 1e-9
        np.testing.assert_allclose(trained[name][0], case["params"]["1"][name], rtol=0, atol=1e-9)


# Blocks and turns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1, 2, 3, 7])
@pytest.mark.parametrize("shape", [(), (5,), (4, 6), (2, 3, 5), (0, 3)])
def test_blocks_join_to_what_was_cut(shape, size):
    x = jnp.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    blocks = Blocks(size)
    parts = blocks.cut(x)
    assert all(n <= (size or n) for part in parts for n in part.shape[1:])
    np.testing.assert_array_equal(blocks.join(parts, x), x)


def test_blocks_of_one_shape_are_what_each_is_alone():
    params, gradients = drawn({"w": (4, 6), "v": (2, 3)}, steps=4)
    tx = gx.scale_by_shampoo(0.9, 0.01, block_size=3)
    together = run(tx, gradients, params)
    for rows in ((0, 3), (3, 4)):
        for columns in ((0, 3), (3, 6)):
            part = (slice(*rows), slice(*columns))
            alone = run(tx, [{"w": g["w"][part]} for g in gradients], {"w": params["w"][part]})
            np.testing.assert_allclose(together["w"][:, *part], alone["w"], rtol=1e-12)


@pytest.mark.parametrize("size", [6, 100])
def test_blocks_as_large_as_the_array_are_none(size):
    params, gradients = drawn({"w": (4, 6), "b": (3,), "x": ()}, steps=3)
    whole, cut = (run(gx.scale_by_shampoo(eps=0.01, block_size=n), gradients, params) for n in (None, size))
    jax.tree.map(np.testing.assert_array_equal, whole, cut)


def test_layers_in_one_array_are_a_stack():
    params, gradients = drawn({"w": (3, 4, 2)}, steps=4)
    axes = gx.MuonDimensionNumbers(1, 2)
    for tx in (
        gx.scale_by_shampoo(0.9, 0.01, weight_dimension_numbers=axes),
        gx.soap(0.1, weight_dimension_numbers=axes, staggered=False),
    ):
        together = run(tx, gradients, params)["w"]
        for n in range(3):
            alone = run(
                tx.replace(weight_dimension_numbers=None), [{"w": g["w"][n]} for g in gradients], {"w": params["w"][n]}
            )
            np.testing.assert_allclose(together[:, n], alone["w"], rtol=1e-9)


@pytest.mark.parametrize("every", [2, 3, 5, 8])
@pytest.mark.parametrize("counts", [[1], [1, 1, 1], [7], [3, 4, 1], [16, 2]])
def test_staggered_turns_cover_each_once_and_are_even(every, counts):
    sizes = [2 if n % 2 else 3 for n in range(len(counts))]  # stacks of one size share a call
    given = [jnp.zeros((count, n, n)) for count, n in zip(counts, sizes, strict=True)]
    kept, turns = [jnp.zeros(count) for count in counts], []
    turn = jax.jit(functools.partial(in_turn, lambda x: jnp.ones(len(x)), every=every))
    for t in range(1, every + 1):
        turns.append(np.concatenate(turn(given, kept, t=jnp.asarray(t))))
    taken = np.array(turns)
    np.testing.assert_array_equal(taken.sum(0), 1)  # once in an interval
    work = taken @ np.repeat([n**3 for n in sizes], counts)
    assert work.max() - work.min() <= max(n**3 for n in sizes)  # no step does more than one matrix above another


def test_a_root_serves_until_its_turn():
    params, gradients = drawn({"w": (3, 3), "v": (3, 3)}, steps=6)
    tx, params = gx.scale_by_shampoo(eps=0.01, precondition_frequency=4), jax.tree.map(jnp.asarray, params)
    state, changed = tx.init(params), []
    for gradient in gradients:
        _, new = tx.update(jax.tree.map(jnp.asarray, gradient), state, params)
        pairs = zip(jax.tree.leaves(state["roots"]), jax.tree.leaves(new["roots"]), strict=True)
        changed.append(sum(bool(jnp.any(a != b)) for a, b in pairs))
        state = new
    assert changed == [4, 1, 1, 1, 1, 1]  # all at the first step; then one of the four


def test_newtons_roots_give_the_update_that_eigenvalues_give():
    rng = np.random.default_rng(3)
    gradients = [jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(3)]
    path = []
    for roots in ("eigh", "newton"):
        tx = gx.scale_by_shampoo(0.9, 0.1, roots=roots, block_size=2, precondition_frequency=2, start="identity")
        state = tx.init(gradients[0])
        for gradient in gradients:
            update, state = jax.jit(tx.update)(gradient, state)
        path.append(update)
    np.testing.assert_allclose(path[1], path[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("p", [2, 4, 6])
def test_newtons_roots_are_those_of_eigenvalues(p):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 6)) + 1j * rng.normal(size=(6, 6))
    h = jnp.asarray(x @ x.conj().T)
    numbers = [jnp.asarray(0.1), jnp.asarray(1e-3)]

    def by_newton(h, eps):
        return newton_root(h, p, eps, numbers[1], jnp.asarray(1e-12))

    def by_values(h, eps):
        return matrix_power(h, jnp.asarray(-1 / p), eps, numbers[1])

    tangents = (jnp.asarray(x + x.conj().T), jnp.asarray(1.0))
    with jax.numpy_dtype_promotion("standard"):
        made, expected = (jax.jvp(of, (h, numbers[0]), tangents) for of in (by_newton, by_values))
        step = 1e-5
        ahead, behind = (by_values(h + s * tangents[0], numbers[0] + s) for s in (step, -step))
    for found, wanted in zip(made, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(expected[1], (ahead - behind) / (2 * step), atol=1e-8)


def test_a_graft_has_one_direction_and_the_other_norm():
    params, gradients = drawn({"w": (3, 4)}, steps=3)
    direction, magnitude = gx.scale_by_shampoo(0.9, 0.1), gx.scale_by_rms()
    made, d, m = (run(tx, gradients, params)["w"] for tx in (gx.graft(direction, magnitude), direction, magnitude))
    for u, along, size in zip(made, d, m, strict=True):
        np.testing.assert_allclose(np.linalg.norm(u), np.linalg.norm(size), rtol=1e-12)
        np.testing.assert_allclose(u / np.linalg.norm(u), along / np.linalg.norm(along), rtol=1e-9)


# Bases ----------------------------------------------------------------------------------------------------------------


def test_soap_without_a_basis_is_adam_from_the_second_step():
    params, gradients = drawn({"w": (3, 4), "b": (3,)})
    made = run(gx.soap(0.1, 0.9, 0.99, max_precond_dim=0, weight_decay=0.1), gradients, params)
    adam = run(gx.adamw(0.1, 0.9, 0.99, weight_decay=0.1), gradients[1:], params)
    for name in params:
        assert not made[name][0].any()
        np.testing.assert_allclose(made[name][1:], adam[name], rtol=1e-12)


def test_what_is_linear_does_not_see_the_basis():
    params, gradients = drawn({"w": (3, 4), "b": (3,)})
    inner = gx.chain(gx.scale_by_ewma(0.9), gx.scale(-0.1))
    turned = gx.in_eigenbasis(gx.rotated(inner), precondition_frequency=100, start="identity", precondition_1d=True)
    fixed = [gradients[0]] * 4  # one basis: momentum of it stays where it is
    close(
        run(turned, gradients[:1] + fixed, params),
        run(gx.in_eigenbasis(inner, start="identity"), gradients[:1] + fixed, params),
        1.0,
    )
    scaled = gx.in_eigenbasis(gx.rotated(gx.scale(-0.1)), start="identity", precondition_1d=True)
    close(run(scaled, gradients, params), run(gx.scale(-0.1), gradients, params), 1e-13)


def test_soap_turns_with_its_gradients():
    params, gradients = drawn({"w": (4, 3)}, steps=6)
    left, right = (np.linalg.qr(np.random.default_rng(n).normal(size=(m, m)))[0] for n, m in ((1, 4), (2, 3)))
    tx = gx.soap(0.1, weight_decay=0.0)
    plain = run(tx, gradients, params)["w"]
    turned = run(tx, [{"w": left @ g["w"] @ right} for g in gradients], params)["w"]
    np.testing.assert_allclose(turned, left @ plain @ right, atol=1e-8)  # so it is no Adam, which sees the axes


def test_the_basis_is_that_of_the_moments_after_enough_turns():
    params, gradients = drawn({"w": (4, 5)}, steps=1)
    tx = gx.in_eigenbasis(gx.rotated(gx.scale_by_sign()), 0.5, precondition_frequency=2)
    params = jax.tree.map(jnp.asarray, params)
    state = tx.init(params)
    rng = np.random.default_rng(3)
    fixed = jnp.asarray(rng.normal(size=(4, 4)) @ np.diag([8.0, 4, 2, 1]) @ rng.normal(size=(4, 5)))
    for n in range(40):
        _, state = tx.update({"w": jnp.asarray(gradients[0]["w"]) if n == 0 else fixed}, state, params)
    h, q = state["factors"]["w"][0], state["basis"]["w"][0]
    np.testing.assert_allclose(q.T @ q, np.eye(4), atol=1e-13)
    rest = np.asarray(q.T @ h @ q)
    assert np.abs(rest - np.diag(np.diag(rest))).max() < 1e-9 * np.abs(rest).max()


def test_rotated_says_where_it_belongs():
    tx = gx.rotated(gx.scale(1.0))
    with pytest.raises(gx.TransformationError, match="put it inside of in_eigenbasis"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_newton_takes_no_exponent():
    with pytest.raises(gx.TransformationError, match="exponent: Newton's iteration"):
        gx.scale_by_shampoo(exponent=-0.5, roots="newton").init(jnp.ones(2))


@pytest.mark.parametrize("frequency", [0, 1.5])
def test_a_frequency_is_a_whole_number(frequency):
    for tx in (gx.scale_by_shampoo(precondition_frequency=frequency), gx.soap(0.1, precondition_frequency=frequency)):
        with pytest.raises(gx.TransformationError, match="precondition_frequency: expected a whole number"):
            tx.init(jnp.ones((2, 2)))


# Low rank -------------------------------------------------------------------------------------------------------------


def test_full_rank_is_adam():
    params, gradients = drawn({"row": (1, 5), "b": (3,)}, steps=4)
    adam = run(gx.adam(0.1), gradients, params)
    forms = {
        "conda": gx.conda(0.1),
        "adam_mini": gx.adam_mini(0.1, blocks={"row": "entries", "b": "entries"}),
    }
    for tx in forms.values():
        close(run(tx, gradients, params), adam, 1e-7)
    found = run(gx.chain(gx.scale_by_apollo(5, projection="svd"), gx.scale(-0.1)), gradients, params)
    close(jax.tree.map(np.abs, found), jax.tree.map(np.abs, adam), 1e-7)  # Adam's sizes, along the gradient


def test_full_rank_in_a_fixed_basis_is_adam_in_that_basis():
    params, gradients = drawn({"w": (5, 3)}, steps=6)
    basis = np.linalg.svd(gradients[0]["w"])[2].T
    turned = run(gx.adam(0.1), [{"w": g["w"] @ basis} for g in gradients], params)["w"]
    close(run(gx.conda(0.1), gradients, params), {"w": turned @ basis.T}, 1e-10)
    left = np.linalg.svd(gradients[0]["w"])[0]
    inside = run(gx.adam(0.1), [{"w": (left.T @ g["w"])[:3]} for g in gradients], params | {"w": np.zeros((3, 3))})["w"]
    close(run(gx.galore(0.1, 5), gradients, params), {"w": left[:, :3] @ inside}, 1e-10)


def test_apollo_draws_anew_when_it_is_due_and_leaf_by_leaf():
    params, gradients = drawn({"w": (4, 6), "v": (4, 6)}, steps=5)
    tx, params = gx.apollo(0.1, 2, 2, seed=1), jax.tree.map(jnp.asarray, params)
    state, seen = tx.init(params), []
    for gradient in gradients:
        _, state = tx.update(jax.tree.map(jnp.asarray, gradient), state, params)
        seen.append(gx.tree.get(state, "projector"))
    assert bool(jnp.any(seen[0]["w"] != seen[0]["v"]))
    assert seen[0]["w"].shape == (2, 4)
    changes = [bool(jnp.any(a["w"] != b["w"])) for a, b in itertools.pairwise(seen)]
    assert changes == [False, True, False, True]


BLOCKS = {"outputs": (4,), "inputs": (6,), "whole": (), "entries": (6, 4), (0, 1): (6, 4), (1,): (4,), 2: (2,)}


@pytest.mark.parametrize("blocks", BLOCKS)
def test_adam_mini_keeps_a_number_for_each_block(blocks):
    params = {"w": jnp.zeros((6, 4)), "b": jnp.zeros(4)}
    for given in (blocks, {"w": blocks, "b": "whole"}, lambda params: {"w": blocks, "b": "whole"}):
        nu = gx.scale_by_mini_rms(blocks=given).init(params)["nu"]
        assert (nu["w"].shape, nu["b"].shape) == (BLOCKS[blocks], ())


@pytest.mark.parametrize("blocks", ["rows", 3, (2,), 0])
def test_blocks_that_do_not_fit_are_located(blocks):
    with pytest.raises(gx.TransformationError, match=r"blocks: leaf w: expected 'outputs', .*found"):
        gx.scale_by_mini_rms(blocks=blocks).init({"w": jnp.zeros((6, 4))})


# PSGD -----------------------------------------------------------------------------------------------------------------


def rested(draw, shape, **options):
    """PSGD's factors after many gradients ``draw(z)``, z normal, with steps that get shorter."""
    tx = gx.scale_by_kron(1.0, gx.exponential_decay(0.3, 1000, 0.1, end_value=1e-3), seed=1, **options)

    def step(state, key):
        return tx.update(draw(jax.random.normal(key, shape)), state)[1], None

    keys, state = jax.random.split(jax.random.key(0), 4000), tx.init(jnp.zeros(shape))
    return [np.asarray(q) for q in jax.jit(lambda s: jax.lax.scan(step, s, keys)[0])(state)["q"]]


def test_psgd_rests_at_the_inverse_root_of_the_hessian():
    """Gradients whose covariance is H = H₁ ⊗ H₂, as near the minimum of a quadratic: P → H^(−1/2)."""
    rng, shape = np.random.default_rng(0), (3, 2)
    roots = []
    for n in shape:
        q = np.linalg.qr(rng.normal(size=(n, n)))[0]
        roots.append(q @ np.diag(np.linspace(0.5, 2.0, n)) @ q.T)
    factors = rested(lambda z: roots[0] @ z @ roots[1], shape)
    p = functools.reduce(np.kron, [q.T @ q for q in factors])
    expected = np.linalg.inv(functools.reduce(np.kron, roots))
    assert np.linalg.norm(p - expected) < 0.06 * np.linalg.norm(expected)
    assert np.linalg.norm(np.eye(6) - expected) > 0.4 * np.linalg.norm(expected)  # where it began
    assert all(np.all(np.tril(q, -1) == 0) for q in factors)


def test_psgd_keeps_a_diagonal_for_axes_that_are_long_for_their_array():
    params = {"wide": jnp.zeros((2, 6)), "square": jnp.zeros((4, 4)), "vector": jnp.zeros(3)}
    shapes = {
        None: {"wide": [(2, 2), (6, 6)], "square": [(4, 4), (4, 4)], "vector": [(3,)]},
        3.0: {"wide": [(2, 2), (6, 6)], "square": [(4, 4), (4, 4)], "vector": [(3,)]},  # 6² is 3 times 12 entries
        1.0: {"wide": [(2, 2), (6,)], "square": [(4, 4), (4, 4)], "vector": [(3,)]},
        0.5: {"wide": [(2, 2), (6,)], "square": [(4,), (4,)], "vector": [(3,)]},
    }
    for skew, expected in shapes.items():
        state = gx.psgd_kron(0.1, max_skew_triangular=skew).init(params)
        found = gx.tree.get(state, "q")
        assert {name: [q.shape for q in found[name]] for name in params} == expected


def test_psgd_with_a_triangle_and_a_diagonal_rests_where_updates_are_white():
    """Columns that are independent and of different lengths, with one covariance H along them: P → H^(−1/2) ⊗ σ⁻¹."""
    mixing, sigma = np.array([[1.5, 0.0], [0.6, 0.8]]), np.array([0.5, 1.0, 2.0])
    rows, columns = rested(lambda z: mixing @ z @ np.diag(sigma), (2, 3), max_skew_triangular=1.0)
    values, vectors = np.linalg.eigh(mixing @ mixing.T)
    expected = np.kron(vectors @ np.diag(values**-0.5) @ vectors.T, np.diag(1 / sigma))
    assert np.linalg.norm(np.kron(rows.T @ rows, np.diag(columns**2)) - expected) < 0.06 * np.linalg.norm(expected)


def test_psgd_is_fitted_as_often_as_it_is_asked_and_leaf_by_leaf():
    params, gradients = drawn({"w": (2, 2), "v": (2, 2)}, steps=60)
    for probability, low, high in ((0.0, 0, 0), (1.0, 60, 60), (0.3, 8, 30)):
        tx = gx.scale_by_kron(probability)

        def step(state, gradient, tx=tx):
            _, new = tx.update(gradient, state)
            return new, jax.tree.map(lambda a, b: jnp.any(a != b), state["q"], new["q"])

        stacked = jax.tree.map(lambda *rows: jnp.asarray(np.stack(rows)), *gradients)
        fitted = jax.jit(lambda s, g, step=step: jax.lax.scan(step, s, g)[1])(tx.init(params), stacked)
        counts = {name: int(np.sum(q[0])) for name, q in fitted.items()}
        assert all(low <= count <= high for count in counts.values())
    assert np.any(fitted["w"][0] != fitted["v"][0])


# Stacks of matrices on CPUs -------------------------------------------------------------------------------------------

DECOMPOSING = {
    "apollo": gx.apollo(0.1, 2, projection="svd"),
    "conda": gx.conda(0.1),
    "galore": gx.galore(0.1, 2),
    "psgd_kron": gx.psgd_kron(0.1),
    "shampoo": gx.shampoo(0.1),
    "soap": gx.soap(0.1),
    "splus": gx.splus(0.1),
}


@pytest.mark.parametrize("name", DECOMPOSING)
def test_no_call_of_lapack_has_a_stack_of_matrices(name):
    """Two that run at once wait for each other, for ever, on a CPU with two threads (jaxlib 0.10)."""
    tx, params = DECOMPOSING[name], {"stack": jnp.ones((2, 3, 4)), "wide": jnp.ones((3, 4)), "tall": jnp.ones((4, 3))}
    lanes = jax.tree.map(lambda p: jnp.stack([p, p]), params)
    update = jax.jit(jax.vmap(lambda g, s, p: tx.update(g, s, p)))
    text = update.lower(lanes, jax.vmap(tx.init)(lanes), lanes).as_text()
    found = re.findall(r"custom_call @lapack_\w+\(.*?: \(tensor<([^>]*)>", text)
    assert found
    assert all(shape.count("x") == 2 for shape in found)


def test_triangular_solutions_have_derivatives_in_both_modes_also_stacked():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        upper = jnp.asarray(np.triu(rng.normal(size=(2, 4, 4))) + 4 * np.eye(4))
        b = jnp.asarray(rng.normal(size=(2, 4, 3)))
        solved = jax.vmap(solve_adjoint)(upper, b)
        np.testing.assert_allclose(solved, np.linalg.solve(np.swapaxes(upper, 1, 2), b), rtol=1e-13, atol=1e-14)
        check_grads(lambda upper, b: jax.vmap(solve_adjoint)(jnp.triu(upper), b), (upper, b), 2)
