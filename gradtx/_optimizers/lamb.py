"""LAMB."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._links.trust_ratio import scale_by_trust_ratio
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def lamb(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Adam with a rate for each layer, proportional to the norm of its weights: for large batches.

        r = m̂/(√(ν̂ + ε₀) + ε) + λθ;   θ ← θ − α r ‖θ‖/‖r‖

    α is ``learning_rate``, λ ``weight_decay``, ε ``eps``, ε₀ ``eps_root``; ``mask`` chooses the leaves that decay.
    Where ‖θ‖ or ‖r‖ is 0, the factor is 1. Source: You et al. 2020, Algorithm 2.

    >>> tx = lamb(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]  # half of the weight
    Array([-2.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        scale_by_rms(b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )
