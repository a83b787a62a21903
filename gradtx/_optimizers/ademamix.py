"""AdEMAMix: Adam with a second, much older average of the gradients."""

import functools
from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, divided, ewma, fitted, plus, root
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_ademamix(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: NonNegative = 6.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
) -> Rule:
    """Two averages of the updates, a fast and a slow one, over Adam's denominator.

        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   sₜ = β₃sₜ₋₁ + (1 − β₃)uₜ;   νₜ = β₂νₜ₋₁ + (1 − β₂)|gₜ|²
        u ← (mₜ/(1 − β₁ᵗ) + a sₜ)/(√(νₜ/(1 − β₂ᵗ) + ε₀) + ε)

    a is ``alpha``, ε ``eps``, ε₀ ``eps_root``, g the gradient that entered the chain. The slow average is not
    corrected, so it comes in slowly; the paper also warms ``alpha`` and ``b3`` up: give schedules. Source: Pagliardini,
    Ablin & Grangier 2024, Algorithm 1. State: ``m1`` (m) and ``m2`` (s), like the parameters, in ``mu_dtype`` or in
    float32 at least; ``nu``, real.

    >>> tx = scale_by_ademamix(b1=0.0, b2=0.0, b3=0.5, alpha=1.0, eps=0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # (4 + 2)/4
    Array([1.5], dtype=float32)
    """

    def formula(u, m1, m2, nu, *, gradient, of_m1, of_nu):
        m1, m2, nu = ewma(b1, m1, u), ewma(b3, m2, u), ewma(b2, nu, abs_sq(gradient))
        direction = divided(m1, of_m1) + alpha * m2
        u = direction / (root(plus(divided(nu, of_nu), eps_root)) + eps)
        return u, fitted(m1, mu_dtype), fitted(m2, mu_dtype), nu

    once = {"of_m1": lambda t: 1 - b1**t, "of_nu": lambda t: 1 - b2**t}
    start = functools.partial(zeros, dtype=mu_dtype)
    return per_leaf(formula, once=once, m1=start, m2=start, nu=real_zeros)


@transformation
def ademamix(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: NonNegative = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW with two averages of the gradients, a fast and a slow one.

        θ ← θ − α ((m̂ + a s)/(√(ν̂ + ε₀) + ε) + λθ)

    α is ``learning_rate``, a ``alpha``, λ ``weight_decay``; s is the slow average, of decay ``b3``: see
    `scale_by_ademamix`. Source: Pagliardini, Ablin & Grangier 2024, Algorithm 1.

    >>> tx = ademamix(0.5, b3=0.5, alpha=1.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)  # −0.5·(4 + 2)/4
    Array([-0.75], dtype=float32)
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype=mu_dtype),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def scale_by_simplified_ademamix(
    b1: Decay = 0.99, b2: Decay = 0.95, alpha: NonNegative = 0.0, eps: NonNegative = 1e-8, eps_root: NonNegative = 0.0
) -> Rule:
    """A decaying sum of the updates and the newest of them, over Adam's denominator.

        mₜ = β₁mₜ₋₁ + uₜ;   νₜ = β₂νₜ₋₁ + (1 − β₂)|gₜ|²;   u ← (mₜ + a uₜ)/(√(νₜ/(1 − β₂ᵗ) + ε₀) + ε)

    a is ``alpha``, ε ``eps``, ε₀ ``eps_root``, g the gradient that entered the chain. The trap: m is a sum, so the
    update is up to 1/(1 − β₁) times as long as Adam's. Source: Morwani et al. 2025, Simplified-AdEMAMix. State: ``m``,
    ``n`` (ν), like the parameters, the second real.

    >>> tx = scale_by_simplified_ademamix(0.5, alpha=2.0, eps=0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # (4 + 2·4)/4
    Array([3.], dtype=float32)
    """

    def formula(u, m, n, *, gradient, correction):
        m, n = u + b1 * m, ewma(b2, n, abs_sq(gradient))
        return (m + alpha * u) / (root(plus(divided(n, correction), eps_root)) + eps), m, n

    return per_leaf(formula, once={"correction": lambda t: 1 - b2**t}, m=zeros, n=real_zeros)


@transformation
def simplified_ademamix(
    learning_rate: NonNegative,
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """AdEMAMix with one average in place of two: old momentum, and more weight on the newest gradient.

        θ ← θ − α ((mₜ + a gₜ)/(√(ν̂ + ε₀) + ε) + λθ),   mₜ = β₁mₜ₋₁ + gₜ

    α is ``learning_rate``, a ``alpha``, λ ``weight_decay``. The trap: see `scale_by_simplified_ademamix`. Source:
    Morwani et al. 2025, Simplified-AdEMAMix.

    >>> tx = simplified_ademamix(0.5, alpha=2.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)
    Array([-1.5], dtype=float32)
    """
    return chain(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
