"""A keyword of ``update``: the step of Polyak, from the value of the loss (Polyak 1969; Loizou et al. 2021)."""

import jax
import jax.numpy as jnp

from gradtx import NonNegative, chain, scale, transformation, whole_tree


@transformation
def scale_by_gap(max_learning_rate: NonNegative = 1.0, f_min=0.0, eps: NonNegative = 0.0):
    """The gradient times (f − f*)/(‖g‖² + ε), or less."""

    def update(updates, state, *, value):
        square = sum(jnp.sum(u * u) for u in jax.tree.leaves(updates)) + eps
        gap = (jnp.asarray(value) - f_min) / jnp.where(square > 0, square, 1)
        rate = jnp.where(square > 0, jnp.minimum(gap, max_learning_rate), 0)
        return jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates), state

    return whole_tree(update)


@transformation
def polyak(max_learning_rate: NonNegative = 1.0, f_min=0.0):
    """Gradient descent by Polyak's step."""
    return chain(scale_by_gap(max_learning_rate, f_min), scale(-1.0))
