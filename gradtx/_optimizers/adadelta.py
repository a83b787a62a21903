"""Adadelta."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_adadelta(rho: Decay = 0.9, eps: NonNegative = 1e-6) -> Rule:
    """AdaGrad over a moving window, times the size of past updates, so that the update has the parameters' units.

        rₜ = ρrₜ₋₁ + (1 − ρ)|gₜ|²;   Δ = uₜ √(sₜ₋₁ + ε)/√(rₜ + ε);   sₜ = ρsₜ₋₁ + (1 − ρ)|Δ|²;   u ← Δ

    ρ is ``rho``, ε ``eps``, g the gradient that entered the chain. Source: Zeiler 2012, Algorithm 1. State: ``e_g``
    (r), ``e_x`` (s), real, shaped like the parameters.

    >>> tx = scale_by_adadelta(0.75, 1.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0].round(4)  # 2·√1/√(1 + 1)
    Array([1.4142], dtype=float32)
    """

    def formula(u, e_g, e_x, *, gradient):
        e_g = ewma(rho, e_g, abs_sq(gradient))
        u = u * (root(e_x + eps) / root(e_g + eps))  # in this order a large gradient does not overflow
        return u, e_g, ewma(rho, e_x, abs_sq(u))

    return per_leaf(formula, e_g=real_zeros, e_x=real_zeros)


@transformation
def adadelta(
    learning_rate: NonNegative = 1.0,
    rho: Decay = 0.9,
    eps: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    *,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """AdaGrad over a moving window, with the size of past updates in place of a rate.

        gₜ ← gₜ + λθ
        rₜ = ρrₜ₋₁ + (1 − ρ)gₜ²;   Δ = gₜ √(sₜ₋₁ + ε)/√(rₜ + ε);   sₜ = ρsₜ₋₁ + (1 − ρ)Δ²;   θ ← θ − αΔ

    ρ is ``rho``, λ ``weight_decay``, which is part of the gradient here, ε ``eps``, α ``learning_rate`` (1 in the
    paper). Source: Zeiler 2012, Algorithm 1.

    >>> tx = adadelta(rho=0.75, eps=1.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)  # 2·√1/√(1 + 1)
    Array([-1.4142], dtype=float32)
    """
    return chain(
        add_decayed_weights(weight_decay, mask=weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(learning_rate),
    )
