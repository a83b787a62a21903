"""Preconditioners that are Kronecker products, with one factor for every axis of an array."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, at_most_finite, ewma
from gradtx._value.marks import Decay, NonNegative

EXACT = jax.lax.Precision.HIGHEST


@transformation
def scale_by_shampoo(
    decay: Decay | None = None, eps: NonNegative = 1e-6, exponent=None, *, max_dim: int = 1024
) -> Rule:
    """The update times a root of the second moments of each axis: Shampoo, for arrays of any rank.

        Hᵢ ← Hᵢ + Gᵢ Gᵢᴴ for every axis i;   u ← uₜ ×₁ (H₁ + εI)^p ×₂ (H₂ + εI)^p ...

    Gᵢ is the gradient with axis i in front and all others flattened, ×ᵢ the product along axis i, p ``exponent``
    (−1/(2k) for k axes if not given, as in the paper), ε ``eps``. With ``decay`` β the sums become averages, corrected
    for their start: Hᵢ ← βHᵢ + (1 − β)GᵢGᵢᴴ, divided by 1 − βᵗ. An axis longer than ``max_dim`` keeps only the diagonal
    of its factor. A scalar is a vector of length 1. The trap: every step takes an eigendecomposition for every axis, of
    O(n³) operations. Source: Gupta, Koren & Singer 2018, Algorithm 2. State: ``factors``, for each parameter a tuple
    with a matrix (or its diagonal) for every axis, in float32 at least.

    >>> tx = scale_by_shampoo(eps=0.0)
    >>> u, _ = tx.update(jnp.diag(jnp.array([4.0, -9.0])), tx.init(jnp.zeros((2, 2))))
    >>> [round(x, 5) for x in jnp.diagonal(u).tolist()]  # at the first step: the orthogonal factor of the gradient
    [1.0, -1.0]
    """

    def start(param: Any) -> tuple[Any, ...]:
        axes = param.reshape(1) if param.ndim == 0 else param
        return tuple(_factor_like(axes, axis, max_dim) for axis in range(axes.ndim))

    def formula(u, factors, *, gradient, t):
        shape, k = u.shape, max(1, u.ndim)
        u, g = (u.reshape(1), gradient.reshape(1)) if u.ndim == 0 else (u, gradient)
        p = -1 / (2 * k) if exponent is None else exponent
        new = tuple(_second_moment(g, axis, factor.ndim == 1) for axis, factor in enumerate(factors))
        if decay is None:
            factors, correction = tuple(_finite(h + s) for h, s in zip(factors, new, strict=True)), 1
        else:
            factors = tuple(ewma(decay, h, s) for h, s in zip(factors, new, strict=True))
            correction = 1 - decay**t
        for axis, factor in enumerate(factors):
            u = _along(u, axis, _power(factor / correction, p, eps))
        return u.reshape(shape), factors

    return per_leaf(formula, factors=start)


def _factor_like(param: Any, axis: int, most: int) -> Any:
    n = param.shape[axis]
    return zeros(jnp.zeros((n, n), param.dtype)) if n <= most else real_zeros(jnp.zeros(n, param.dtype))


def _second_moment(g: jax.Array, axis: int, diagonal: bool) -> jax.Array:
    """G Gᴴ of the gradient unfolded along an axis, or the diagonal of it; finite where the gradient is."""
    largest = jnp.max(jnp.abs(g), initial=0)
    largest = jnp.where(largest > 0, largest, 1)
    unit, others = g / largest.astype(g.dtype), tuple(n for n in range(g.ndim) if n != axis)
    if diagonal:
        moment = abs_sq(unit).sum(others)
    else:
        moment = jnp.tensordot(unit, jnp.conj(unit), (others, others), precision=EXACT)
    return _finite(moment * at_most_finite(largest * largest).astype(moment.dtype))


def _finite(h: jax.Array) -> jax.Array:
    return at_most_finite(h.real) + 1j * at_most_finite(h.imag) if jnp.iscomplexobj(h) else at_most_finite(h)


def _along(u: jax.Array, axis: int, factor: jax.Array) -> jax.Array:
    """The product with a matrix, or with a diagonal, along an axis."""
    if factor.ndim == 1:
        return u * factor.reshape([-1 if n == axis else 1 for n in range(u.ndim)]).astype(u.dtype)
    return jnp.moveaxis(jnp.tensordot(factor, u, (1, axis), precision=EXACT), 0, axis)


def _power(factor: jax.Array, p: Any, eps: Any) -> jax.Array:
    """(H + εI)^p of a factor, or of a diagonal; 0 where H + εI is 0."""
    real = jnp.real(factor).dtype
    p, eps = jnp.asarray(p).astype(real), jnp.asarray(eps).astype(real)
    if factor.ndim == 1:
        return _number_power(jnp.maximum(factor, 0) + eps, p)
    return matrix_power(factor, p, eps)


def _number_power(x: jax.Array, p: jax.Array) -> jax.Array:
    return jnp.where(x > 0, jnp.where(x > 0, x, 1) ** p, 0)


@jax.custom_jvp
def matrix_power(h: jax.Array, p: jax.Array, eps: jax.Array) -> jax.Array:
    """(H + εI)^p of a Hermitian H ≥ 0; directions in which H + εI is 0 become 0.

    Its derivatives are finite also where eigenvalues coincide: they are divided differences (Daleckii & Krein 1965).
    """
    return _eigenpower(h, p, eps)[0]


def _eigenpower(h: jax.Array, p: jax.Array, eps: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    size = jnp.max(jnp.abs(h), initial=0)  # an eigendecomposition squares its input, so large numbers would overflow
    size = jnp.where(size > 0, size, 1)
    values, vectors = jnp.linalg.eigh(h / size.astype(h.dtype))
    values = at_most_finite(jnp.maximum(values, 0) * size) + eps
    return _sandwich(vectors, jnp.diag(_number_power(values, p)).astype(h.dtype)), values, vectors


def _sandwich(vectors: jax.Array, middle: jax.Array) -> jax.Array:
    return jnp.matmul(jnp.matmul(vectors, middle, precision=EXACT), jnp.conj(vectors.T), precision=EXACT)


@matrix_power.defjvp
def _matrix_power_jvp(primals: Any, tangents: Any) -> Any:
    (h, p, eps), (dh, dp, deps) = primals, tangents
    made, values, vectors = _eigenpower(h, p, eps)
    powers, positive = _number_power(values, p), values > 0
    slope = p * _number_power(values, p - 1)
    gaps = values[:, None] - values[None, :]
    apart = jnp.abs(gaps) > 1e-3 * jnp.maximum(values[:, None], values[None, :])
    differences = (powers[:, None] - powers[None, :]) / jnp.where(apart, gaps, 1)
    between = jnp.where(apart, differences, (slope[:, None] + slope[None, :]) / 2)
    inside = _sandwich(jnp.conj(vectors.T), dh + deps * jnp.eye(len(h), dtype=h.dtype))
    in_p = dp * powers * jnp.where(positive, jnp.log(jnp.where(positive, values, 1)), 0)
    return made, _sandwich(vectors, between.astype(h.dtype) * inside + jnp.diag(in_p).astype(h.dtype))
