"""Limits on how much longer an update may be than the one before."""

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Limit


@transformation
def limit_norm_growth(gamma: Limit = 1.01) -> Rule:
    """The update of each leaf, at most a factor longer than the one before.

        u ← uₜ min(1, γ ‖u₍ₜ₋₁₎‖/‖uₜ‖),   where u₍ₜ₋₁₎ is what came out at the step before, and not zero

    γ is ``gamma``. It tames the spikes that a projection makes. Source: Zhu et al. 2024, section 4.2 (the norm-growth
    limiter). State: ``norm``, a number for each leaf.

    >>> tx = limit_norm_growth(1.5)
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> tx.update(jnp.array([0.0, 10.0]), state)[0]
    Array([0. , 7.5], dtype=float32)
    """

    def formula(u, norm):
        size = trees.norm(u).astype(norm.dtype)
        longer = (norm > 0) & (size > gamma * norm)
        limited = jnp.where(longer, gamma * norm, size)
        factor = jnp.where(longer, limited / jnp.where(longer, size, 1), 1)
        return u * factor.astype(u.dtype), limited

    return per_leaf(formula, norm=lambda param: real_zeros(param.reshape(-1)[:1]).sum())
