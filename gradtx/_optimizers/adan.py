"""Adan."""

from typing import Any

import jax.numpy as jnp

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, divided, ewma, plus, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_adan(
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
) -> Rule:
    """Nesterov's momentum from differences of gradients, over the size of what it looks ahead to.

        dₜ = uₜ − uₜ₋₁,   d₁ = 0
        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   vₜ = β₂vₜ₋₁ + (1 − β₂)dₜ;   nₜ = β₃nₜ₋₁ + (1 − β₃)|uₜ + β₂dₜ|²
        u ← (m̂ + β₂v̂)/(√(n̂ + ε₀) + ε)

    β₁, β₂, β₃ are ``b1``, ``b2``, ``b3`` (1 minus those of the paper), ε ``eps``, ε₀ ``eps_root``; a hat divides by 1 −
    βᵗ. Optax has 1 − β₂ where the paper and its code have β₂. Source: Xie et al. 2022, Algorithm 1. State: ``m``,
    ``v``, ``n``, ``g`` (the last update), like the parameters, ``n`` real.

    >>> tx = scale_by_adan(0.5, 0.5, 0.0)
    >>> _, state = tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))
    >>> round(float(tx.update(jnp.array([4.0]), state)[0][0]), 4)  # (2.5/0.75 + 0.5·1/0.75)/(4 + 0.5·2)
    0.8
    """

    def formula(u, m, v, n, g, *, t, of_m, of_v, of_n):
        difference = jnp.where(t == 1, 0, u - g)
        m, v = ewma(b1, m, u), ewma(b2, v, difference)
        n = ewma(b3, n, abs_sq(u + b2 * difference))
        ahead = divided(m, of_m) + b2 * divided(v, of_v)
        return ahead / (root(plus(divided(n, of_n), eps_root)) + eps), m, v, n, u

    once = {"of_m": lambda t: 1 - b1**t, "of_v": lambda t: 1 - b2**t, "of_n": lambda t: 1 - b3**t}
    return per_leaf(formula, once=once, m=zeros, v=zeros, n=real_zeros, g=zeros)


@transformation
def adan(
    learning_rate: NonNegative,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Adaptive Nesterov momentum.

        θ ← θ − α ((m̂ + β₂v̂)/(√(n̂ + ε₀) + ε) + λθ)

    α is ``learning_rate``, λ ``weight_decay``, ε ``eps``, ε₀ ``eps_root``, the rest as in `gradtx.scale_by_adan`. (The
    paper's decay divides by 1 + αλ instead.) Source: Xie et al. 2022, Algorithm 1.

    >>> tx = adan(0.5, eps_root=0.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
