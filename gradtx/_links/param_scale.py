"""Steps relative to the parameters: the update times the size of its parameter."""

import math

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.marks import NonNegative


@transformation
def scale_by_param_block_norm(min_scale: NonNegative = 1e-3) -> Rule:
    """Every leaf times the norm of its parameter.

        u ← max(‖θ‖, min_scale) uₜ

    A parameter at zero still moves, thanks to ``min_scale``. Source: Shazeer & Stern 2018, section 8, with the norm in
    place of the root mean square. State: none. Raises `TransformationError`: no ``params``.

    >>> scale_by_param_block_norm().update(jnp.array([1.0, 2.0]), {}, jnp.array([3.0, 4.0]))[0]
    Array([ 5., 10.], dtype=float32)
    """

    def formula(u, *, param):
        return u * jnp.maximum(trees.norm(param), min_scale)

    return per_leaf(formula, conditions=True)


@transformation
def scale_by_param_block_rms(min_scale: NonNegative = 1e-3) -> Rule:
    """Every leaf times the root mean square of its parameter.

        u ← max(√mean(|θ|²), min_scale) uₜ

    A parameter at zero still moves, thanks to ``min_scale``. Source: Shazeer & Stern 2018, section 8. State: none.
    Raises `TransformationError`: no ``params``.

    >>> scale_by_param_block_rms().update(jnp.array([1.0, 2.0]), {}, jnp.array([1.0, 7.0]))[0]  # √((1 + 49)/2)
    Array([ 5., 10.], dtype=float32)
    """

    def formula(u, *, param):
        return u * jnp.maximum(trees.norm(param) / math.sqrt(max(param.size, 1)), min_scale)

    return per_leaf(formula, conditions=True)
