"""Derivatives of a solution, by the implicit function theorem: nothing of how it was found is differentiated."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.vectors import precision, raveled, unraveled
from gradtx._training.result import Fit
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

Tree = Any
Function = Callable[..., Any]


def implicit(
    solve: Function,
    loss: Function | None = None,
    *,
    optimality: Function | None = None,
    fixed_point: Function | None = None,
    tol: float | None = None,
    max_steps: int | None = None,
) -> Function:
    """A solver whose result can be differentiated in its arguments, whatever it does inside.

        F(θ*(a), a) = 0   ⟹   ∂θ* = −(∂F/∂θ)⁻¹ (∂F/∂a) ∂a

    ``solve(*a)`` returns the solution θ*, a tree of arrays, or the `gradtx.Fit` of `gradtx.minimize`. Say what it
    solves, by one of three functions:

    - ``loss(θ, *a)``, of which θ* is a minimum: F = ∂loss/∂θ. Its derivative is the Hessian, which is symmetric, so
      the linear system is solved by conjugate gradients; one step is one Hessian-vector product.
    - ``optimality(θ, *a)``, a tree like θ that is 0 at θ*.
    - ``fixed_point(θ, *a)``, which is θ* at θ*, F = fixed_point(θ) − θ: for losses with a part that has no derivative.
      A step of proximal gradient descent, ``soft_threshold(θ − η∇f(θ), ηλ)``, has the lasso as its fixed point; a
      projection (`gradtx.projections`) in place of the threshold makes it a problem with constraints.

    The last two are solved by conjugate gradients on AᵀAx = Aᵀb. They end where ‖residual‖ ≤ ``tol`` ‖b‖ (if not given:
    100 eps, 1e-5 in float32) or after ``max_steps`` (if not given: ten for each number of θ, 1,000 at most). Works
    under ``grad``, ``jvp``, ``vmap`` and ``jit``, and may be differentiated again. The traps: the derivative is only
    as good as the solution, θ* must satisfy F = 0 to the digits that you want; and the Hessian must be invertible.

    Source: Griewank & Walther 2008, chapter 15; Blondel et al. 2022 (``fixed_point``); Hestenes & Stiefel 1952.

    Raises `TransformationError`: none or several of the three functions; a result of them that is not like θ.

    >>> ridge = lambda w, penalty: (w - 3.0) ** 2 / 2 + penalty * w**2 / 2
    >>> solution = implicit(lambda penalty: 3.0 / (1.0 + penalty), ridge)
    >>> jax.grad(solution)(1.0)  # of 3/(1 + p): −3/4
    Array(-0.75, dtype=float32, weak_type=True)
    """
    given = {"loss": loss, "optimality": optimality, "fixed_point": fixed_point}
    which = [name for name, function in given.items() if function is not None]
    if len(which) != 1:
        found = " and ".join(which) or "none"
        raise TransformationError(f"tune.implicit: expected one of loss, optimality and fixed_point, found {found}")
    if max_steps is not None:
        whole_number("tune.implicit: max_steps", max_steps)

    @functools.wraps(solve)
    def solution(*args: Any) -> Tree:
        def zero(params: Tree) -> Tree:
            return _residual(given, params, args)

        def found(_: Any, start: Tree) -> Tree:
            del start
            return _params(solve(*jax.lax.stop_gradient(args)))

        def tangent(linear: Function, rhs: Tree) -> Tree:
            return _solved(linear, rhs, symmetric=loss is not None, tol=tol, max_steps=max_steps)

        start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(found, None, None))
        return jax.lax.custom_root(zero, start, found, tangent)

    return solution


def soft_threshold(tree: Tree, threshold: Any) -> Tree:
    """Each number moved towards 0 by ``threshold``, and 0 where it is smaller: the proximal operator of Σ|x|.

        prox(x) = sign(x) max(|x| − threshold, 0) = argmin over y of ½ (y − x)² + threshold |y|

    ``threshold`` is a number, or a tree like ``tree``. Source: Donoho & Johnstone 1994; Daubechies et al. 2004.

    >>> soft_threshold(jnp.array([-3.0, 0.5]), 1.0)
    Array([-2.,  0.], dtype=float32)
    """

    def one(x: Any, threshold: Any) -> jax.Array:
        x = jnp.asarray(x)
        size = jnp.asarray(threshold).astype(x.dtype)
        return jnp.where(x > size, x - size, jnp.where(x < -size, x + size, 0))

    alike = jax.tree.structure(threshold) == jax.tree.structure(tree)
    return trees.map(one, tree, threshold if alike else trees.map(lambda _: threshold, tree))


# What is solved, and how ----------------------------------------------------------------------------------------------


def _params(found: Any) -> Tree:
    return jax.tree.map(jnp.asarray, found.params if isinstance(found, Fit) else found)


def _residual(given: dict[str, Any], params: Tree, args: Any) -> Tree:
    """F, in the dtypes of the parameters."""
    if given["loss"] is not None:
        return jax.grad(given["loss"])(params, *args)
    name = "optimality" if given["fixed_point"] is None else "fixed_point"
    made = given[name](params, *args)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (made, params)]
    if shapes[0] != shapes[1]:
        raise TransformationError(
            f"tune.implicit: {name}: expected a tree like the solution's, {shapes[1]}, found {shapes[0]}"
        )
    made = trees.cast_like(made, params)
    return made if name == "optimality" else trees.sub(made, params)


def _solved(linear: Function, rhs: Tree, *, symmetric: bool, tol: float | None, max_steps: int | None) -> Tree:
    """The solution of a linear system, which may be differentiated and transposed."""
    tol = 100 * float(jnp.finfo(precision(rhs)).eps) if tol is None else tol
    most = min(1000, 10 * trees.size(rhs)) if max_steps is None else max_steps

    def matrix(vector: jax.Array) -> jax.Array:
        return raveled(linear(unraveled(vector, rhs)))

    def least_squares(matrix: Function, b: jax.Array) -> jax.Array:
        transposed = jax.linear_transpose(matrix, b)
        return _conjugate_gradients(lambda x: transposed(matrix(x))[0], transposed(b)[0], tol, most)

    def symmetric_solve(matrix: Function, b: jax.Array) -> jax.Array:
        return _conjugate_gradients(matrix, b, tol, most)

    how = symmetric_solve if symmetric else least_squares
    x = jax.lax.custom_linear_solve(matrix, raveled(rhs), how, transpose_solve=how, symmetric=symmetric)
    return unraveled(x, rhs)


def _conjugate_gradients(matrix: Function, b: jax.Array, tol: float, most: int) -> jax.Array:
    return jax.scipy.sparse.linalg.cg(matrix, b, tol=tol, maxiter=most)[0]
