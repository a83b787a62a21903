"""ACProp: gradients over how far those before them were from what was expected."""

from typing import Any

import jax.numpy as jnp

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_acprop(
    b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-16, eps_root: NonNegative = 1e-16
) -> Rule:
    """The update, over how far the updates before it were from their average.

        u ← uₜ/(√(νₜ₋₁/(1 − β₂ᵗ⁻¹)) + ε), at first uₜ/(1 + ε)
        νₜ = β₂νₜ₋₁ + (1 − β₂)|uₜ − mₜ₋₁|² + ε₀;   mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ

    β₁ is ``b1``, β₂ ``b2``, ε ``eps``, ε₀ ``eps_root``. The denominator does not contain the update that it divides.
    Source: Zhuang et al. 2021, Algorithm 2. State: ``mu`` (m), ``nu``, like the parameters, the second real.

    >>> tx = scale_by_acprop(0.5, 0.75)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))  # ν = 0.25·16
    >>> tx.update(jnp.array([6.0]), state)[0].round(4)  # 6/√(4/0.25)
    Array([1.5], dtype=float32)
    """

    def formula(u, mu, nu, *, correction, first):
        size = jnp.where(first, 1, root(nu / correction))
        nu = ewma(b2, nu, abs_sq(u - mu)) + eps_root
        return u / (size + eps), ewma(b1, mu, u), nu

    once = {"correction": lambda t: 1 - b2 ** jnp.maximum(t - 1, 1), "first": lambda t: t == 1}
    return per_leaf(formula, once=once, mu=zeros, nu=real_zeros)


@transformation
def acprop(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Gradients over how far those before them were from their average: centred, and asynchronous.

        θ ← θ − α (gₜ/(√(νₜ₋₁/(1 − β₂ᵗ⁻¹)) + ε) + λθ)

    α is ``learning_rate``, λ ``weight_decay``; νₜ is that of `scale_by_acprop`. Source: Zhuang et al. 2021,
    Algorithm 2.

    >>> tx = acprop(0.5, b1=0.5)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0]  # at first nothing divides
    Array([-2.], dtype=float32)
    """
    return chain(
        scale_by_acprop(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
