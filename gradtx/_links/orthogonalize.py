"""Orthogonal updates: matrices with all singular values near 1, by Newton-Schulz iterations."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.matrices import as_matrices, axes_of_leaves, fans
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import NonNegative, Numbers

STANDARD = (3.4445, -4.7750, 2.0315)
Preconditioning = Literal["frobenius", "spectral", "aol", "schatten"]


def newton_schulz(
    x: jax.Array,
    coeffs: Any = STANDARD,
    eps: Any = 1e-8,
    *,
    steps: int = 5,
    preconditioning: Preconditioning = "frobenius",
) -> jax.Array:
    """A matrix with the singular vectors of x, and singular values near 1.

        X ← aX + (bA + cA²)X,   A = XXᴴ,   ``steps`` times, from x/(‖x‖ + ε)

    ``coeffs`` are (a, b, c), or a tuple of such triples, one for each step, ``steps`` of them at most. ‖x‖ is
    the root of the sum of squares (``preconditioning="frobenius"``) or the largest singular value (``"spectral"``). In
    place of the norm, ``"schatten"`` divides by the fourth root of the sum of squares of A, and ``"aol"`` each row by
    the root of its sum in |A|, which turns the singular vectors a little. The trap: with Muon's coefficients singular
    values end between 0.7 and 1.2, not at 1.

    >>> x = newton_schulz(jnp.diag(jnp.array([4.0, -0.5])), (1.5, -0.5, 0.0), steps=12)
    >>> [round(v, 4) for v in jnp.diagonal(x).tolist()]
    [1.0, -1.0]
    """
    real = jnp.real(x).dtype
    triples = coeffs if isinstance(coeffs[0], tuple | list) else (coeffs,) * steps
    if len(triples) > steps or any(len(triple) != 3 for triple in triples):
        raise TransformationError(f"ns_coeffs: expected three numbers, or three for each of {steps} steps")
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    if preconditioning in ("frobenius", "spectral"):
        size = _norm(x) if preconditioning == "frobenius" else _largest_singular_value(x)
        under = size + jnp.asarray(eps).astype(real)
        x = x * jnp.where(under > 0, 1 / jnp.where(under > 0, under, 1), 0).astype(x.dtype)
    for n, triple in enumerate(triples):
        a, b, c = (jnp.asarray(number).astype(x.dtype) for number in triple)
        square = x @ jnp.conj(x.T)
        if n == 0 and preconditioning in ("aol", "schatten"):
            scale = _scale(square, preconditioning)
            x, square = x * scale.astype(x.dtype), square * (scale * scale.T).astype(x.dtype)
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.T if tall else x


def _scale(square: jax.Array, preconditioning: str) -> jax.Array:
    """What to multiply the rows of a matrix by, from its product with itself, so that no singular value exceeds 1."""
    sums = jnp.abs(square).sum(1, keepdims=True) if preconditioning == "aol" else _norm(square).reshape(1, 1)
    return jax.lax.rsqrt(jnp.maximum(sums, 1e-8))


def _norm(x: jax.Array) -> jax.Array:
    """The root of the sum of squares; finite where x is."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), initial=0))
    largest = jnp.where(largest > 0, largest, 1)
    return largest * root(abs_sq(x / largest.astype(x.dtype)).sum())


def _largest_singular_value(x: jax.Array) -> jax.Array:
    """The spectral norm, with derivative 0 at 0."""
    zero = ~jnp.any(x != 0)
    return jnp.where(zero, 0, jnp.linalg.norm(jnp.where(zero, jnp.eye(*x.shape, dtype=x.dtype), x), 2))


@transformation
def orthogonalize(
    ns_coeffs: Numbers = STANDARD,
    eps: NonNegative = 1e-8,
    *,
    ns_steps: int = 5,
    adaptive: bool = False,
    preconditioning: Preconditioning = "frobenius",
    weight_dimension_numbers: Any = None,
) -> Rule:
    """The nearest orthogonal matrix to the update, nearly: all of its singular values become 1.

        u ← NS(uₜ) ≈ UVᴴ,   uₜ = UΣVᴴ        (adaptive: u ← ⟨uₜ, NS(uₜ)⟩ NS(uₜ))

    NS is ``ns_steps`` iterations of Newton and Schulz with ``ns_coeffs`` (a, b, c), X ← aX + (bA + cA²)X, A = XXᴴ, from
    uₜ/(‖uₜ‖ + ε); ``ns_coeffs`` may also be a tuple of triples, one for each step. ``preconditioning`` says what the
    iteration starts from: see ``newton_schulz`` in ``gradtx._links.orthogonalize``.
    ``weight_dimension_numbers`` says which axes make rows and columns, where a leaf is no matrix
    (`gradtx.MuonDimensionNumbers`, for all leaves, or a tree or function that has one for each). Source: Jordan et al.
    2024; Bernstein & Newhouse 2024; AOL: Prach & Lampert 2022. State: none. Raises `TransformationError`: a leaf that
    is no matrix.

    >>> tx = orthogonalize((1.5, -0.5, 0.0), ns_steps=12)
    >>> tx.update(jnp.diag(jnp.array([4.0, -0.5])), {})[0].round(4)
    Array([[ 1.,  0.],
           [ 0., -1.]], dtype=float32)
    """

    def of_matrix(x: jax.Array) -> jax.Array:
        return newton_schulz(x, ns_coeffs, eps, steps=ns_steps, preconditioning=preconditioning)

    def one(u: jax.Array, axes: Any) -> jax.Array:
        x, restore = as_matrices(u, axes)
        made = restore(jax.vmap(of_matrix)(x) if x.ndim == 3 else of_matrix(x))
        return jnp.sum(jnp.conj(u) * made) * made if adaptive else made

    def update(updates: Tree, state: Any) -> Any:
        return _each(one, updates, weight_dimension_numbers), state

    return whole_tree(update)


@transformation
def scale_by_shape(consistent_rms: NonNegative = None, *, weight_dimension_numbers: Any = None) -> Rule:
    """An orthogonal update, scaled by the shape of its matrix.

        u ← uₜ √max(1, n/m),   or with consistent_rms r:   u ← uₜ r√max(m, n)   of an m × n matrix

    The first makes one rate serve all widths. The second gives the update the root mean square r, for one rate with
    AdamW (r about 0.2). m is the number of inputs, n of outputs; for ``weight_dimension_numbers`` see `orthogonalize`.
    Source: Jordan et al. 2024; Liu et al. 2025, eq. 4. State: none.

    >>> scale_by_shape().update(jnp.ones((1, 4)), {})[0]
    Array([[2., 2., 2., 2.]], dtype=float32)
    """

    def one(u: jax.Array, axes: Any) -> jax.Array:
        rows, columns = fans(u, axes)
        if consistent_rms is None:
            return u * like(max(1, columns / rows) ** 0.5, u)
        return u * like(max(rows, columns) ** 0.5 * consistent_rms, u)

    def update(updates: Tree, state: Any) -> Any:
        return _each(one, updates, weight_dimension_numbers), state

    return whole_tree(update, conditions=True)


def _each(one: Any, updates: Tree, given: Any) -> Tree:
    """A function of an array and its axes on each leaf."""
    (leaves, treedef), axes = trees.flatten(updates), axes_of_leaves(given, updates)
    rows = zip(trees.paths(updates), leaves, axes, strict=True)
    return treedef.unflatten([None if u is None else within(f"leaf {path}", one)(u, a) for path, u, a in rows])
