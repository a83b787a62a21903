"""AdaMuon: orthogonal momentum over the root of its own second moment."""

from typing import Any

from gradtx._links.matrix_scaling import scale_to_rms
from gradtx._links.moments import scale_by_ewma
from gradtx._links.orthogonalize import orthogonalize
from gradtx._links.second_moments import scale_by_rms
from gradtx._numeric.newton_schulz import Coefficients
from gradtx._optimizers.muon import beside_adamw
from gradtx._roles.roles import or_roles
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def adamuon(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = "simple",
    beta: Decay = 0.9,
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
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon with Adam's second moment of what is orthogonal, entry by entry, at Adam's size.

        mₜ = βmₜ₋₁ + (1 − β)gₜ;   Oₜ = NS(mₜ);   νₜ = β₂νₜ₋₁ + (1 − β₂)Oₜ²;   vₜ = Oₜ/(√(νₜ/(1 − β₂ᵗ)) + ε)
        W ← W − α (0.2 √(mn) vₜ/‖vₜ‖ + λW)

    β₂ is ``b2``, ε ``eps``; NS is `orthogonalize` with ``ns_coeffs``. In the paper the momentum goes through its sign
    before it is made orthogonal; here it does not, as in `pytorch_optimizer`. ``weight_dimension_numbers``, and what it
    does not make matrices of, are as in `muon`; AdamW's numbers begin with ``adam_``. Source: Si et al. 2025,
    Algorithm 1.

    >>> tx, params = adamuon(0.5), {"w": jnp.zeros((2, 2))}
    >>> updates, _ = tx.update({"w": jnp.array([[2.0, 0.0], [0.0, -1.0]])}, tx.init(params), params)
    >>> jnp.diagonal(updates["w"]).round(4)  # 0.5 · 0.2 · 2/√2
    Array([-0.1414,  0.1414], dtype=float32)
    """
    axes = or_roles(weight_dimension_numbers)
    orthogonal = orthogonalize(ns_coeffs, 0.0, steps=ns_steps, dtype=ns_dtype, weight_dimension_numbers=axes)
    entries = chain(second_moment=scale_by_rms(b2, eps))  # a scope: the moment is of what is orthogonal
    links = (scale_by_ewma(beta), orthogonal, entries, scale_to_rms(0.2, eps, weight_dimension_numbers=axes))
    adam = (adam_b1, adam_b2, adam_eps, adam_weight_decay)
    return beside_adamw(links, learning_rate, weight_decay, adam_learning_rate, adam, axes)
