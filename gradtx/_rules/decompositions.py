"""Decompositions and solutions of stacks of matrices that also end on CPUs with few threads.

There a batched call of LAPACK, in jaxlib 0.10, waits for threads of the pool that runs it, and two such calls may wait
for each other, for ever. So on CPUs a stack is worked on one matrix after the other, which takes as long.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


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


def _solve(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.linalg.solve(a, b)


def _solve_adjoint(upper: jax.Array, b: jax.Array) -> jax.Array:
    how = {"left_side": True, "lower": False, "transpose_a": True, "conjugate_a": True}
    return jax.lax.linalg.triangular_solve(upper, b, **how)


eigh = _one_by_one(_eigh)
"""Eigenvalues, the smallest first, and eigenvectors of one Hermitian matrix."""

orthonormal = _one_by_one(_orthonormal)
"""Q of the QR decomposition of one matrix."""

singular_vectors = jnp.vectorize(_one_by_one(_singular_vectors), signature="(m,n)->(m,k),(k,n)")
"""U and Vᴴ of the singular value decomposition of a matrix, or of each one in a stack."""

solve = _one_by_one(_solve)
"""A⁻¹b, for a matrix and a vector."""

solve_adjoint = _one_by_one(_solve_adjoint)
"""R⁻ᴴB, for an upper triangular matrix and a matrix."""
