"""Grokfast: the slow part of the gradient, amplified."""

import jax.numpy as jnp

from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, NonNegative


@transformation
def grokfast(decay: Decay = 0.98, lamb: NonNegative = 2.0) -> Rule:
    """The update plus a multiple of its moving average: first in a chain, it amplifies what gradients have in common.

        mₜ = βmₜ₋₁ + (1 − β)uₜ,   m₁ = u₁;   u ← uₜ + λmₜ

    β is ``decay``, λ ``lamb``; with λ = 0 nothing changes. It conditions gradients (see `gradtx.chain`). The trap: the
    update gets 1 + λ times as long, which matters where no link after it divides by its size. Source: Lee et al. 2024,
    Algorithm 2 (Grokfast-EMA). State: ``average`` (m), like the parameters.

    >>> tx = grokfast(0.5, 2.0)
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([3.0]), state)[0]  # 3 + 2·2
    Array([7.], dtype=float32)
    """

    def formula(u, average, *, t):
        average = jnp.where(t == 1, u, ewma(decay, average, u))
        return u + lamb * average, average

    return per_leaf(formula, conditions=True, average=zeros)
