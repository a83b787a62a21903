"""Constraints on the parameters."""

import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError


@transformation
def keep_params_nonnegative() -> Rule:
    """Parameters that stay at zero or above: the step ends there.

        u ← max(uₜ, −θ)

    It stands last in its chain. The trap: a parameter that is already negative is brought to zero at once. Source:
    Levitin & Polyak 1966, the projection of a step. State: none. Raises `TransformationError`: no ``params``; a
    complex leaf, which has no order.

    >>> tx = keep_params_nonnegative()
    >>> tx.update(jnp.array([-1.0, -1.0]), {}, jnp.array([4.0, 0.5]))[0]
    Array([-1. , -0.5], dtype=float32)
    """

    def formula(u, *, param):
        if jnp.iscomplexobj(param):
            raise TransformationError("complex numbers have no order: there is nothing above zero")
        return jnp.where(param + u < 0, -param, u)

    return per_leaf(formula)
