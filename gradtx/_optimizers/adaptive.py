"""Adam and its kin: an average of the gradients over an average of their sizes."""

from typing import Any, Literal

from gradtx._combinators.chain import chain
from gradtx._numbers import Decay, Dtype, NonNegative
from gradtx._primitives.decay import add_decayed_weights
from gradtx._primitives.moments import (
    bias_correction,
    nesterov_bias_correction,
    nesterov_momentum_decay,
    scale_by_ewma,
    scale_by_lion,
)
from gradtx._primitives.scaling import scale_by_learning_rate
from gradtx._primitives.second_moments import scale_by_infinity_norm, scale_by_max_rms, scale_by_rms
from gradtx._transformation import GradientTransformation, transformation


@transformation
def adam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
) -> GradientTransformation:
    """Adaptive moment estimation.

        mₜ = β₁mₜ₋₁ + (1 − β₁)gₜ;   νₜ = β₂νₜ₋₁ + (1 − β₂)gₜ²;   m̂ = mₜ/(1 − β₁ᵗ),   ν̂ = νₜ/(1 − β₂ᵗ)
        θ ← θ − ε m̂/(√(ν̂ + eps_root) + eps)

    ε is ``learning_rate``, β₁ and β₂ are ``b1`` and ``b2``. Source: Kingma & Ba 2015, Algorithm 1.

    >>> tx = adam(0.5, b1=0.5, b2=0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]  # the first step has the length ε
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 1e-4,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """Adam with decoupled weight decay.

        θ ← θ − ε (m̂/(√(ν̂ + eps_root) + eps) + λθ)

    λ is ``weight_decay``; ``mask`` chooses the leaves that decay (see `gradtx.add_decayed_weights`). Source:
    Loshchilov & Hutter 2019, Algorithm 2.

    >>> tx = adamw(0.5, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def nadam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    momentum_decay: NonNegative = None,
    *,
    mu_dtype: Dtype = None,
) -> GradientTransformation:
    """Adam with Nesterov's momentum.

        m̂ = β₁mₜ/(1 − β₁ᵗ⁺¹) + (1 − β₁)gₜ/(1 − β₁ᵗ);   θ ← θ − ε m̂/(√(ν̂ + eps_root) + eps)

    The default keeps β₁ constant (Optax). With ``momentum_decay=0.004`` it warms up as in PyTorch and Keras (see
    `gradtx.nesterov_momentum_decay`). Source: Dozat 2016, Algorithm 2.

    >>> tx = nadam(3.0, b1=0.5, b2=0.5, eps=0.0)
    >>> tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))[0]  # 3·(0.5·1.5/0.75 + 0.5·3/0.5)/3
    Array([-4.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        nesterov_bias_correction(b1) if momentum_decay is None else nesterov_momentum_decay(b1, momentum_decay),
        scale_by_rms(b2, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def amsgrad(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    maximum: Literal["corrected", "raw"] = "corrected",
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Adam whose denominator never falls.

        ν̄ₜ = max(ν̄ₜ₋₁, ν̂ₜ);   θ ← θ − ε m̂/(√(ν̄ₜ + eps_root) + eps)

    ``maximum="raw"`` takes the maximum before the correction (PyTorch). Source: Reddi, Kale & Kumar 2018, Algorithm 2.

    >>> tx = amsgrad(0.5, b1=0.5, b2=0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        *([bias_correction(b1)] if bias_correction_mu else []),
        scale_by_max_rms(b2, eps, eps_root, maximum=maximum, bias_correction=bias_correction_nu),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def adamax(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8
) -> GradientTransformation:
    """Adam with the infinity norm.

        νₜ = max(β₂νₜ₋₁, |gₜ| + eps);   θ ← θ − ε m̂/νₜ

    Source: Kingma & Ba 2015, Algorithm 2.

    >>> tx = adamax(0.5, b1=0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        scale_by_infinity_norm(b2, eps),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def lion(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    weight_decay: NonNegative = 1e-3,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """Evolved sign momentum.

        θ ← θ − ε (sign(β₁mₜ₋₁ + (1 − β₁)gₜ) + λθ);   mₜ = β₂mₜ₋₁ + (1 − β₂)gₜ

    λ is ``weight_decay``. Source: Chen et al. 2023, Algorithm 2.

    >>> tx = lion(0.5, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype=mu_dtype),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
