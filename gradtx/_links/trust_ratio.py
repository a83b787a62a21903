"""The trust ratio: the norm of a parameter over the norm of its update."""

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.marks import NonNegative


@transformation
def scale_by_trust_ratio(
    min_norm: NonNegative = 0.0, trust_coefficient: NonNegative = 1.0, eps: NonNegative = 0.0
) -> Rule:
    """Every leaf, scaled to the norm of its parameter, so that all leaves change by the same share of their size.

        u ← ηr uₜ,   ηr = η max(‖θ‖, m)/(max(‖uₜ‖, m) + ε)

    η is ``trust_coefficient``, m ``min_norm``, ε ``eps``; where one of the two maxima is 0, the factor is 1. Norms are
    accumulated in float32 at least. Measures ``ratio``, the factor of a leaf. Source: You, Gitman & Ginsburg 2017,
    eq. 6; You et al. 2020, Algorithm 2. State: none. Raises `TransformationError`: no ``params``.

    >>> tx = scale_by_trust_ratio()
    >>> tx.update(jnp.array([0.0, 2.0]), {}, jnp.array([3.0, 4.0]))[0]  # the norm of the parameter is 5
    Array([0., 5.], dtype=float32)
    """

    def formula(u, *, param):
        of_param, of_update = (jnp.maximum(trees.norm(x), min_norm) for x in (param, u))
        both = (of_param > 0) & (of_update > 0)
        return u * jnp.where(both, trust_coefficient * of_param / (jnp.where(both, of_update, 1) + eps), 1)

    def ratio(before, after):
        size = trees.norm(before)
        return jnp.where(size > 0, trees.norm(after) / jnp.where(size > 0, size, 1), 1)

    return per_leaf(formula, conditions=True, measure={"ratio": ratio})
