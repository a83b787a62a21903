"""Decompositions and solutions of stacks of matrices that also end on CPUs with few threads.

There a batched call of LAPACK, in jaxlib 0.10, waits for threads of the pool that runs it, and two such calls may wait
for each other, for ever. So on CPUs a stack is worked on one matrix after the other, which takes as long. No derivative
goes backwards through decompositions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.vectors import matmul


def _one_by_one(work: Callable[..., Any]) -> Callable[..., Any]:
    """Work on one matrix, whose `jax.vmap` is a loop on CPUs."""
    sequential = jax.custom_batching.sequential_vmap(work)

    def chosen(*matrices: jax.Array) -> Any:
        return jax.lax.platform_dependent(*matrices, cpu=sequential, default=work)

    return chosen


def _eigh(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    values, vectors = jnp.linalg.eigh(x)
    return values, vectors


def _orthonormal(x: jax.Array) -> jax.Array:
    return jnp.linalg.qr(x)[0]


def _singular_vectors(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    left, _, right = jnp.linalg.svd(x, full_matrices=False)
    return left, right


def _solve_upper(upper: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.linalg.triangular_solve(upper, b, left_side=True, lower=False)


def _solve_lower(lower: jax.Array, b: jax.Array) -> jax.Array:
    return jax.lax.linalg.triangular_solve(lower, b, left_side=True, lower=True)


eigh = _one_by_one(_eigh)
"""Eigenvalues, the smallest first, and eigenvectors of one Hermitian matrix."""

orthonormal = _one_by_one(_orthonormal)
"""Q of the QR decomposition of one matrix."""

singular_vectors = jnp.vectorize(_one_by_one(_singular_vectors), signature="(m,n)->(m,k),(k,n)")
"""U and Vᴴ of the singular value decomposition of a matrix, or of each one in a stack."""

_upper, _lower = _one_by_one(_solve_upper), _one_by_one(_solve_lower)


def solve_adjoint(upper: jax.Array, b: jax.Array) -> jax.Array:
    """R⁻ᴴB, for an upper triangular matrix and a matrix; it has derivatives in both modes."""
    lower = jnp.conj(upper.T)
    return jax.lax.custom_linear_solve(
        lambda x: matmul(lower, x), b, lambda _, b: _lower(lower, b), transpose_solve=lambda _, b: _upper(lower.T, b)
    )
