"""Rectified Adam."""

import jax.numpy as jnp

from gradtx._links.moments import bias_correction, nesterov_bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._schedules.rectified import rectification
from gradtx._value.floating import abs_sq, divided, ewma, plus, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_rectified_rms(
    decay: Decay = 0.999, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0, threshold: NonNegative = 5.0
) -> Rule:
    """Adam's denominator once it has seen enough gradients to be trusted, and none before.

        ρₜ = ρ − 2tβᵗ/(1 − βᵗ),   ρ = 2/(1 − β) − 1;   rₜ = √((ρₜ − 4)(ρₜ − 2)ρ/((ρ − 4)(ρ − 2)ρₜ))
        u ← rₜuₜ/(√(ν̂ + ε₀) + ε) where ρₜ ≥ threshold, uₜ elsewhere;   ν̂ = νₜ/(1 − βᵗ),   νₜ = βνₜ₋₁ + (1 − β)|gₜ|²

    β is ``decay``, ε ``eps``, ε₀ ``eps_root``, g the gradient that entered the chain. ρₜ ≤ 4 is never enough. Source:
    Liu et al. 2020, Algorithm 2. State: ``nu``, real, shaped like the parameters, and the chain's count.

    >>> tx = scale_by_rectified_rms()
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]  # one gradient is not enough
    Array([20.], dtype=float32)
    """

    def rectifier(t):
        return rectification(decay, t, threshold)

    def formula(u, nu, *, gradient, factor, correction):
        nu = ewma(decay, nu, abs_sq(gradient))
        return jnp.where(factor > 0, factor * u / (root(plus(divided(nu, correction), eps_root)) + eps), u), nu

    return per_leaf(formula, once={"factor": rectifier, "correction": lambda t: 1 - decay**t}, nu=real_zeros)


@transformation
def scale_by_radam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: NonNegative = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Rectified Adam's direction.

        u ← rₜm̂/(√(ν̂ + ε₀) + ε) where ρₜ ≥ threshold, m̂ elsewhere

    β₁ is ``b1``, β₂ ``b2``, ε ``eps``, ε₀ ``eps_root``; rₜ and ρₜ are those of `gradtx.scale_by_rectified_rms`, m̂ that
    of `gradtx.bias_correction` (``nesterov``: of `gradtx.nesterov_bias_correction`). Source: Liu et al. 2020, Algorithm
    2.

    >>> tx = scale_by_radam()
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)  # at first it is momentum
    Array([20.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        nesterov_bias_correction(b1) if nesterov else bias_correction(b1),
        scale_by_rectified_rms(b2, eps, eps_root, threshold),
    )


@transformation
def radam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: NonNegative = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam that warms up by itself, as far as its second moment can be trusted.

        θ ← θ − α rₜm̂/(√(ν̂ + ε₀) + ε) where ρₜ ≥ threshold;   θ ← θ − α m̂ elsewhere

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root`` (see `gradtx.scale_by_rectified_rms`). The trap: its first steps
    are those of momentum with the rate α, not of Adam. Source: Liu et al. 2020, Algorithm 2.

    >>> tx = radam(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)
    Array([-10.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        nesterov_bias_correction(b1) if nesterov else bias_correction(b1),
        scale_by_rectified_rms(b2, eps, eps_root, threshold),
        scale_by_learning_rate(learning_rate),
    )
