"""Curvature: products, spectra, critical points, predictions, and the theory of heavy ball that rests on them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gradtx
from gradtx import initializers
from gradtx.curvature import (
    best_step,
    check_gradient,
    classify,
    condition_number,
    directional_curvature,
    hessian,
    hvp,
    predicted_decrease,
    spectrum,
)


def saddle(x):
    return x[0] ** 2 - x[1] ** 2


def quadratic(x, matrix):
    return x @ matrix @ x / 2


def bumpy(params, scale):
    """A loss that is nowhere quadratic, of a tree with ``None`` in it."""
    x, y = params["x"], params["y"][0]
    return scale * (jnp.sum(jnp.sin(x) * x) + jnp.exp(y) * jnp.sum(x**2) + y**4)


TREE = {"x": jnp.array([[0.3, -1.2], [0.7, 2.0]]), "y": (jnp.array(0.5), None), "z": None}


def symmetric(values, seed=0):
    """A symmetric matrix with these eigenvalues, in float64."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    return (q * np.asarray(values)) @ q.T


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def cross_entropy(params, batch):
    hidden = jnp.tanh(batch["x"] @ params["w"] + params["b"][None])
    scores = jax.nn.log_softmax(hidden @ params["v"] + params["c"][None])
    return -jnp.mean(jnp.take_along_axis(scores, batch["y"][:, None], axis=1))


def network():
    """The parameters of a perceptron, and 400 of the digits in 4 × 4 pixels, in float64."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pooled = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)[:400] / 16
    return perceptron(16, 12, 10), {"x": jnp.asarray(pooled), "y": jnp.asarray(labels[:400])}


def perceptron(n_in, n_hidden, n_out):
    k_w, k_v = jax.random.split(jax.random.key(0))
    init = initializers.xavier_normal()
    params = {"w": init(k_w, (n_in, n_hidden)), "b": jnp.zeros(n_hidden), "v": init(k_v, (n_hidden, n_out))}
    return params | {"c": jnp.zeros(n_out)}


# Products and matrices ------------------------------------------------------------------------------------------------


def test_curvature_of_the_lectures_saddle_is_2_and_minus_2():
    np.testing.assert_array_equal(hessian(saddle, jnp.zeros(2)), [[2, 0], [0, -2]])
    np.testing.assert_array_equal(spectrum(saddle, jnp.zeros(2)).eigenvalues, [-2, 2])
    assert classify(saddle, jnp.zeros(2)).kind == "saddle"
    assert float(condition_number(saddle, jnp.zeros(2))) == 1


def test_curvature_hessian_is_jaxs_and_a_product_is_its_product(x64):
    params = jax.tree.map(lambda x: x.astype(jnp.float64), TREE)
    flat, unravel = ravel_pytree(params)
    expected = jax.jit(jax.hessian(lambda x: bumpy(unravel(x), 2.0)))(flat)
    found = hessian(bumpy, params, 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(found, found.T)
    v = jnp.arange(1.0, 6.0)
    vector = unravel(v)
    product = hvp(bumpy, params, vector, 2.0)
    assert jax.tree.structure(product) == jax.tree.structure(params)
    np.testing.assert_allclose(ravel_pytree(product)[0], expected @ v, rtol=1e-12)
    along = directional_curvature(bumpy, params, vector, 2.0)
    assert float(along) == pytest.approx(float(v @ expected @ v / (v @ v)), rel=1e-12)


def test_products_go_through_jit_vmap_and_grad():
    rows = jax.jit(jax.vmap(lambda v: hvp(saddle, jnp.ones(2), v)))(jnp.eye(2))
    np.testing.assert_array_equal(rows, [[2, 0], [0, -2]])
    slope = jax.grad(lambda x: hvp(lambda x: x**4, x, jnp.array(1.0)))(jnp.array(2.0))
    assert float(slope) == 24 * 2  # the third derivative
    sharpness = jax.jit(lambda x: spectrum(lambda x: jnp.sum(x**4), x).eigenvalues[-1])(jnp.array([1.0, 2.0]))
    assert float(sharpness) == 48


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_widened_before_the_loss_sees_it(dtype):
    def loss(params, x):
        return jnp.sum((params["w"] * x) ** 2) * 1e-6

    params, x = {"w": jnp.array([1.0, 2.0], dtype)}, jnp.array([1.0, 3.0], dtype)
    np.testing.assert_allclose(hessian(loss, params, x), [[2e-6, 0], [0, 18e-6]], rtol=1e-6)
    assert hvp(loss, params, {"w": jnp.ones(2, dtype)}, x)["w"].dtype == jnp.float32
    assert predicted_decrease(loss, params, 0.1, x).dtype == jnp.float32
    assert check_gradient(loss, params, x) < 1e-6


def test_leaves_of_two_precisions_keep_their_own(x64):
    def loss(p):
        return jnp.sum(p["a"] ** 2).astype(jnp.float64) + jnp.sum(p["b"] ** 3)

    params = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(1, jnp.float64)}
    assert [x.dtype for x in jax.tree.leaves(hvp(loss, params, params))] == [jnp.float32, jnp.float64]
    np.testing.assert_array_equal(hessian(loss, params), np.diag([2.0, 2.0, 6.0]))


# The spectrum ---------------------------------------------------------------------------------------------------------


def test_curvature_by_lanczos_is_the_dense_one_on_a_trained_network(x64):
    start, data = network()
    run = gradtx.minimize(lambda params: cross_entropy(params, data), start, gradtx.adam(0.02), steps=400)
    assert float(run.final_loss) < 0.2 < 2 < float(run.loss[0])
    dense = spectrum(cross_entropy, run.params, data)
    n = len(dense.eigenvalues)
    assert n == 16 * 12 + 12 + 12 * 10 + 10
    found = spectrum(cross_entropy, run.params, data, k=6)
    assert 0 < int(found.steps) < n  # it did not build the whole space
    ends = np.r_[:6, n - 6 : n]
    largest = float(dense.eigenvalues[-1])
    assert float(dense.eigenvalues[0]) < 0 < largest
    np.testing.assert_allclose(found.eigenvalues, dense.eigenvalues[ends], atol=1e-12 * largest, rtol=0)
    assert float(found.errors.max()) < 1e-10 * largest
    assert float(dense.errors.max()) < 1e-13 * largest
    np.testing.assert_allclose(jnp.abs(found.vectors["w"][-3:]), jnp.abs(dense.vectors["w"][-3:]), atol=1e-9)
    top = jax.tree.map(lambda x: x[-1], found.vectors)
    along = directional_curvature(cross_entropy, run.params, top, data)
    assert float(along) == pytest.approx(largest, rel=1e-12)

    single = jax.tree.map(lambda x: x.astype(jnp.float32), (run.params, data["x"]))
    near = spectrum(cross_entropy, single[0], {"x": single[1], "y": data["y"]}, k=6)
    assert near.eigenvalues.dtype == jnp.float32
    np.testing.assert_allclose(near.eigenvalues[6:], dense.eigenvalues[ends][6:], atol=2e-6 * largest)
    apart = jnp.abs(near.eigenvalues[:, None].astype(jnp.float64) - dense.eigenvalues[None])
    assert float(jnp.max(jnp.min(apart, axis=1))) < 2.5e-5 * largest  # its residuals
    assert float(near.errors.max()) < 2.5e-5 * largest


def test_lanczos_finds_the_ends_of_a_known_spectrum_and_says_how_far_it_is_off(x64):
    values = np.concatenate([[-3, -2], np.linspace(-0.1, 0.1, 294), [1, 2, 4, 5]])
    matrix = jnp.asarray(symmetric(values))
    found = spectrum(quadratic, jnp.zeros(300), matrix, k=2)
    np.testing.assert_allclose(found.eigenvalues, [-3, -2, 4, 5], atol=1e-13)
    short = spectrum(quadratic, jnp.zeros(300), matrix, k=2, max_steps=6)
    assert int(short.steps) == 6
    off = np.min(abs(np.asarray(short.eigenvalues)[:, None] - values[None]), axis=1)
    assert (off <= short.errors).all()
    assert float(short.errors.max()) > 1e-3


def test_lanczos_goes_on_where_its_space_is_exhausted(x64):
    values = jnp.repeat(jnp.array([1.0, 2.0, 5.0]), 20)  # three eigenvalues: a space of three dimensions
    found = spectrum(quadratic, jnp.zeros(60), jnp.diag(values), k=3, method="lanczos")
    np.testing.assert_allclose(found.eigenvalues[jnp.array([0, -1])], [1, 5], atol=1e-13)
    assert float(found.errors.max()) < 1e-10
    zero = spectrum(quadratic, jnp.zeros(60), jnp.zeros((60, 60)), k=3, method="lanczos")
    np.testing.assert_array_equal(zero.eigenvalues, np.zeros(6))


def test_lanczos_is_blind_to_the_scale_of_the_loss(x64):
    matrix = jnp.asarray(symmetric(np.arange(-10.0, 50.0)))
    for scale in (1e-12, 1e12):
        found = spectrum(quadratic, jnp.zeros(60), scale * matrix, k=3, method="lanczos")
        np.testing.assert_allclose(found.eigenvalues / scale, [-10, -9, -8, 47, 48, 49], rtol=1e-11)


def test_lanczos_under_jit_and_vmap(x64):
    matrix = jnp.asarray(symmetric(np.arange(-10.0, 30.0)))

    @jax.jit
    @jax.vmap
    def ends(scale):
        return spectrum(quadratic, jnp.zeros(40), scale * matrix, k=1, method="lanczos").eigenvalues

    np.testing.assert_allclose(ends(jnp.array([1.0, 2.0])), [[-10, 29], [-20, 58]], rtol=1e-11)


def test_a_second_spectrum_compiles_nothing():
    traces = []

    def loss(x):
        traces.append(1)
        return jnp.sum(x**4)

    for k, n in ((None, 3), (1, 300)):
        spectrum(loss, jnp.ones(n), k=k)
        before = len(traces)
        spectrum(loss, jnp.full(n, 2.0), k=k)
        assert len(traces) - before <= 1  # the check of its shape


def test_curvature_condition_number_is_the_largest_ratio(x64):
    for values, expected in (([0.01, 0.1, 1.0], 100), ([-4.0, 1.0, 2.0], 4), ([0.0, 1.0, 2.0], np.inf)):
        matrix = jnp.asarray(symmetric(values))
        assert float(condition_number(quadratic, jnp.ones(3), matrix)) == pytest.approx(expected, rel=1e-12)


# Critical points ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (saddle, "saddle"),
        (lambda x: x[0] ** 2 - x[1] ** 2 + 0 * x[2], "saddle"),  # a flat direction makes it no less of one
        (lambda x: jnp.sum(x**2), "minimum"),
        (lambda x: -jnp.sum(jnp.cosh(x)), "maximum"),
        (lambda x: x[0] ** 2 + x[1] ** 4 + x[2] ** 2, "degenerate"),
        (lambda x: jnp.sum(x**3), "degenerate"),
        (lambda x: jnp.sum(x**2) + 1e-3 * x[0], "not critical"),
        (lambda x: jnp.sum(x**2) / jnp.sum(x), "not critical"),  # 0/0: no number at all
    ],
)
def test_curvature_says_what_a_critical_point_is(loss, kind):
    point = classify(loss, jnp.zeros(3))
    assert point.kind == kind
    assert str(point).startswith(f"{kind}: ")


def test_classify_says_why():
    point = classify(saddle, jnp.ones(2))
    assert point.reason == "the gradient is not zero, its norm is 2.82843"
    assert (point.smallest, point.largest) == (-2, 2)
    assert classify(saddle, jnp.ones(2), gradient_tol=3.0).kind == "saddle"
    for tol, kind in ((None, "minimum"), (0.1, "degenerate")):
        assert classify(lambda x: x[0] ** 2 + 0.01 * x[1] ** 2, jnp.zeros(2), tol=tol).kind == kind


def test_classify_takes_what_is_too_large_to_form():
    def loss(x, signs):
        return jnp.sum(signs * jnp.cosh(x))

    ones = jnp.ones(6000)
    assert classify(loss, jnp.zeros(6000), ones.at[17].set(-1.0)).kind == "saddle"
    assert classify(loss, jnp.zeros(6000), ones).kind == "minimum"


# Steps ----------------------------------------------------------------------------------------------------------------


def test_curvature_predicted_decrease_is_exact_on_a_quadratic(x64):
    matrix, x = jnp.asarray(symmetric([-1.0, 0.5, 3.0])), jnp.array([1.0, -2.0, 0.5])
    steps = jnp.array([0.0, 0.1, 1.0])
    g = matrix @ x
    actual = [quadratic(x - step * g, matrix) - quadratic(x, matrix) for step in steps]
    np.testing.assert_allclose(predicted_decrease(quadratic, x, steps, matrix), actual, atol=1e-13)
    assert predicted_decrease(quadratic, x, 0.1, matrix).shape == ()


@pytest.mark.parametrize(("value", "sign"), [(2.0, 1), (0.0, 0), (-2.0, -1)])
def test_curvature_decides_whether_a_step_falls_short_of_meets_or_exceeds_the_first_order_prediction(value, sign, x64):
    def loss(x):
        return 3 * x + value * x**2 / 2

    x, step = jnp.array(0.0), 0.25
    g = jax.grad(loss)(x)
    first_order, actual = -step * g**2, loss(x - step * g) - loss(x)
    assert float(jnp.sign(actual - first_order)) == sign
    assert float(actual) == pytest.approx(float(predicted_decrease(loss, x, step)), rel=1e-12)
    assert float(actual - first_order) == pytest.approx(step**2 * value * float(g) ** 2 / 2)


def test_curvature_best_step_is_the_best(x64):
    matrix, x = jnp.asarray(symmetric([0.5, 1.0, 3.0])), jnp.array([1.0, -2.0, 0.5])
    best = best_step(quadratic, x, matrix)
    g = matrix @ x
    slope = jax.grad(lambda step: quadratic(x - step * g, matrix))(best)
    assert abs(float(slope)) < 1e-12
    assert 1 / 3 < float(best) < 2
    decrease, expected = predicted_decrease(quadratic, x, best, matrix), -((g @ g) ** 2) / (g @ matrix @ g) / 2
    assert float(decrease) == pytest.approx(float(expected), rel=1e-12)


def test_curvature_that_is_not_positive_has_no_best_step():
    assert float(best_step(lambda x: -(x**2), jnp.array(1.0))) == math.inf
    assert float(best_step(lambda x: 3 * x, jnp.array(1.0))) == math.inf
    assert float(best_step(lambda x: x**2, jnp.array(0.0))) == 0
    assert float(jax.jit(lambda x: best_step(saddle, x))(jnp.array([1.0, 0.0]))) == 0.5


# The theory of heavy ball ---------------------------------------------------------------------------------------------


def spectral_radius(tx, values):
    """Of the Jacobian of a step on ½ Σ λᵢθᵢ², parameters and state together."""
    values, params = jnp.asarray(values), jnp.zeros(len(values))
    flat, unravel = ravel_pytree((params, tx.init(params)))

    def step(z):
        params, state = unravel(z)
        updates, state = tx.update(values * params, state, params)
        return ravel_pytree((gradtx.apply_updates(params, updates), state))[0]

    return np.max(np.abs(np.linalg.eigvals(np.asarray(jax.jit(jax.jacobian(step))(flat)))))


def test_heavy_ball_on_a_quadratic_and_gradient_descent_contract_as_goh_says(x64):
    values = [0.01, 0.1, 1.0]
    low, high = 0.1, 1.0  # the roots of the ends
    alpha, beta = (2 / (low + high)) ** 2, ((high - low) / (high + low)) ** 2
    kappa = float(condition_number(quadratic, jnp.zeros(3), jnp.diag(jnp.asarray(values))))
    heavy = spectral_radius(gradtx.sgd(alpha, beta), values)
    assert heavy == pytest.approx(0.8181818, abs=1e-6)
    assert heavy == pytest.approx((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1), abs=1e-6)
    plain = spectral_radius(gradtx.sgd(2 / (values[0] + values[-1])), values)
    assert plain == pytest.approx(0.980198, abs=1e-6)
    assert plain == pytest.approx((kappa - 1) / (kappa + 1), rel=1e-12)
    assert spectral_radius(gradtx.sgd(alpha, 0.99 * beta), values) > heavy


# A check of gradients -------------------------------------------------------------------------------------------------


def test_autodiff_agrees_with_finite_differences_on_a_tree_and_on_a_network():
    assert check_gradient(bumpy, TREE, 2.0) < 1e-9
    data = {"x": jax.random.normal(jax.random.key(1), (50, 6)), "y": jnp.arange(50) % 4}
    assert check_gradient(cross_entropy, perceptron(6, 8, 4), data) < 1e-8


def test_autodiff_check_names_the_number_that_is_wrong():
    def wrong(params, scale):
        gradient = jax.grad(bumpy)(params, scale)
        return gradient | {"x": gradient["x"].at[1, 0].multiply(1.001)}

    with pytest.raises(
        AssertionError, match=r"check_gradient: leaf x\[1, 0\]: expected 6.9756.* by finite diff.*found 6.98"
    ):
        check_gradient(bumpy, TREE, 2.0, gradient=wrong)
    assert check_gradient(bumpy, TREE, 2.0, gradient=wrong, tol=1e-2) < 1e-2


def test_autodiff_check_finds_a_wrong_rule_and_a_kink():
    @jax.custom_jvp
    def double(x):
        return 2 * x

    double.defjvp(lambda primals, tangents: (double(*primals), 3 * tangents[0]))
    with pytest.raises(AssertionError, match=r"leaf \[0\]: expected 2 by finite differences, found 3"):
        check_gradient(lambda x: jnp.sum(double(x)), jnp.ones(1))
    with pytest.raises(AssertionError, match=r"expected 0.5 by finite differences, found 0"):
        check_gradient(jax.nn.relu, jnp.array(0.0))


@pytest.mark.parametrize("loss", [lambda x: jnp.sum(x**3), lambda x: 1e6 + jnp.sum(x**4), lambda x: 1.0 + 0 * x[0]])
def test_autodiff_check_is_content_where_the_gradient_is_zero(loss):
    assert check_gradient(loss, jnp.zeros(3)) <= 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hessian(lambda x: x, jnp.ones(2)), r"hessian: loss: expected one real number, found .*2"),
        (lambda: hessian(lambda x: (x, x), jnp.ones(2)), r"hessian: loss: expected one real number, found tuple"),
        (
            lambda: hessian(lambda x: x["n"] * 1.0, {"n": jnp.ones([], int)}),
            r"hessian: leaf n: expected real numbers.*int",
        ),
        (lambda: hessian(lambda x: 1.0, {"n": "a"}), r"hessian: leaf n: expected an array, found 'a'"),
        (lambda: hessian(lambda x: 1.0, {"n": None}), r"hessian: params: expected a tree of arrays, found no numbers"),
        (lambda: hvp(jnp.sum, jnp.ones(2), jnp.ones(3)), r"hvp: vector: leaf : expected shape \(2,\), found \(3,\)"),
        (lambda: hvp(bumpy, TREE, {"x": 1.0}, 1.0), r"hvp: vector: expected a tree like"),
        (lambda: spectrum(saddle, jnp.ones(2), method="qr"), r"spectrum: method: expected 'dense' or 'lanczos'"),
        (lambda: spectrum(saddle, jnp.ones(2), method="lanczos"), r"spectrum: k: lanczos finds .* give k"),
        (lambda: spectrum(saddle, jnp.ones(2), k=0), r"spectrum: k: expected a whole number, 1 or more, found 0"),
        (lambda: spectrum(saddle, jnp.ones(2), max_steps=0.5), r"spectrum: max_steps: expected a whole number"),
        (lambda: spectrum(jnp.sum, jnp.ones(9000)), r"spectrum: k: H of 9000 parameters is too large.*give k"),
        (lambda: jax.jit(lambda x: classify(saddle, x))(jnp.ones(2)), r"classify: expected numbers, found traced ones"),
        (lambda: jax.jit(lambda x: check_gradient(saddle, x))(jnp.ones(2)), r"check_gradient: expected numbers"),
        (lambda: check_gradient(saddle, jnp.ones(2), gradient=lambda x: x[0]), r"check_gradient: gradient: leaf "),
    ],
)
def test_curvature_refuses(call, message):
    with pytest.raises(gradtx.TransformationError, match=message):
        call()
