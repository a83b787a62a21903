"""Derivatives of solutions, against closed forms, and against jaxopt on its own example."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets, model_selection, preprocessing

import gradtx
from gradtx import tune

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 4)), RNG.normal(size=20)


def ridge_loss(w, penalty, x, y):
    return (jnp.sum((x @ w - y) ** 2) + penalty * jnp.sum(w**2)) / 2


def ridge_slope(penalty):
    """w = (XᵀX + p)⁻¹Xᵀy, so dw/dp = −(XᵀX + p)⁻¹ w."""
    matrix = X.T @ X + penalty * np.eye(4)
    return -np.linalg.solve(matrix, np.linalg.solve(matrix, X.T @ Y))


def ridge_by_descent(penalty, x, y):
    return gradtx.minimize(lambda w: ridge_loss(w, penalty, x, y), jnp.zeros(4), gradtx.sgd(0.03), steps=1000)


SAYS = {
    "loss": {"loss": ridge_loss},
    "optimality": {"optimality": jax.grad(ridge_loss)},
    "fixed_point": {"fixed_point": lambda w, p, x, y: w - 0.01 * jax.grad(ridge_loss)(w, p, x, y)},
}


@pytest.mark.parametrize("how", SAYS)
def test_ridge_regression_is_its_closed_form(how):
    with jax.enable_x64(True):
        solution = tune.implicit(ridge_by_descent, **SAYS[how], tol=1e-13)
        forward = jax.jacfwd(solution)(2.0, jnp.asarray(X), jnp.asarray(Y))
        reverse = jax.jacrev(solution)(2.0, jnp.asarray(X), jnp.asarray(Y))
    np.testing.assert_allclose(forward, ridge_slope(2.0), rtol=1e-8)
    np.testing.assert_allclose(reverse, ridge_slope(2.0), rtol=1e-8)


def test_a_matrix_that_is_not_symmetric_is_transposed_in_reverse():
    """F = Aθ − a, so ∂θ/∂a = A⁻¹."""
    matrix = np.array([[2.0, 1.0], [-3.0, 1.0]])
    with jax.enable_x64(True):
        solution = tune.implicit(lambda a: jnp.linalg.solve(matrix, a), optimality=lambda w, a: matrix @ w - a)
        found = [jac(solution)(jnp.array([1.0, 2.0])) for jac in (jax.jacfwd, jax.jacrev)]
    for jacobian in found:
        np.testing.assert_allclose(jacobian, np.linalg.inv(matrix), rtol=1e-10)


def test_it_differentiates_twice_and_works_in_trees_and_under_vmap():
    """θ = 1/a of −log θ + aθ, whose second derivative is 2/a³."""
    solution = tune.implicit(lambda a: {"w": 1 / a}, lambda w, a: -jnp.log(w["w"]) + a * w["w"])
    slope = jax.grad(lambda a: solution(a)["w"])
    np.testing.assert_allclose(jax.vmap(slope)(jnp.array([1.0, 2.0])), [-1.0, -0.25], rtol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.grad(slope))(2.0), 2 / 8, rtol=1e-5)


def lasso():
    """jaxopt's example: diabetes, its held-out loss as a function of the logarithm of the penalty."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return model_selection.train_test_split(preprocessing.normalize(x), y, test_size=0.33, random_state=0)


def by_active_set(w, penalty, x, xv, y, yv):
    """On its active set S the lasso is linear: w_S = (X_SᵀX_S)⁻¹(X_Sᵀy − n λ sign(w_S))."""
    on = np.abs(w) > 0
    gram = x[:, on].T @ x[:, on]
    w = np.linalg.solve(gram, x[:, on].T @ y - len(y) * penalty * np.sign(w[on]))
    moved = np.linalg.solve(gram, -len(y) * np.sign(w))
    left = xv[:, on] @ w - yv
    return np.mean(left**2), 2 * np.mean(left * (xv[:, on] @ moved)) * penalty


def test_jaxopts_example_of_the_lasso():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jaxopt says that it is no longer maintained
        import jaxopt
    log_penalty = 1.0
    x, xv, y, yv = lasso()
    step = len(y) / np.linalg.eigvalsh(x.T @ x)[-1]

    def held_out(w):
        return jnp.mean((xv @ w - yv) ** 2)

    def theirs(theta):
        solver = jaxopt.ProximalGradient(
            fun=jaxopt.objective.least_squares, prox=jaxopt.prox.prox_lasso, maxiter=20_000, tol=1e-9
        )
        return held_out(solver.run(jnp.zeros(10), jnp.exp(theta), (x, y)).params)

    def proximal(w, penalty):
        return tune.soft_threshold(w - step * (x.T @ (x @ w - y) / len(y)), step * penalty)

    def solve(penalty):
        return jax.lax.fori_loop(0, 20_000, lambda _, w: proximal(w, penalty), jnp.zeros(10))

    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = tune.implicit(solve, fixed_point=proximal, tol=1e-12)
        ours = jax.value_and_grad(lambda theta: held_out(solution(jnp.exp(theta))))(log_penalty)
        peer = jax.value_and_grad(theirs)(log_penalty)
        w = np.asarray(solution(np.exp(log_penalty)))
    np.testing.assert_allclose(ours, peer, rtol=1e-6)
    np.testing.assert_allclose(ours, by_active_set(w, np.exp(log_penalty), x, xv, y, yv), rtol=1e-9)
    assert 0 < np.sum(w == 0) < 10


def test_the_threshold_is_the_minimum_of_its_problem():
    x, threshold = np.linspace(-3, 3, 13), 0.7
    grid = np.linspace(-4, 4, 80_001)
    minima = [grid[np.argmin((grid - one) ** 2 / 2 + threshold * np.abs(grid))] for one in x]
    np.testing.assert_allclose(tune.soft_threshold(jnp.asarray(x, jnp.float32), threshold), minima, atol=1e-4)
    tree = tune.soft_threshold({"a": jnp.ones(2), "b": -jnp.ones(1)}, {"a": 0.25, "b": 2.0})
    assert [x.tolist() for x in tree.values()] == [[0.75, 0.75], [0.0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tune.implicit(lambda: 0.0), "expected one of loss, optimality and fixed_point, found none"),
        (lambda: tune.implicit(lambda: 0.0, ridge_loss, optimality=ridge_loss), "found loss and optimality"),
        (lambda: tune.implicit(lambda: 0.0, ridge_loss, max_steps=0), "max_steps: expected a whole number"),
        (lambda: tune.implicit(lambda a: jnp.ones(3), optimality=lambda w, a: w[:2])(1.0),
         r"optimality: expected a tree like the solution's, \(3,\), found \(2,\)"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call, words):
    with pytest.raises(gradtx.TransformationError, match=words):
        call()
