"""Powers of Hermitian matrices without negative eigenvalues: by eigenvalues, and by Newton's iteration."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.decompositions import eigh
from gradtx._rules.loops import while_loop
from gradtx._rules.vectors import matmul
from gradtx._value.floating import at_most_finite

MOST = 100  # iterations of Newton


def number_power(x: jax.Array, p: Any) -> jax.Array:
    """x^p of numbers that are not negative, and 0 where x is 0.

    >>> number_power(jnp.array([4.0, 0.0]), -0.5)
    Array([0.5, 0. ], dtype=float32)
    """
    return jnp.where(x > 0, jnp.where(x > 0, x, 1) ** p, 0)


@jax.custom_jvp
def matrix_power(h: jax.Array, p: jax.Array, eps: jax.Array, ridge: jax.Array) -> jax.Array:
    """(H + εI + ρλI)^p of a Hermitian H ≥ 0, where λ is the largest eigenvalue of H + εI; of a direction with 0, 0.

    Its derivatives are finite also where eigenvalues coincide: they are divided differences (Daleckii & Krein 1965).

    >>> matrix_power(jnp.diag(jnp.array([4.0, 16.0])), *map(jnp.array, (-0.5, 0.0, 0.0)))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    return _sandwich(*_eigenpower(h, p, eps, ridge)[:2])


@matrix_power.defjvp
def _matrix_power_jvp(primals: Any, tangents: Any) -> Any:
    return _by_eigenvalues(primals, tangents)


def _eigenpower(h: jax.Array, p: Any, eps: Any, ridge: Any) -> tuple[jax.Array, ...]:
    """The eigenvectors of H, the power of its eigenvalues, these with what is added, and the largest without."""
    size = jnp.max(jnp.abs(h), initial=0)  # an eigendecomposition squares its input, so large numbers would overflow
    size = jnp.where(size > 0, size, 1)
    values, vectors = eigh(h / size.astype(h.dtype))
    values = at_most_finite(jnp.maximum(values, 0) * size)
    largest = jnp.max(values, initial=0) + eps
    values = at_most_finite(values + eps + ridge * largest)
    return vectors, number_power(values, p), values, largest


def _sandwich(vectors: jax.Array, middle: jax.Array) -> jax.Array:
    """V M Vᴴ; of a vector M its diagonal matrix."""
    inner = vectors * middle.astype(vectors.dtype)[None, :] if middle.ndim == 1 else matmul(vectors, middle)
    return matmul(inner, jnp.conj(vectors.T))


def _by_eigenvalues(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (h, p, eps, ridge), (dh, dp, deps, dridge) = primals, tangents
    vectors, powers, values, largest = _eigenpower(h, p, eps, ridge)
    positive, slope = values > 0, p * number_power(values, p - 1)
    gaps = values[:, None] - values[None, :]
    apart = jnp.abs(gaps) > 1e-3 * jnp.maximum(values[:, None], values[None, :])
    differences = (powers[:, None] - powers[None, :]) / jnp.where(apart, gaps, 1)
    between = jnp.where(apart, differences, (slope[:, None] + slope[None, :]) / 2)
    inside = matmul(matmul(jnp.conj(vectors.T), dh), vectors)
    added = deps + dridge * largest + ridge * (deps + (jnp.real(inside[-1, -1]) if len(h) else 0))
    inside = inside + added.astype(h.dtype) * jnp.eye(len(h), dtype=h.dtype)
    in_p = dp * powers * jnp.where(positive, jnp.log(jnp.where(positive, values, 1)), 0)
    tangent = _sandwich(vectors, between.astype(h.dtype) * inside + jnp.diag(in_p).astype(h.dtype))
    return _sandwich(vectors, powers), tangent


def newton_root(h: jax.Array, k: int, eps: jax.Array, ridge: jax.Array, tolerance: jax.Array) -> jax.Array:
    """(H + εI + ρλI)^(−1/k) by Newton's coupled iteration: products of matrices alone, which accelerators like.

        X ← XT,  M ← TᵏM,  T = ((k + 1)I − M)/k,   from X = z^(1/k)I, M = zH, z = (1 + k)/(2‖H‖),   until |M − I| ≤ tol

    It stops where the error grows again, or after 100 iterations. λ is found by 100 products with a vector. Its
    derivative is that of `matrix_power`. Source: Guo & Higham 2006; Anil et al. 2020, section 3.

    >>> newton_root(jnp.diag(jnp.array([4.0, 16.0])), 2, *map(jnp.array, (0.0, 0.0, 1e-6))).round(4)
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """

    @jax.custom_jvp
    def root(h: jax.Array, eps: jax.Array, ridge: jax.Array, tolerance: jax.Array) -> jax.Array:
        return _iterated(h, k, eps + ridge * (_largest(h) + eps), tolerance)

    @root.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (h, *added, _), (dh, *dadded, _) = primals, tangents
        p = jnp.full([], -1 / k, jnp.real(h).dtype)
        slope = _by_eigenvalues((h, p, *added), (dh, jnp.zeros_like(p), *dadded))[1]
        return root(*primals), slope

    return root(h, eps, ridge, tolerance)


def _largest(h: jax.Array) -> jax.Array:
    """The largest eigenvalue of a Hermitian matrix ≥ 0, by power iteration."""

    def product(v: jax.Array) -> jax.Array:
        return matmul(h, v)

    def step(_: Any, v: jax.Array) -> jax.Array:
        v = product(v)
        norm = jnp.linalg.norm(v)
        return v / jnp.where(norm > 0, norm, 1).astype(v.dtype)

    start = jax.random.normal(jax.random.key(0), (len(h),), jnp.real(h).dtype).astype(h.dtype)
    v = jax.lax.fori_loop(0, MOST, step, start)
    return jnp.real(jnp.vdot(v, product(v))) / jnp.maximum(jnp.real(jnp.vdot(v, v)), 1e-30)


def _iterated(h: jax.Array, k: int, added: jax.Array, tolerance: jax.Array) -> jax.Array:
    one = jnp.eye(len(h), dtype=h.dtype)
    h = h + added.astype(h.dtype) * one
    size = jnp.linalg.norm(h)
    empty = size == 0
    size = jnp.where(empty, 1, size)
    if len(h) == 1:
        return jnp.where(empty, 0, size ** (-1 / k)).astype(h.dtype).reshape(1, 1)
    z = (1 + k) / (2 * size)

    def far(m: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(m - one))

    def unfinished(carry: Any) -> jax.Array:
        _, _, error, going, n = carry
        return going & (error > tolerance) & (n < MOST)

    def step(carry: Any) -> Any:
        x, m, error, _, n = carry
        t = ((k + 1) * one - m) / k
        new_x, new_m = matmul(x, t), matmul(_whole_power(t, k), m)
        new = far(new_m)
        better = new <= 1.2 * error
        return jnp.where(better, new_x, x), jnp.where(better, new_m, m), jnp.where(better, new, error), better, n + 1

    m = h * z.astype(h.dtype)
    start = one * (z ** (1 / k)).astype(h.dtype), m, far(m), jnp.array(True), jnp.zeros([], jnp.int32)
    x = while_loop(unfinished, step, start)[0]
    return jnp.where(empty, 0, x)


def _whole_power(x: jax.Array, k: int) -> jax.Array:
    if k == 1:
        return x
    half = _whole_power(matmul(x, x), k // 2)
    return matmul(half, x) if k % 2 else half
