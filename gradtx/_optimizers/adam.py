"""Adam and AdaMax: an average of the gradients over an average of their sizes."""

from gradtx._links.moments import bias_correction, nesterov_bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_infinity_norm, scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Dtype = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam's direction: an average of the gradients over an average of their sizes.

        u ← m̂/(√(ν̂ + ε₀) + ε)

    ε is ``eps``, ε₀ ``eps_root``; m̂ is that of `gradtx.bias_correction` with ``b1`` (``nesterov``: of
    `gradtx.nesterov_bias_correction`), ν̂ that of `gradtx.scale_by_rms` with ``b2``. The average is kept in
    ``mu_dtype``. Source: Kingma & Ba 2015, Algorithm 1; Dozat 2016, Algorithm 2.

    >>> tx = scale_by_adam(b1=0.5, b2=0.5)
    >>> tx.update(jnp.array([-20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        nesterov_bias_correction(b1) if nesterov else bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
    )


@transformation
def scale_by_adamax(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8) -> GradientTransformation:
    """AdaMax's direction: an average of the gradients over a decaying maximum of their sizes.

        u ← m̂/νₜ,   νₜ = max(β₂νₜ₋₁, |gₜ| + ε)

    β₂ is ``b2``, ε ``eps``; m̂ is that of `gradtx.bias_correction` with ``b1``. Source: Kingma & Ba 2015, Algorithm 2.

    >>> tx = scale_by_adamax(b1=0.5)
    >>> tx.update(jnp.array([-20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    return chain(scale_by_ewma(b1), bias_correction(b1), scale_by_infinity_norm(b2, eps))


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
        θ ← θ − α m̂/(√(ν̂ + ε₀) + ε)

    α is ``learning_rate``, β₁ ``b1``, β₂ ``b2``, ε ``eps``, ε₀ ``eps_root``. Source: Kingma & Ba 2015, Algorithm 1.

    >>> tx = adam(0.5, b1=0.5, b2=0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]  # the first step has the length α
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def adamax(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8
) -> GradientTransformation:
    """Adam with the infinity norm.

        νₜ = max(β₂νₜ₋₁, |gₜ| + ε);   θ ← θ − α m̂/νₜ

    α is ``learning_rate``, ε ``eps``. Source: Kingma & Ba 2015, Algorithm 2.

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
