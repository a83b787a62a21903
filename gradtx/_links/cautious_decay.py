"""Weight decay that never works against the step."""

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Late, Rule
from gradtx._rules.restrict import restrict
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Static


@transformation
def add_cautious_decayed_weights(weight_decay=0.0, mask: Static = None) -> Late | Rule:
    """The parameters, times a number, added to the update where the two have one sign: there the step shrinks them.

        u ← uₜ + λθ · [uₜθ > 0]

    λ is ``weight_decay``, θ the parameters; of complex numbers uₜθ is Re uₜθ̄. It stands where `add_decayed_weights`
    does, between the preconditioner and the learning rate, and ``mask`` is as there. Source: Chen et al. 2025,
    Algorithm 1. State: none. Raises `TransformationError`: no ``params``.

    >>> add_cautious_decayed_weights(0.5).update(jnp.array([1.0, -1.0]), {}, jnp.array([4.0, 4.0]))[0]
    Array([ 3., -1.], dtype=float32)
    """

    def formula(u, *, param):
        agree = jnp.real(u * jnp.conj(param)) > 0
        return u + jnp.where(agree, weight_decay * param, 0)

    rule = per_leaf(formula, conditions=True)
    return rule if mask is None else restrict(rule, lambda tree: trees.mask(mask, tree))
