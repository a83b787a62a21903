"""Variance reduction: the gradient, moved on by part of what it has changed since the last step."""

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Decay, Limit, NonNegative


@transformation
def reduce_variance(gamma: NonNegative = 0.025, decay: Decay = 0.95, max_norm: Limit = 1.0) -> Rule:
    """The update plus a multiple of its change, so that an average of such updates lags less behind the gradient.

        cₜ = uₜ + γ β/(1 − β) (uₜ − uₜ₋₁),   u₀ = 0;   u ← cₜ min(1, max_norm/‖cₜ‖)   for each leaf

    γ is ``gamma``, β ``decay``, that of the average after it. It conditions gradients (see `gradtx.chain`), so second
    moments see it too; with γ = 0 and ``max_norm=jnp.inf`` nothing changes. The trap: uₜ₋₁ is of the last batch and the
    last parameters (the approximate form, which takes no second gradient). Measures ``rate``, 1 where a leaf was scaled
    down. Source: Yuan et al. 2024, eq. 7 and Algorithm 2. State: ``previous`` (uₜ₋₁), like the parameters.

    >>> tx = reduce_variance(0.5, 0.5, max_norm=jnp.inf)
    >>> _, state = tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([4.0]), state)[0]  # 4 + 0.5·(4 − 2)
    Array([5.], dtype=float32)
    """

    def formula(u, previous):
        c = u + gamma * decay / (1 - decay) * (u - previous)
        norm = trees.norm(c)
        long = norm > max_norm
        return c * jnp.where(long, max_norm / jnp.where(long, norm, 1), 1), u

    return per_leaf(formula, conditions=True, previous=zeros)
