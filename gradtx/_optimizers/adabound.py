"""AdaBound: Adam at first, gradient descent with momentum in the end."""

import jax.numpy as jnp

from gradtx._links.moments import scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, at_most_finite, ewma, plus, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_bounded_rms(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    final_scale: NonNegative = 100.0,
    gamma: NonNegative = 1e-3,
    eps_root: NonNegative = 0.0,
) -> Rule:
    """The rate of Adam for each number, kept within bounds that close in on one rate for all.

        νₜ = β₂νₜ₋₁ + (1 − β₂)|gₜ|²;   u ← uₜ min(max(√(1 − β₂ᵗ)/((1 − β₁ᵗ)(√(νₜ + ε₀) + ε)), l), h)
        l = F(1 − 1/(γt + 1)),   h = F(1 + 1/(γt))

    F is ``final_scale``, γ ``gamma``, ε ``eps``, ε₀ ``eps_root``, β₂ ``b2``; β₁ ``b1`` is the decay of the average
    before it, whose correction is inside the bounds, as in the authors' program. g is the gradient that entered the
    chain. Source: Luo et al. 2019, Algorithm 2. State: ``nu``, real, shaped like the parameters.

    >>> tx = scale_by_bounded_rms(0.0, 0.0, eps=0.0, final_scale=1.0, gamma=1.0)
    >>> tx.update(jnp.array([4.0, 0.1]), tx.init(jnp.zeros(2)))[0]  # 1/4 is raised to 1 − 1/2, 1/0.1 lowered to 1 + 1/1
    Array([2. , 0.2], dtype=float32)
    """

    def formula(u, nu, *, gradient, corrections, low, high):
        nu = ewma(b2, nu, abs_sq(gradient))
        size = root(plus(nu, eps_root)) + eps
        rate = jnp.where(size > 0, corrections / jnp.where(size > 0, size, 1), jnp.inf)
        return u * jnp.clip(rate, low, at_most_finite(high)), nu

    once = {
        "corrections": lambda t: jnp.sqrt(1 - b2**t) / (1 - b1**t),
        "low": lambda t: final_scale * (1 - 1 / (gamma * t + 1)),
        "high": lambda t: final_scale * (1 + 1 / (gamma * t)),
    }
    return per_leaf(formula, once=once, nu=real_zeros)


@transformation
def adabound(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    final_scale: NonNegative = 100.0,
    gamma: NonNegative = 1e-3,
) -> GradientTransformation:
    """Adam whose rates are bounded, more and more, so that it ends as momentum.

        θ ← θ − α mₜ min(max(√(1 − β₂ᵗ)/((1 − β₁ᵗ)(√νₜ + ε)), l), h),   l and h → F

    α is ``learning_rate``, F ``final_scale``: in the end the rate of every number is αF (the paper's α* = 0.1 at α =
    10⁻³). ``gamma`` says how fast: see `gradtx.scale_by_bounded_rms`. Source: Luo et al. 2019, Algorithm 2.

    >>> tx = adabound(0.5, final_scale=1.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)  # at first Adam
    Array([-0.5], dtype=float32)
    """
    bounded = scale_by_bounded_rms(b1, b2, eps, final_scale, gamma)
    return chain(scale_by_ewma(b1), bounded, scale_by_learning_rate(learning_rate))
