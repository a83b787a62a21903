"""The sign of the gradient, with the size of the update."""

import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation


@transformation
def with_gradient_signs() -> Rule:
    """Every number of the update with the sign of the gradient: it says how far, the gradient says where to.

        u ← |uₜ| sign(gₜ)

    g is the gradient that entered the chain. After any direction it makes an update that descends along the newest
    gradient, number by number; `gradtx.cautious` stops where the two disagree. Source: Cao et al. 2024, Algorithm 1.
    State: none.

    >>> from gradtx import chain, trace
    >>> tx = chain(trace(0.5), with_gradient_signs())
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([-1.0]), state)[0]  # momentum says 0.5·4 − 1
    Array([-1.], dtype=float32)
    """

    def formula(u, *, gradient):
        return jnp.abs(u) * jnp.sign(gradient)

    return per_leaf(formula)
