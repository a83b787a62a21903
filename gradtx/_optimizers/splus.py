"""SPlus: the sign of momentum in the eigenbasis of Shampoo."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.mean_side import scale_by_mean_side
from gradtx._links.moments import scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate, scale_by_sign
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.average import ema_params
from gradtx._wrappers.chain import chain
from gradtx._wrappers.eigenbasis import in_eigenbasis, rotated


@transformation
def splus(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    weight_decay: NonNegative = 0.01,
    ema_rate: Decay = 0.999,
    nonstandard_constant: NonNegative = 1e-3,
    *,
    precondition_frequency: int = 100,
    max_dim: int = 10000,
    staggered: bool = True,
    mask: Any = None,
) -> GradientTransformation:
    """The sign of momentum in the eigenbasis of Shampoo, scaled by the shape, and an average of parameters to deploy.

        mₜ = β₁mₜ₋₁ + (1 − β₁)gₜ;   W ← W − α 2/(m + n) (Q₁ sign(Q₁ᴴ mₜ Q₂) Q₂ᴴ + λW)

    Q₁ and Q₂ are the bases of `in_eigenbasis`, with decay β₂, by full decompositions: the first after the first step,
    which is sign(m), and then once in ``precondition_frequency`` steps. Arrays that are no matrices take the sign as it
    is, times ``nonstandard_constant`` in place of 2/(m + n). α is ``learning_rate`` (0.1 in the paper), λ
    ``weight_decay``. `gradtx.eval_params` returns the average of the parameters with decay ``ema_rate``, corrected for
    its start. Source: Frans, Levine & Abbeel 2025.

    >>> tx, w = splus(0.5, weight_decay=0.0), jnp.zeros((2, 2))
    >>> tx.update(jnp.array([[4.0, -9.0], [1.0, 1.0]]), tx.init(w), w)[0]
    Array([[-0.25,  0.25],
           [-0.25, -0.25]], dtype=float32)
    """
    how = {"precondition_frequency": precondition_frequency, "max_dim": max_dim, "staggered": staggered}
    signs = chain(scale_by_ewma(b1), rotated(scale_by_sign()))
    return chain(
        in_eigenbasis(signs, b2, refresh="eigh", start="identity", **how),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_mean_side(nonstandard_constant),
        scale_by_learning_rate(learning_rate),
        ema_params(ema_rate, bias_correction=True),
    )
