"""Orthogonalization: what it does to singular values, its forms, its batches, its coefficients as numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx._numeric.newton_schulz import SCHEDULES, products, segments
from tests import references_matrices as M


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


def of(x, *given, **how):
    return np.asarray(gx.orthogonalize(*given, **how).update(jax.tree.map(jnp.asarray, x), {})[0])


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# Singular values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "steps", "least", "most"),
    [
        ("simple", None, 0.6818, 1.1344),
        ("quintic", None, 0.9778, 1.0318),
        ("polar_express", None, 0.8704, 1.1236),
        ("polar_express", 8, 1.0, 1.0),
        ("cans", None, 0.8844, 1.1198),
        ("deepseek_v4", None, 1.0, 1.0005),
        ("standard", 5, 0.6818, 1.1344),
        ("dion", 5, 0.9778, 1.0318),
    ],
)
def test_where_singular_values_from_a_hundredth_to_one_end(name, steps, least, most, wide):
    sigma = np.linspace(0.01, 1, 100_001)
    rows = list(SCHEDULES[name][: steps or (5 if name == "polar_express" else None)])
    ends = M.mapped(sigma, rows)
    assert ends.min() == pytest.approx(least, abs=1e-4)
    assert ends.max() == pytest.approx(most, abs=1e-4)
    some = np.linspace(0.01, 1, 40)
    u, v = (np.linalg.qr(gaussian(40, 40, seed=seed))[0] for seed in (1, 2))
    made = of((u * some) @ v, name, steps=steps, preconditioning="spectral", eps=0.0)
    np.testing.assert_allclose(made, (u * M.mapped(some, rows)) @ v, atol=1e-11)


def test_turbo_is_twenty_times_as_near_to_the_polar_factor_as_simple(wide):
    off = {}
    for name in ("turbo", "simple"):
        each = [gaussian(64, 256, seed=seed) for seed in range(8)]
        off[name] = [np.linalg.norm(of(x, name) - M.polar(x)) / 8 for x in each]
    assert off["turbo"][3] <= 0.0105
    assert np.mean(off["turbo"]) <= 0.0110
    assert max(off["turbo"]) <= 0.0125
    assert 0.2 < np.mean(off["simple"]) < 0.22


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_scaled_rows_equal_their_reference_at_every_size(size, wide):
    x = gaussian(6, 9)
    rows = SCHEDULES["turbo"]
    np.testing.assert_allclose(of(x * size, "turbo"), M.scaled_rows(x, rows), atol=1e-13)
    np.testing.assert_allclose(of(x.T * size, "turbo"), M.scaled_rows(x.T, rows), atol=1e-13)


# Forms ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (12, 12)])
def test_the_gram_form_is_the_direct_one(name, shape, wide):
    x = gaussian(*shape)
    np.testing.assert_allclose(of(x, name, form="gram"), of(x, name, form="direct"), atol=1e-9)


@pytest.mark.parametrize(("dtype", "steps", "off"), [("float32", 5, 2e-3), ("float32", 10, 2e-3), ("bfloat16", 5, 0.3)])
def test_the_gram_form_is_stable_for_matrices_that_are_nearly_singular(dtype, steps, off):
    u, v = np.linalg.qr(gaussian(16, 16))[0], np.linalg.qr(gaussian(64, 16, seed=1))[0].T
    x = np.float32((u * np.logspace(0, -6, 16)) @ v)
    for name in ("simple", "polar_express"):
        found = of(x, name, steps=steps, dtype=dtype, form="gram")
        assert found.dtype == np.float32
        assert np.abs(found - of(x, name, steps=steps, dtype="float32", form="direct")).max() < off


def test_the_form_is_the_one_with_fewer_products():
    assert segments(5, jnp.float32) == [5]
    assert segments(8, jnp.float32) == [4, 4]
    assert segments(5, jnp.bfloat16) == [2, 2, 1]
    assert products(5, (1, 1)) == 15
    assert products(5, (1, 1), [5]) == 19
    assert products(5, (1, 4)) == 45
    assert products(5, (1, 4), [5]) == 25

    def of_shape(*shape):
        x = jax.ShapeDtypeStruct(shape, jnp.float32)
        return jax.jit(gx.orthogonalize().update).lower(x, {}).compile().cost_analysis()["flops"]

    square, long = of_shape(64, 64), of_shape(64, 256)
    assert square == pytest.approx(2 * 15 * 64**3, rel=0.1)
    assert long == pytest.approx(2 * 25 * 64**3, rel=0.1)


# Batches --------------------------------------------------------------------------------------------------------------


def test_matrices_of_one_shape_are_in_one_call_whichever_leaf_they_are_of(wide):
    x = {
        "a": gaussian(3, 5),
        "t": gaussian(5, 3, seed=1),
        "s": gaussian(2, 3, 5, seed=2),
        "n": None,
        "q": gaussian(4, 4),
    }
    axes = {"a": gx.MuonDimensionNumbers(), "t": gx.MuonDimensionNumbers(), "s": gx.MuonDimensionNumbers(1, 2)}
    axes |= {"n": None, "q": gx.MuonDimensionNumbers()}
    tx = gx.orthogonalize(weight_dimension_numbers=axes)
    given = jax.tree.map(jnp.asarray, x)
    made, _ = tx.update(given, {})
    for leaf in ("a", "t", "q"):
        np.testing.assert_allclose(made[leaf], M.orthogonal(x[leaf]), atol=1e-7)
        np.testing.assert_allclose(made[leaf], of(x[leaf]), rtol=0, atol=1e-14)
    for n in range(2):
        np.testing.assert_allclose(made["s"][n], of(x["s"][n]), rtol=0, atol=1e-14)
    jaxpr = str(jax.make_jaxpr(tx.update)(given, {}))
    assert jaxpr.count("concatenate") == 1


def test_more_leaves_are_no_more_products():
    def products_of(count):
        x = {f"leaf{n}": jnp.ones((4, 4)) for n in range(count)}
        text = jax.jit(gx.orthogonalize().update).lower(x, {}).as_text()
        return text.count("dot_general")

    assert products_of(6) == products_of(1) == 15
    assert products_of(48) == 15  # eight calls of one function


def test_heads_and_parts_of_a_fused_projection_are_made_orthogonal_apart(wide):
    x = gaussian(4, 24)
    axes = gx.MuonDimensionNumbers(heads=(2, 1, 1), split_sizes=(8, 8, 8))
    found = of(x, weight_dimension_numbers=axes)
    parts = [x[:, :4], x[:, 4:8], x[:, 8:16], x[:, 16:]]
    np.testing.assert_allclose(found, np.concatenate([of(part) for part in parts], 1), rtol=0, atol=1e-14)
    sizes, _ = gx.scale_by_shape(weight_dimension_numbers=axes).update(jnp.ones((4, 24)), {})
    np.testing.assert_allclose(sizes[0], [1.0] * 8 + [2**0.5] * 16)  # 4 × 4, 4 × 8


# Numbers --------------------------------------------------------------------------------------------------------------


def test_coefficients_sweep_in_one_compilation(wide):
    x, traces = jnp.asarray(gaussian(3, 5)), []

    @jax.jit
    def made(tx):
        traces.append(1)
        return tx.update(x, {})[0]

    own = np.array([SCHEDULES["quintic"], SCHEDULES["cans"], SCHEDULES["polar_express"][:5]])
    for rows, name in zip(own, ("quintic", "cans", "polar_express"), strict=True):
        np.testing.assert_allclose(made(gx.orthogonalize(jnp.asarray(rows))), of(x, name), atol=1e-12)
    assert len(traces) == 1
    lanes = jax.vmap(lambda rows: gx.orthogonalize(rows).update(x, {})[0])(jnp.asarray(own))
    np.testing.assert_allclose(lanes[1], of(x, "cans"), atol=1e-12)
    slope = jax.grad(lambda rows: jnp.sum(gx.orthogonalize(rows).update(x, {})[0]))(jnp.asarray(own[0]))
    assert slope.shape == (5, 3)
    assert np.isfinite(slope).all()
    assert np.abs(slope).min() > 0


def test_a_name_is_structure_and_comes_back(wide):
    tx = gx.orthogonalize("cans")
    assert repr(tx) == "orthogonalize(coefficients='cans', eps=1e-08)"
    assert tx == gx.orthogonalize("cans") != gx.orthogonalize("quintic")
    assert tx.replace(coefficients="quintic") == gx.orthogonalize("quintic")
    assert gx.hyperparameters(gx.chain(tx)) == {"orthogonalize.eps": 1e-8}
    assert jax.tree.leaves(tx) == [1e-8]
    x = gaussian(4, 4)
    longer = [*SCHEDULES["cans"], *[SCHEDULES["cans"][-1]] * 2]
    np.testing.assert_allclose(of(x, "cans", steps=7), of(x, longer), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_it_runs_in_the_dtype_that_is_asked_for(dtype, wide):
    x = jnp.asarray(gaussian(8, 8), jnp.float32)
    text = jax.jit(gx.orthogonalize(dtype=dtype).update).lower(x, {}).as_text()
    kind = {"bfloat16": "bf16", "float32": "f32", "float64": "f64"}[dtype]
    assert text.count("dot_general") == sum(f"x{kind}>" in line for line in text.splitlines() if "dot_general" in line)
    made = gx.orthogonalize(dtype=dtype).update(x, {})[0]
    assert made.dtype == jnp.float32
    np.testing.assert_allclose(made, M.orthogonal(np.float64(x)), atol=0.05 if dtype == "bfloat16" else 1e-5)


@pytest.mark.parametrize("name", ["simple", "turbo", "polar_express"])
def test_zeros_stay_zeros(name):
    for shape in ((3, 5), (4, 4)):
        assert np.abs(of(np.zeros(shape, np.float32), name)).max() == 0
    row = np.float32(np.eye(3, 5))
    row[1] = 0  # a neuron without gradient
    assert np.isfinite(of(row, name)).all()
    assert np.abs(of(row, name)[1]).max() == 0


# Refusals -------------------------------------------------------------------------------------------------------------

SQUARE = jnp.ones((2, 2))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda: gx.orthogonalize("turbo", preconditioning="frobenius").update(SQUARE, {}),
            "orthogonalize: preconditioning: the coefficients 'turbo' are for rows scaled by 'aol', found 'frobenius'",
        ),
        (
            lambda: gx.muon(0.1, "turbo", preconditioning="spectral").init({"w": jnp.ones((2, 3))}),
            "the coefficients 'turbo' are for rows scaled by 'aol', found 'spectral'",
        ),
        (lambda: gx.orthogonalize("cand"), r"found 'cand' \(did you mean 'cans'\?\)"),
        (
            lambda: gx.orthogonalize(np.ones((5, 4))),
            r"expected coefficients of shape \(3,\) or \(n, 3\), found \(5, 4\)",
        ),
        (lambda: gx.orthogonalize(np.ones((5, 3)), steps=4).update(SQUARE, {}), "three for each of 4 steps"),
        (lambda: gx.orthogonalize(steps=0).update(SQUARE, {}), "steps: expected 1 or more, found 0"),
        (lambda: gx.orthogonalize(dtype="int8"), "expected a floating-point dtype"),
        (lambda: gx.orthogonalize(dtype="float64").update(SQUARE, {}), "float64 is only there inside jax.enable_x64"),
        (
            lambda: gx.orthogonalize(dtype="bfloat16").update(jnp.ones((2, 2), jnp.complex64), {}),
            "dtype: complex numbers have no parts in bfloat16: expected 'float32'",
        ),
        (lambda: gx.orthogonalize().update({"b": jnp.ones(2)}, {}), r"leaf b: expected a matrix, found shape \(2,\)"),
        (lambda: gx.scale_by_dion2(fraction=0.0).init(SQUARE), r"fraction: expected a number in \(0, 1\], found 0.0"),
    ],
)
def test_what_cannot_be_is_refused(made, said):
    with pytest.raises(gx.TransformationError, match=said):
        made()


# Sharded parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Explicit", "Auto"])
@pytest.mark.parametrize("tx", [gx.orthogonalize(), gx.scale_by_dion2(fraction=0.5), gx.scale_by_aurora()])
def test_sharded_matrices_come_out_as_they_went_in(kind, tx):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(getattr(jax.sharding.AxisType, kind),))
    x = {"a": gaussian(8, 16), "b": gaussian(16, 8, seed=1), "c": gaussian(8, 16, seed=2), "d": gaussian(8, 8, seed=3)}
    x = jax.tree.map(jnp.float32, x)
    specs = {"a": jax.P("x", None), "b": jax.P("x", None), "c": jax.P(None, "x"), "d": jax.P()}
    expected, _ = tx.update(x, tx.init(x))
    with jax.set_mesh(mesh):
        split = {leaf: jax.device_put(x[leaf], jax.NamedSharding(mesh, specs[leaf])) for leaf in x}
        made, _ = jax.jit(tx.update)(split, tx.init(split))
    for leaf in x:
        np.testing.assert_allclose(made[leaf], expected[leaf], atol=1e-5)
        if kind == "Explicit":
            assert made[leaf].sharding.is_equivalent_to(split[leaf].sharding, 2)
