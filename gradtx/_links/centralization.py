"""Centralization: gradients without their mean."""

import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation


@transformation
def centralize() -> Rule:
    """Arrays of two or more axes, less their mean over all axes but the first.

        u ← uₜ − mean(uₜ over axes 1, 2, ...)

    Leaves with fewer than two axes stay as they are. Source: Yong et al. 2020, eq. 1. State: none.

    >>> centralize().update(jnp.array([[1.0, 3.0], [5.0, 5.0]]), {})[0]
    Array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)
    """

    def formula(u):
        return u - jnp.mean(u, axis=tuple(range(1, u.ndim)), keepdims=True) if u.ndim > 1 else u

    return per_leaf(formula, conditions=True)
