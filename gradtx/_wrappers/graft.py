"""The direction of one transformation with the size of another."""

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.compose import parallel
from gradtx._rules.protocol import Late
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link
from gradtx._value.named_links import Links


@transformation
def graft(direction: Link, magnitude: Link) -> Late:
    """The update of one transformation, with the norm that another gives it, leaf by leaf.

        u ← d ‖m‖/‖d‖,   d = direction(u),  m = magnitude(u)        (0 where d is 0)

    Both see the same signals (see `fork`). So a preconditioner takes the steps of SGD (``identity()``), of AdaGrad or
    of Adam, whose learning rates are known. Source: Agarwal et al. 2020, Algorithm 1; Anil et al. 2020 for Shampoo.
    State: a mapping with that of each under its own name.

    >>> from gradtx import identity, scale_by_sign
    >>> tx = graft(scale_by_sign(), identity())
    >>> tx.update(jnp.array([1.0, -7.0]), tx.init(jnp.zeros(2)))[0]  # both of norm √50
    Array([ 5., -5.], dtype=float32)
    """
    return parallel(Links.of((direction, magnitude), {}), of_size)


def of_size(direction: jax.Array, magnitude: jax.Array) -> jax.Array:
    """An array with the norm of another."""
    own, wanted = trees.norm(direction), trees.norm(magnitude)
    factor = jnp.where(own > 0, wanted / jnp.where(own > 0, own, 1), 0)
    return direction * factor.astype(direction.dtype)
