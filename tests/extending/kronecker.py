"""A field that is a tuple: Kronecker factors of any rank (Shampoo; Gupta et al. 2018, Algorithm 2)."""

import jax
import jax.numpy as jnp

from gradtx import NonNegative, per_leaf, transformation


def one_a_side(param):
    """A square matrix for every side of an array."""
    return tuple(jnp.zeros((n, n), param.dtype) for n in param.shape)


@transformation
def scale_by_shampoo(eps: NonNegative = 1e-6):
    """The update times (εI + ΣGGᵀ)^(−1/2k) on each of its k sides. Derivatives take these roots for constants."""

    def formula(u, factors):
        made, new = [], u
        for side, factor in enumerate(factors):
            g = jnp.moveaxis(u, side, 0).reshape(u.shape[side], -1)
            made.append(factor + g @ g.T)
            values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(made[-1] + eps * jnp.eye(len(factor))))
            powers = jnp.maximum(values, jax.lax.stop_gradient(eps)) ** (-0.5 / u.ndim)
            new = jnp.moveaxis(jnp.tensordot((vectors * powers[None]) @ vectors.T, new, (1, side)), 0, side)
        return new, tuple(made)

    return per_leaf(formula, factors=one_a_side)
