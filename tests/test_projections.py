"""Projections: equal to Optax and to plain float64 NumPy, nearest among many points, exact in their derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax import projections as theirs

import gradtx as gx
from gradtx import TransformationError
from gradtx import projections as ours
from tests import references_helpers as references


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def drawn(seed, size=1.0):
    rng = np.random.default_rng(seed)
    return {"w": size * rng.normal(size=(3, 4)), "b": size * rng.normal(size=5), "gone": None}


def vector(tree):
    return np.concatenate([np.asarray(x).ravel() for x in jax.tree.leaves(tree)])


A = drawn(7)
LOW, HIGH = jax.tree.map(lambda x: -0.1 + 0 * x, A), jax.tree.map(lambda x: 0.2 + 0 * x, A)


def inner(a, b):
    return float(vector(a) @ vector(b))


# Each: our projection, Optax's with the same arguments, and whether a vector is in the set.
SETS = {
    "non_negative": ((), lambda x: x.min() >= 0),
    "box": ((LOW, HIGH), lambda x: x.min() >= -0.1 and x.max() <= 0.2),
    "l1_ball": ((0.7,), lambda x: np.abs(x).sum() <= 0.7 + 1e-12),
    "l1_sphere": ((0.7,), lambda x: abs(np.abs(x).sum() - 0.7) < 1e-12),
    "l2_ball": ((0.7,), lambda x: np.linalg.norm(x) <= 0.7 + 1e-12),
    "l2_sphere": ((0.7,), lambda x: abs(np.linalg.norm(x) - 0.7) < 1e-12),
    "linf_ball": ((0.3,), lambda x: np.abs(x).max() <= 0.3),
    "simplex": ((0.7,), lambda x: x.min() >= 0 and abs(x.sum() - 0.7) < 1e-12),
    "vector": ((A,), lambda x: abs(abs(x @ vector(A)) - np.linalg.norm(x) * np.linalg.norm(vector(A))) < 1e-11),
    "hyperplane": ((A, 0.4), lambda x: abs(x @ vector(A) - 0.4) < 1e-11),
    "halfspace": ((A, 0.4), lambda x: x @ vector(A) <= 0.4 + 1e-11),
}
CONES = {"non_negative", "vector"}


def projections_of(name, of):
    return functools.partial(getattr(of, f"projection_{name}"))


@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("name", SETS)
def test_equals_optax_and_is_in_the_set(name, size):
    arguments, within = SETS[name]
    x = drawn(1, size)
    found = projections_of(name, ours)(x, *arguments)
    with jax.numpy_dtype_promotion("standard"):
        expected = projections_of(name, theirs)(*jax.tree.map(jnp.asarray, (x, *arguments)))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    np.testing.assert_allclose(vector(found), vector(expected), rtol=1e-12, atol=1e-12)
    assert within(vector(found))
    compiled = jax.jit(projections_of(name, ours))(x, *arguments)
    np.testing.assert_allclose(vector(compiled), vector(found), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SETS)
def test_no_other_point_of_the_set_is_nearer(name):
    arguments, _ = SETS[name]
    project = projections_of(name, ours)
    x = drawn(2)
    distance = np.linalg.norm(vector(project(x, *arguments)) - vector(x))
    for seed in range(20):
        other = vector(project(drawn(100 + seed, 0.5), *arguments))
        assert distance <= np.linalg.norm(other - vector(x)) + 1e-12


@pytest.mark.parametrize("name", SETS)
def test_a_point_of_the_set_stays(name):
    arguments, _ = SETS[name]
    project = projections_of(name, ours)
    once = project(drawn(3), *arguments)
    np.testing.assert_allclose(vector(project(once, *arguments)), vector(once), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", SETS)
def test_derivatives_equal_differences(name):
    arguments, _ = SETS[name]
    project = projections_of(name, ours)
    x, direction, weights = drawn(4), drawn(5), drawn(6)

    def along(step):
        return inner(project(gx.tree.add_scale(x, step, direction), *arguments), weights)

    numeric = (along(1e-6) - along(-1e-6)) / 2e-6
    moved = jax.jvp(lambda x: project(x, *arguments), (x,), (direction,))[1]
    pulled = jax.vjp(lambda x: project(x, *arguments), x)[1](weights)[0]
    np.testing.assert_allclose(inner(moved, weights), numeric, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(inner(pulled, direction), numeric, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["l1_ball", "l1_sphere", "l2_ball", "l2_sphere", "linf_ball", "simplex", "hypercube"])
def test_the_scale_is_a_number(name):
    project = projections_of(name, ours)
    x, weights = drawn(8), drawn(9)

    def of_scale(scale):
        return gx.tree.vdot(project(x, scale), weights)

    scales = jnp.array([0.25, 0.5, 0.75])
    lanes = jax.vmap(of_scale)(scales)
    np.testing.assert_allclose(lanes, [of_scale(scale) for scale in scales], rtol=1e-12)
    numeric = (of_scale(0.5 + 1e-6) - of_scale(0.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.grad(of_scale)(0.5), numeric, rtol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_the_simplex_equals_bisection(seed):
    x = drawn(seed, 10.0 ** (seed - 2))
    for scale in (0.1, 1.0, 50.0):
        found = vector(ours.projection_simplex(x, scale))
        np.testing.assert_allclose(found, references.simplex(vector(x), scale), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(vector(ours.projection_simplex(x, 0.0)), 0.0)


def test_ties_on_the_simplex():
    for x in ([1.0, 1.0, 1.0], [2.0, 2.0, 0.0], [0.0], [5.0, 4.0], [1.0, *[0.0] * 16]):
        found = np.asarray(ours.projection_simplex(jnp.array(x)))
        np.testing.assert_allclose(found, references.simplex(np.array(x), 1.0), atol=1e-14)


def test_far_from_the_simplex_nothing_is_lost():
    with jax.enable_x64(False):
        x = jnp.array([1e6, 1e6 - 0.25, 0.0])
        assert ours.projection_simplex(x).tolist() == [0.625, 0.375, 0.0]


# Where ours differs ---------------------------------------------------------------------------------------------------


def test_a_zero_of_the_l1_sphere_is_on_the_sphere():
    x = jnp.array([0.1, 0.0])
    np.testing.assert_allclose(ours.projection_l1_sphere(x), [0.55, 0.45])
    with jax.numpy_dtype_promotion("standard"):
        assert abs(float(jnp.abs(theirs.projection_l1_sphere(x)).sum()) - 1) > 0.4
    np.testing.assert_allclose(ours.projection_l1_sphere(jnp.zeros(4)), 0.25)


def test_the_middle_of_a_sphere_has_a_projection():
    np.testing.assert_allclose(ours.projection_l2_sphere(jnp.zeros(4)), 0.5)
    assert not np.isfinite(theirs.projection_l2_sphere(jnp.zeros(4))).any()
    assert np.isfinite(jax.jacobian(ours.projection_l2_sphere)(jnp.zeros(4))).all()
    assert np.isfinite(jax.jacobian(ours.projection_l2_ball)(jnp.zeros(4))).all()


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_very_small_and_very_large_points(size):
    with jax.enable_x64(False):
        x = jnp.array([3.0, -4.0]) * size
        np.testing.assert_allclose(ours.projection_l2_sphere(x), [0.6, -0.8], rtol=1e-6)
        inside = size < 1
        np.testing.assert_allclose(ours.projection_l2_ball(x), x if inside else [0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in SETS if name not in ("box", "vector", "hyperplane", "halfspace")])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(name, dtype):
    arguments, _ = SETS[name]
    x = {"w": jnp.full(300_00, 3.0, dtype), "b": jnp.ones(2, dtype)}
    found = projections_of(name, ours)(x, *arguments)
    assert gx.tree.dtype(found) == jnp.dtype(dtype)
    wide = projections_of(name, ours)(gx.tree.cast(x, "float32"), *arguments)
    np.testing.assert_array_equal(vector(found), vector(gx.tree.cast(wide, dtype)))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("empty", [{}, {"a": None}, {"a": jnp.zeros((0, 3))}], ids=repr)
def test_trees_without_numbers(name, empty):
    arguments = tuple(empty if isinstance(argument, dict) else argument for argument in SETS[name][0])
    found = projections_of(name, ours)(empty, *arguments)
    assert jax.tree.structure(found) == jax.tree.structure(empty)


def test_bounds_may_be_numbers_and_prefixes():
    x = drawn(1)
    expected = theirs.projection_box(x, LOW, HIGH)
    for low, high in ((-0.1, 0.2), ({"w": -0.1, "b": -0.1, "gone": 9.0}, jnp.asarray(0.2))):
        np.testing.assert_array_equal(vector(ours.projection_box(x, low, high)), vector(expected))
    np.testing.assert_array_equal(vector(ours.projection_box(x, None, None)), vector(x))
    np.testing.assert_array_equal(vector(ours.projection_hypercube(x, 0.2)), np.clip(vector(x), 0, 0.2))
    with pytest.raises(TransformationError, match="expected a bound like"):
        ours.projection_box(x, {"w": 0.0}, 1.0)


def test_complex_numbers():
    rng = np.random.default_rng(3)
    x, a = (jnp.asarray(rng.normal(size=6) + 1j * rng.normal(size=6)) for _ in range(2))
    on_line = ours.projection_vector(x, a)
    np.testing.assert_allclose(np.vdot(a, x - on_line), 0, atol=1e-12)  # Optax conjugates the other factor
    np.testing.assert_allclose(np.vdot(a, ours.projection_hyperplane(x, a, 0.5)), 0.5, atol=1e-12)
    assert np.vdot(a, ours.projection_halfspace(x, a, -9.0)).real == pytest.approx(-9.0)
    assert np.abs(ours.projection_linf_ball(x, 0.5)).max() <= 0.5 + 1e-12
    assert np.abs(ours.projection_l1_ball(x, 0.5)).sum() == pytest.approx(0.5)
    np.testing.assert_allclose(np.angle(ours.projection_l1_ball(x, 20.0)), np.angle(x))
    np.testing.assert_allclose(ours.projection_l2_ball(x, 0.5), np.asarray(x) * 0.5 / np.linalg.norm(x), rtol=1e-12)
    for refused in (ours.projection_simplex, ours.projection_non_negative, ours.projection_hypercube):
        with pytest.raises(TransformationError, match="complex numbers have no order"):
            refused(x)


def test_a_direction_of_zeros_moves_nothing():
    x, zero = jnp.array([1.0, 2.0]), jnp.zeros(2)
    assert ours.projection_vector(x, zero).tolist() == [0.0, 0.0]
    assert ours.projection_hyperplane(x, zero, 1.0).tolist() == [1.0, 2.0]


def test_has_every_projection_of_optax():
    assert {name for name in vars(theirs) if name.startswith("projection_")} == set(ours.__all__)


# Constraints on parameters --------------------------------------------------------------------------------------------


def test_projected_descent_reaches_the_nearest_point():
    target = jnp.array([0.9, 0.8, -1.0])
    tx = gx.chain(gx.sgd(0.1), gx.project_params(ours.projection_simplex))
    params = jnp.array([0.2, 0.3, 0.5])
    result = gx.minimize(lambda x: jnp.sum((x - target) ** 2), params, tx, steps=400)
    np.testing.assert_allclose(result.params, ours.projection_simplex(target), atol=1e-6)


def test_the_radius_sweeps():
    def last(radius):
        tx = gx.chain(gx.sgd(1.0), gx.project_params(ours.projection_l2_ball, radius))
        x = jnp.array([3.0, 4.0])
        return x + tx.update(jnp.zeros(2), tx.init(x), x)[0]

    np.testing.assert_allclose(jax.vmap(last)(jnp.array([1.0, 2.0])), [[0.6, 0.8], [1.2, 1.6]])


def test_a_projection_must_return_a_tree_like_the_parameters():
    tx = gx.project_params(lambda params: params["w"])
    x = {"w": jnp.ones(2)}
    with pytest.raises(TransformationError, match="project_params: projection: leaf w: expected"):
        tx.update(x, tx.init(x), x)
    with pytest.raises(TransformationError, match="project_params: it needs the parameters"):
        tx.update(x, tx.init(x))
