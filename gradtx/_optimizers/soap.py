"""SOAP: Adam in the eigenbasis of Shampoo."""

from typing import Any, Literal

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.eigenbasis import in_eigenbasis, rotated

Form = Literal["shampoo", "kl"]


@transformation
def soap(
    learning_rate: NonNegative,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.01,
    shampoo_beta: Decay = None,
    *,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    precondition_1d: bool = False,
    merge_dims: bool = False,
    block_size: int | None = None,
    form: Form = "shampoo",
    staggered: bool = True,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Adam whose second moments are those of the gradient in the eigenbasis of Shampoo.

        mₜ = β₁mₜ₋₁ + (1 − β₁)gₜ;   νₜ = β₂νₜ₋₁ + (1 − β₂)|Qᴴgₜ|²;   θ ← θ − α (Q (Qᴴm̂/(√ν̂ + ε)) + λθ)

    Q stands for the bases of all axes, renewed as in `in_eigenbasis`, which has the other options too; the decay of its
    moments is ``shampoo_beta``, β₂ if that is not given. α is ``learning_rate``, λ ``weight_decay``. Vectors are
    trained by AdamW. The trap: the first update is zero; its gradient makes the first basis. ``form="kl"`` is KL-SOAP.
    Source: Vyas et al. 2024, Algorithm 3, with the turns that the authors' code takes; Lin et al. 2025 for KL.

    >>> tx, g = soap(0.5, weight_decay=0.0), jnp.array([[0.0, 4.0], [-9.0, 0.0]])
    >>> _, state = tx.update(g, tx.init(g), g)
    >>> tx.update(g, state, g)[0].round(4) + 0  # the singular vectors are the basis: each entry is a step of Adam
    Array([[ 0. , -0.5],
           [ 0.5,  0. ]], dtype=float32)
    """
    how = {"precondition_frequency": precondition_frequency, "form": form, "staggered": staggered}
    shape = {"precondition_1d": precondition_1d, "merge_dims": merge_dims, "block_size": block_size}
    own = how | shape | {"max_dim": max_precond_dim, "weight_dimension_numbers": weight_dimension_numbers}
    direction = (scale_by_ewma(b1), bias_correction(b1), rotated(scale_by_rms(b2, eps)))
    inner = chain(*direction, add_decayed_weights(weight_decay, mask=mask))
    beta = b2 if shampoo_beta is None else shampoo_beta
    return chain(in_eigenbasis(inner, beta, eps, **own), scale_by_learning_rate(learning_rate))
