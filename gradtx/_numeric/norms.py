"""Norms of matrices and of their units, beside which derivatives stay finite."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._value.floating import abs_sq, root


def norm_over(x: jax.Array, axis: Any) -> jax.Array:
    """The root of the sum of squares along some axes, which stay, with size 1; its derivative at 0 is 0."""
    return root(jnp.sum(abs_sq(x), axis=axis, keepdims=True))


def over(x: Any, y: Any) -> jax.Array:
    """x/y; 0 where y is 0.

    >>> over(jnp.array([1.0, 1.0]), jnp.array([2.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    return jnp.where(y == 0, 0, x / jnp.where(y == 0, 1, y))


MATRIX, UNIT = (-2, -1), -2
"""The axes of a matrix (inputs, outputs), and those of the numbers that lead into one output."""
