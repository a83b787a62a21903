"""Decompositions of stacks of matrices that also end on CPUs with few threads.

There a batched decomposition of jaxlib 0.10 waits for threads of the pool that runs it, and may wait for ever. So on
CPUs a stack is decomposed one matrix after the other, which takes as long; elsewhere all at once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def _one_by_one(decompose: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
    """A decomposition of one matrix, whose `jax.vmap` is a loop on CPUs."""
    sequential = jax.custom_batching.sequential_vmap(decompose)

    def chosen(x: jax.Array) -> Any:
        return jax.lax.platform_dependent(x, cpu=sequential, default=decompose)

    return chosen


def _eigh(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    values, vectors = jnp.linalg.eigh(x)
    return values, vectors


def _orthonormal(x: jax.Array) -> jax.Array:
    return jnp.linalg.qr(x)[0]


def _right_vectors(x: jax.Array) -> jax.Array:
    return jnp.linalg.svd(x, full_matrices=False)[2]


eigh = _one_by_one(_eigh)
"""Eigenvalues, the smallest first, and eigenvectors of one Hermitian matrix."""

orthonormal = _one_by_one(_orthonormal)
"""Q of the QR decomposition of one matrix."""

right_vectors = _one_by_one(_right_vectors)
"""Vᴴ of the singular value decomposition of one matrix."""
