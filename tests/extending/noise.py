"""A random key: Langevin dynamics (Welling & Teh 2011, eq. 4)."""

import jax
import jax.numpy as jnp

from gradtx import NonNegative, per_leaf, transformation


@transformation
def langevin(learning_rate: NonNegative, temperature: NonNegative = 1.0, seed: NonNegative = 0):
    """u ← −αg + √(2αT) n, n standard normal."""

    def formula(u, *, key):
        size = 2 * learning_rate * temperature
        size = jnp.where(size > 0, jnp.sqrt(jnp.where(size > 0, size, 1)), 0).astype(u.dtype)
        return -learning_rate * u + size * jax.random.normal(key, u.shape, u.dtype)

    return per_leaf(formula, seed=seed)
