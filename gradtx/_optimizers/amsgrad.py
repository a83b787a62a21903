"""Adam whose denominator never falls."""

from typing import Literal

from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_max_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_amsgrad(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Dtype = None,
    *,
    maximum: Literal["corrected", "raw"] = "corrected",
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """AMSGrad's direction: Adam's, with a denominator that never falls.

        u ← m̂/(√(ν̄ₜ + ε₀) + ε),   ν̄ₜ = max(ν̄ₜ₋₁, ν̂ₜ)

    ε is ``eps``, ε₀ ``eps_root``; m̂ is that of `gradtx.bias_correction` with ``b1`` (the raw average without
    ``bias_correction_mu``), ν̄ that of `gradtx.scale_by_max_rms` with ``b2``. Source: Reddi, Kale & Kumar 2018,
    Algorithm 2.

    >>> tx = scale_by_amsgrad(b1=0.0, b2=0.5, eps=0.0)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([1.0]), state)[0]  # ν̄ stays 16
    Array([0.25], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        *([bias_correction(b1)] if bias_correction_mu else []),
        scale_by_max_rms(b2, eps, eps_root, maximum=maximum, bias_correction=bias_correction_nu),
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

        ν̄ₜ = max(ν̄ₜ₋₁, ν̂ₜ);   θ ← θ − α m̂/(√(ν̄ₜ + ε₀) + ε)

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root``. ``maximum="raw"`` takes the maximum before the correction
    (PyTorch). Source: Reddi, Kale & Kumar 2018, Algorithm 2.

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
