"""Shampoo, as it is used: momentum, blocks, roots that take turns, and the step sizes of Adam."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.kronecker import scale_by_shampoo
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Link, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.graft import graft

ADAM = scale_by_rms()  # of momentum that is corrected for its start


@transformation
def shampoo(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    exponent=None,
    grafting: Link = ADAM,
    *,
    block_size: int | None = 1024,
    precondition_frequency: int = 10,
    staggered: bool = True,
    merge_dims: bool = False,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Momentum, times roots of the second moments of each axis, with the step size of another rule.

        mₜ = β₁mₜ₋₁ + (1 − β₁)gₜ;   d = m̂ ×₁ (H₁ + εI)^p ×₂ (H₂ + εI)^p ...;   θ ← θ − α (d ‖a‖/‖d‖ + λθ)

    Hᵢ are the averages of `scale_by_shampoo`, with decay β₂, and so are ``exponent`` p, ``block_size`` and the turns of
    the roots. a is what ``grafting`` makes of m̂, by default m̂/√ν̂, the step of Adam; ``grafting=identity()`` takes the
    norm of the momentum. α is ``learning_rate``, λ ``weight_decay``. Source: Gupta, Koren & Singer 2018; Anil et al.
    2020; Shi et al. 2023.

    >>> tx = shampoo(0.5, eps=0.0)
    >>> g = jnp.diag(jnp.array([4.0, -9.0]))
    >>> tx.update(g, tx.init(g), g)[0].round(4) + 0  # an orthogonal matrix, as long as Adam's step
    Array([[-0.5,  0. ],
           [ 0. ,  0.5]], dtype=float32)
    """
    how = {"block_size": block_size, "precondition_frequency": precondition_frequency, "staggered": staggered}
    shape = {"merge_dims": merge_dims, "weight_dimension_numbers": weight_dimension_numbers}
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        graft(scale_by_shampoo(b2, eps, exponent, **how, **shape), grafting),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
