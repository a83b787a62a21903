"""Linear algebra of optimizers: the largest eigenvalue, roots of matrices, least squares without negative numbers."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.loops import scan, while_loop
from gradtx._rules.vectors import matmul
from gradtx._value.errors import TransformationError
from gradtx._value.floating import real_dtype, wide

Tree = Any
EXACT = jax.lax.Precision.HIGHEST


def power_iteration(
    matrix: jax.Array | Callable[[Tree], Tree],
    *,
    v0: Tree = None,
    num_iters: Any = 100,
    error_tolerance: Any = 1e-6,
    precision: Any = EXACT,
    key: Any = None,
) -> tuple[jax.Array, Tree]:
    """The eigenvalue that is largest in size, and its eigenvector, of a symmetric or Hermitian matrix.

        z = Av;   λ = ⟨v, z⟩;   v ← z/‖z‖,   until ‖z − λv‖ ≤ error_tolerance · |λ|, or num_iters products

    ``matrix`` is A, or a function v ↦ Av of a tree; then ``v0``, the tree to start from, must be given. Else v starts
    at random, from ``key``. Computed in float32 at least. For zeros λ is 0 (in Optax NaN). Source: von Mises
    & Pollaczek-Geiringer 1929.

    Raises `TransformationError`: a function without ``v0``.

    >>> value, vector = power_iteration(jnp.diag(jnp.array([1.0, -4.0])))
    >>> round(float(value), 5), [round(x, 3) for x in jnp.abs(vector).tolist()]
    (-4.0, [0.0, 1.0])
    """
    if callable(matrix):
        product = matrix
        if v0 is None:
            raise TransformationError("power_iteration: v0: a matrix that is a function needs a tree to start from")
    else:
        square = wide(jnp.asarray(matrix))
        product = functools.partial(jnp.matmul, square, precision=precision)
        if v0 is None:
            key = jax.random.key(0) if key is None else key
            v0 = jax.random.uniform(key, square.shape[-1:], real_dtype(square.dtype), -1.0, 1.0).astype(square.dtype)

    def applied(v: Tree) -> Tree:
        return trees.cast_like(product(v), v)

    def unfinished(carry: Any) -> Any:
        v, z, value, n = carry
        residual = trees.norm(trees.sub(z, trees.scale(value, v)))
        return (residual > error_tolerance * jnp.abs(value)) & (n < num_iters)

    def step(carry: Any) -> Any:
        v, z, _, n = carry
        v = _unit(z, v)
        z = applied(v)
        return v, z, jnp.real(trees.vdot(v, z)), n + 1

    v = trees.map(lambda x: wide(jnp.asarray(x)), v0)
    v = _unit(v, v)
    z = applied(v)
    value = jnp.zeros_like(jnp.real(trees.vdot(v, z)))
    v, z, value, _ = while_loop(unfinished, step, (v, z, value, jnp.zeros([], jnp.int32)))
    return value, _unit(z, v)


def _unit(x: Tree, instead: Tree) -> Tree:
    """x/‖x‖; ``instead`` where x is 0."""
    norm = trees.norm(x)
    scaled = trees.scale(1 / jnp.where(norm > 0, norm, 1), x)
    return trees.where(norm > 0, scaled, instead)


def matrix_inverse_pth_root(
    matrix: Any,
    p: Any,
    num_iters: Any = 100,
    ridge_epsilon: Any = 1e-6,
    error_tolerance: Any = 1e-6,
    precision: Any = EXACT,
) -> tuple[jax.Array, jax.Array]:
    """The inverse p-th root of a symmetric matrix without negative eigenvalues, and the error of it.

        X = (A + εI)^(−1/p),   ε = ridge_epsilon · λ_max;   error = max|XᵖA − I|, A with its ridge

    By eigenvalues, so that ``p`` is any positive number (Optax iterates, and is right for 1, 2, 4 and 8 alone).
    ``num_iters`` and ``error_tolerance`` have no effect: nothing is iterated. Computed in float32 at least. Source:
    Gupta, Koren & Singer 2018, section 2 (the powers of matrices of Shampoo).

    >>> root, error = matrix_inverse_pth_root(jnp.diag(jnp.array([4.0, 16.0])), 2, ridge_epsilon=0.0)
    >>> root
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    given = jnp.asarray(matrix)
    a = wide(given)
    values, vectors = jnp.linalg.eigh(a)
    ridge = jnp.asarray(ridge_epsilon).astype(values.dtype) * jnp.maximum(values[-1], 1e-16)
    values = jnp.maximum(values, 0) + ridge
    power = -1 / jnp.asarray(p).astype(values.dtype)
    back = jnp.conj(vectors.T)

    def with_values(of: jax.Array) -> jax.Array:
        return jnp.matmul(vectors * of[None].astype(a.dtype), back, precision=precision)

    identity = jnp.eye(len(values), dtype=a.dtype)
    left = jnp.matmul(with_values(1 / values), a + ridge.astype(a.dtype) * identity, precision=precision)
    return with_values(values**power).astype(given.dtype), jnp.max(jnp.abs(left - identity))


def nnls(A: Any, b: Any, iters: int, unroll: int | bool = 1, L: Any = None) -> jax.Array:
    """The non-negative x with the smallest ‖Ax − b‖, by accelerated projected gradient descent.

        xₖ = max(yₖ − ∇f(yₖ)/L, 0);   cₖ₊₁ = (1 + √(1 + 4cₖ²))/2;   yₖ₊₁ = xₖ + (cₖ − 1)/cₖ₊₁ · (xₖ − xₖ₋₁)

    f(x) = ½‖Ax − b‖², c₁ = 1 (Optax starts from 0, which spends its first iteration for nothing), and ``L`` is a bound
    of the largest eigenvalue of AᵀA, by default the smaller of two norms of it. ``b`` is a vector, or a matrix of
    columns to solve for one by one. ``unroll`` is that of `jax.lax.scan`. Source: Beck & Teboulle 2009, FISTA with
    constant step size.

    Raises `TransformationError`: shapes that do not fit.

    >>> nnls(jnp.eye(2), jnp.array([3.0, -1.0]), 10)
    Array([3., 0.], dtype=float32)
    """
    kinds = {x.dtype for x in (jnp.asarray(A), jnp.asarray(b)) if jnp.issubdtype(x.dtype, jnp.inexact)}
    A, b = (wide(jnp.asarray(x)) for x in (A, b))
    if A.ndim != 2 or b.ndim not in (1, 2) or b.shape[0] != A.shape[0]:
        raise TransformationError(f"nnls: expected A (m, n) and b (m,) or (m, k), found {A.shape} and {b.shape}")
    squares, target = matmul(A.T, A), matmul(A.T, b)
    if L is None:
        L = jnp.minimum(jnp.linalg.norm(squares), jnp.max(jnp.sum(jnp.abs(squares), axis=0), initial=0))
    steepest = jnp.asarray(L).astype(squares.dtype)
    steepest = jnp.where(steepest == 0, 1, steepest)

    def step(carry: Any, _: None) -> Any:
        x, y, c = carry
        new = jnp.maximum(y - (matmul(squares, y) - target) / steepest, 0)
        following = (1 + jnp.sqrt(1 + 4 * c**2)) / 2
        return (new, new + (c - 1) / following * (new - x), following), None

    start = jnp.zeros((A.shape[1], *b.shape[1:]), squares.dtype)
    (x, _, _), _ = scan(step, (start, start, jnp.ones([], squares.dtype)), length=iters, unroll=unroll)
    return x.astype(kinds.pop()) if len(kinds) == 1 else x  # the dtype that came in
