"""Adam and its kin with decoupled weight decay."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, nesterov_bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_infinity_norm, scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


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

        θ ← θ − α (m̂/(√(ν̂ + ε₀) + ε) + λθ)

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root``, λ ``weight_decay``; ``mask`` chooses the leaves that decay (see
    `gradtx.add_decayed_weights`). Source: Loshchilov & Hutter 2019, Algorithm 2.

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
def nadamw(
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
    """Nadam with decoupled weight decay.

        θ ← θ − α (m̂/(√(ν̂ + ε₀) + ε) + λθ),   m̂ = β₁mₜ/(1 − β₁ᵗ⁺¹) + (1 − β₁)gₜ/(1 − β₁ᵗ)

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root``, λ ``weight_decay``; ``mask`` chooses the leaves that decay.
    Source: Dozat 2016, Algorithm 2; Loshchilov & Hutter 2019, Algorithm 2.

    >>> tx = nadamw(3.0, b1=0.5, b2=0.5, eps=0.0, weight_decay=0.25)
    >>> tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0].round(4)  # −4 as with nadam, −3·0.25·4
    Array([-7.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        nesterov_bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def adamaxw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """AdaMax with decoupled weight decay.

        θ ← θ − α (m̂/νₜ + λθ),   νₜ = max(β₂νₜ₋₁, |gₜ| + ε)

    α is ``learning_rate``, β₂ ``b2``, ε ``eps``, λ ``weight_decay``; ``mask`` chooses the leaves that decay. Source:
    Kingma & Ba 2015, Algorithm 2; Loshchilov & Hutter 2019, Algorithm 2.

    >>> tx = adamaxw(0.5, b1=0.5, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        scale_by_infinity_norm(b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
