"""Grams."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._links.signs import with_gradient_signs
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def grams(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW that goes as far as momentum says, and where to the gradient says.

        θ ← θ − α (|m̂/(√(ν̂ + ε₀) + ε)| sign(gₜ) + λθ)

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root``, λ ``weight_decay``; `gradtx.with_gradient_signs` does this to
    any direction. Source: Cao et al. 2024, Algorithm 1.

    >>> tx = grams(0.5, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0].round(4)
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        with_gradient_signs(),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
