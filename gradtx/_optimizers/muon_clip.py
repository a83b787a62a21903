"""MuonClip: Muon at AdamW's size, with attention logits held down."""

from typing import Any

from gradtx._links.matrix_scaling import scale_by_shape
from gradtx._links.moments import trace
from gradtx._links.orthogonalize import orthogonalize
from gradtx._links.qk_clip import clip_attention_logits
from gradtx._numeric.newton_schulz import Coefficients
from gradtx._optimizers.muon import beside_adamw
from gradtx._roles.roles import or_roles
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def muon_clip(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = "simple",
    beta: Decay = 0.95,
    tau: NonNegative = 100.0,
    weight_decay: NonNegative = 0.1,
    adam_learning_rate: NonNegative = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.95,
    adam_eps: NonNegative = 1e-8,
    adam_weight_decay: NonNegative = 0.1,
    *,
    weights: Any = ("*query*", "*key*"),
    head_axis: int = 1,
    ns_steps: int | None = None,
    ns_dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon, and a clip of the weights that make queries and keys.

        mₜ = βmₜ₋₁ + gₜ;   W ← W − α (0.2 √max(m, n) NS(mₜ) + λW);   then `clip_attention_logits` with τ

    ``weights`` and ``head_axis`` say which weights are clipped, and ``update(..., max_logits=...)`` how far: see there.
    ``weight_dimension_numbers``, and what it does not make matrices of, are as in `muon`; AdamW's numbers begin with
    ``adam_``. Source: Kimi Team 2025 (Kimi K2), Algorithm 1.

    >>> tx, params = muon_clip(0.0, weights="query*"), {"query": {"kernel": jnp.eye(2)}}
    >>> tx.update(params, tx.init(params), params, max_logits=jnp.array(400.0))[0]["query"]["kernel"].round(4)
    Array([[-0.5,  0. ],
           [ 0. , -0.5]], dtype=float32)
    """
    axes = or_roles(weight_dimension_numbers)
    links = (
        *(trace(beta), orthogonalize(ns_coeffs, 0.0, steps=ns_steps, dtype=ns_dtype, weight_dimension_numbers=axes)),
        scale_by_shape(scaling="match_rms_adamw", weight_dimension_numbers=axes),
    )
    adam = (adam_b1, adam_b2, adam_eps, adam_weight_decay)
    step = beside_adamw(links, learning_rate, weight_decay, adam_learning_rate, adam, axes)
    return chain(step, clip_attention_logits(tau, weights=weights, head_axis=head_axis))
