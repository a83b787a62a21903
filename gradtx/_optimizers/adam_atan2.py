"""Adam-atan2."""

from typing import Any

from gradtx._links.atan2 import scale_by_atan2_rms
from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def adam_atan2(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    scale: NonNegative = 1.27,
    flatness: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW without ε, so that the scale of the loss does not matter at all.

        θ ← θ − α (a arctan2(m̂, b√ν̂) + λθ)

    α is ``learning_rate``, a ``scale``, b ``flatness``, λ ``weight_decay``; see `gradtx.scale_by_atan2_rms`. Source:
    Everett et al. 2024, section 4.4.

    >>> tx = adam_atan2(0.5, scale=4 / jnp.pi)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_atan2_rms(b2, scale, flatness),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
