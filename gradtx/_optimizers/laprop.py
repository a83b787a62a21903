"""LaProp."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def laprop(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-15,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW's links in another order: gradients are divided first, and averaged then.

        cₜ = gₜ/(√(ν̂ + ε₀) + ε);   mₜ = β₁mₜ₋₁ + (1 − β₁)cₜ;   θ ← θ − α (mₜ/(1 − β₁ᵗ) + λθ)

    α is ``learning_rate``, ν̂ that of `gradtx.scale_by_rms` with β₂ = ``b2``, ε ``eps``, ε₀ ``eps_root``, λ
    ``weight_decay``. Any b1 goes with any b2: no update is longer than 1/√(1 − β₂). (The paper has α inside the
    average: the same while α does not change.) Source: Ziyin, Wang & Ueda 2020, Algorithm 1.

    >>> tx = laprop(1.5, b1=0.5, b2=0.0)
    >>> _, state = tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> tx.update(jnp.array([-20.0]), state, jnp.zeros(1))[0].round(4)  # 1, then −1: 1.5·(0.25 − 0.5)/0.75
    Array([0.5], dtype=float32)
    """
    return chain(
        scale_by_rms(b2, eps, eps_root),
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
