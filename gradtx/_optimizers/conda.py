"""Conda: Adam in the singular basis of its momentum."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale, scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.singular_basis import in_singular_basis


@transformation
def conda(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    scale_factor: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    *,
    update_proj_gap: int = 2000,
    staggered: bool = True,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """AdamW whose second moments are those of the gradient in the singular basis of the momentum.

        mₜ = UΣVᴴ;   ν of gₜV;   W ← W − α (s (m̂V/(√ν̂ + ε)) Vᴴ + λW)   where W has as many rows as columns, or more

    and with U on the left where it has fewer; other arrays are trained by AdamW. The basis is that of
    `in_singular_basis`, whose options are here too. α is ``learning_rate``, s ``scale_factor``, λ ``weight_decay``.
    Source: Wang et al. 2025, Algorithm 1.

    >>> tx, g = conda(0.5), jnp.array([[0.0, -9.0], [4.0, 0.0]])
    >>> tx.update(g, tx.init(g), g)[0].round(4) + 0
    Array([[ 0. ,  0.5],
           [-0.5,  0. ]], dtype=float32)
    """
    how = {"update_proj_gap": update_proj_gap, "staggered": staggered}
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        in_singular_basis(scale_by_rms(b2, eps), weight_dimension_numbers=weight_dimension_numbers, **how),
        scale(scale_factor),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
