"""Eigenvalues at the ends of the spectrum of a symmetric operator, by Lanczos with full reorthogonalisation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._rules.vectors import dot, matmul

CHECK_EVERY = 8  # steps between two looks at the residuals, at least


class Extremes(NamedTuple):
    """Eigenvalues, ascending; their unit vectors, as rows; ‖Av − λv‖ of each; how many steps were taken."""

    values: jax.Array
    vectors: jax.Array
    errors: jax.Array
    steps: jax.Array


def extremes(
    product: Callable[[jax.Array], jax.Array], n: int, real: Any, key: Any, tol: Any, *, k: int, most: int
) -> Extremes:
    """The ``k`` smallest and the ``k`` largest eigenvalues of ``product``, an operator on vectors of ``n`` numbers.

        A vⱼ = βⱼ₋₁ vⱼ₋₁ + αⱼ vⱼ + βⱼ vⱼ₊₁;   the eigenvalues of the tridiagonal T(α, β) at the ends are those of A

    Stops when every residual βₘ|sₘ| (s an eigenvector of T) is below ``tol`` times the largest |λ|, or after ``most``
    steps, 2k ≤ most ≤ n. The basis, (most + 1, n), stays orthogonal by two Gram-Schmidt passes over all of it.
    """
    eps = jnp.finfo(real).eps
    every = max(CHECK_EVERY, 2 * k)

    def orthogonal(w: jax.Array, basis: jax.Array) -> jax.Array:
        for _ in range(2):
            w = w - matmul(matmul(basis, w), basis)  # the rows that are not there yet are zero
        return w

    def unit(w: jax.Array) -> jax.Array:
        return w / jnp.maximum(jnp.linalg.norm(w), jnp.finfo(real).tiny)

    def random(j: Any) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(key, j), [n], real)

    def step(j: Any, carry: Any) -> Any:
        basis, diagonal, beside, scale = carry
        v = basis[j]
        w = product(v)
        a = dot(v, w)
        scale = jnp.maximum(scale, jnp.linalg.norm(w))
        w = orthogonal(w, basis)
        b = jnp.linalg.norm(w)
        over = b <= 10 * eps * scale  # the space is exhausted: go on in a new one, which is not coupled to it
        w = jax.lax.cond(over, lambda w: unit(orthogonal(unit(orthogonal(random(j), basis)), basis)), unit, w)
        basis = basis.at[j + 1].set(unit(w))
        return basis, diagonal.at[j].set(a), beside.at[j].set(jnp.where(over, 0, b)), scale

    def ritz(steps: Any, carry: Any) -> Any:
        """The 2k Ritz values at the ends, their vectors in the basis, and the bounds on their residuals."""
        _, diagonal, beside, scale = carry
        there = jnp.arange(most) < steps
        coupled = jnp.where(jnp.arange(1, most) < steps, beside[:-1], 0)
        behind = jnp.where(scale > 0, 4 * scale, 1)  # what is not there yet is sorted behind the rest
        above = jnp.diag(jnp.where(there, diagonal, behind))
        values, vectors = jnp.linalg.eigh(above + jnp.diag(coupled, 1) + jnp.diag(coupled, -1))
        ends = jnp.concatenate([jnp.arange(k), steps - k + jnp.arange(k)])
        values, vectors = values[ends], vectors[:, ends]
        return values, vectors, beside[steps - 1] * jnp.abs(vectors[steps - 1])

    def go_on(state: Any) -> Any:
        steps, carry, _ = state
        end = jnp.minimum(steps + every, most)
        carry = jax.lax.fori_loop(steps, end, step, carry)
        values, _, bounds = ritz(end, carry)
        return end, carry, jnp.all(bounds <= tol * jnp.max(jnp.abs(values)))

    empty = jnp.zeros([most + 1, n], real).at[0].set(unit(random(most)))
    carry = (empty, jnp.zeros(most, real), jnp.zeros(most, real), jnp.zeros([], real))
    start = (jnp.asarray(0), carry, jnp.asarray(False))
    steps, carry, _ = jax.lax.while_loop(lambda state: (state[0] < most) & ~state[2], go_on, start)
    values, inside, _ = ritz(steps, carry)
    vectors = jax.vmap(unit)(matmul(inside.T, carry[0][:-1]))
    products = jax.lax.map(product, vectors)
    errors = jnp.linalg.norm(products - vectors * values[:, None], axis=1)
    return Extremes(values, vectors, errors, steps)
