"""AdamC."""

from typing import Any

from gradtx._links.corrected_decay import add_corrected_decay
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def adamc(
    learning_rate: NonNegative,
    max_learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 1e-4,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW whose decay falls as the rate does, so that gradients do not grow at the end of a schedule.

        θ ← θ − αₜ (m̂/(√(ν̂ + ε₀) + ε) + λ(αₜ/αₘₐₓ)θ)

    αₜ is ``learning_rate``, a schedule, αₘₐₓ ``max_learning_rate``, its peak, ε ``eps``, ε₀ ``eps_root``, λ
    ``weight_decay``. ``mask`` chooses the leaves that decay: the correction is meant for those before a normalization;
    to leave the others at AdamW's decay, add `gradtx.add_decayed_weights` for these. Source: Defazio 2025, Algorithm 1.

    >>> tx = adamc(0.5, 1.0, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0].round(4)  # 0.5·(1 + 0.25·½·4)
    Array([-0.75], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        add_corrected_decay(weight_decay, learning_rate, max_learning_rate, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
