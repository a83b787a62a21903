"""NorMuon: orthogonal momentum in which every neuron moves as far as the others."""

from typing import Any, Literal

from gradtx._links.matrix_scaling import scale_by_output_rms, scale_by_shape, scale_to_rms
from gradtx._links.moments import nesterov_lookahead, trace
from gradtx._links.orthogonalize import orthogonalize
from gradtx._numeric.newton_schulz import Coefficients
from gradtx._optimizers.muon import beside_adamw
from gradtx._roles.roles import or_roles
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative


@transformation
def normuon(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = "simple",
    beta: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-10,
    weight_decay: NonNegative = 0.0,
    adam_learning_rate: NonNegative = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.95,
    adam_eps: NonNegative = 1e-10,
    adam_weight_decay: NonNegative = 0.0,
    *,
    ns_steps: int | None = None,
    ns_dtype: Dtype = None,
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = "original",
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon whose updates are divided, neuron by neuron, by their sizes in the past.

        mₜ = βmₜ₋₁ + gₜ;   W ← W − α (√max(1, n/m) N(NS(gₜ + βmₜ)) + λW)

    N is `scale_by_output_rms` with β₂ = ``b2``, NS is `orthogonalize` with ``ns_coeffs``. The paper gives the update
    the root mean square 0.2 in place of the factor: ``adjust_lr_fn="match_rms_adamw"``. ``weight_dimension_numbers``,
    and what it does not make matrices of, are as in `muon`; AdamW's numbers begin with ``adam_``. Source: Li et al.
    2025, Algorithm 1, with Nesterov's momentum as in their code.

    >>> tx, params = normuon(0.5), {"w": jnp.zeros((2, 2))}
    >>> updates, _ = tx.update({"w": jnp.array([[2.0, 0.0], [0.0, 1.0]])}, tx.init(params), params)
    >>> bool(abs(updates["w"][0, 0] - updates["w"][1, 1]) < 1e-6)  # both neurons alike
    True
    """
    axes = or_roles(weight_dimension_numbers)
    orthogonal = orthogonalize(ns_coeffs, 0.0, steps=ns_steps, dtype=ns_dtype, weight_dimension_numbers=axes)
    size = scale_by_shape if adjust_lr_fn == "original" else scale_to_rms
    links = (
        *(trace(beta), nesterov_lookahead(beta), orthogonal),
        *(scale_by_output_rms(b2, eps, weight_dimension_numbers=axes), size(weight_dimension_numbers=axes)),
    )
    adam = (adam_b1, adam_b2, adam_eps, adam_weight_decay)
    return beside_adamw(links, learning_rate, weight_decay, adam_learning_rate, adam, axes)
