"""Norms with a floor, and counters that do not wrap: finite, with finite derivatives."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._value.errors import TransformationError
from gradtx._value.floating import abs_sq, real_dtype, wide


def safe_norm(x: Any, min_norm: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """The norm of an array, but no less than ``min_norm``; where it is no more than that, its derivative is 0.

    ``ord``, ``axis`` and ``keepdims`` are those of `jax.numpy.linalg.norm`. Computed in float32 at least.

    >>> float(safe_norm(jnp.array([3.0, 4.0]), 1.0)), float(safe_norm(jnp.zeros(2), 1.0))
    (5.0, 1.0)
    >>> jax.grad(safe_norm)(jnp.zeros(2), 1.0)
    Array([0., 0.], dtype=float32)
    """
    x = wide(jnp.asarray(x))
    least = jnp.asarray(min_norm).astype(real_dtype(x.dtype))
    small = jnp.linalg.norm(x, ord=ord, axis=axis, keepdims=True) <= least
    norm = jnp.linalg.norm(jnp.where(small, jnp.ones_like(x), x), ord=ord, axis=axis, keepdims=keepdims)
    return jnp.where(small if keepdims else jnp.squeeze(small, axis=axis), least, norm)


def safe_root_mean_squares(x: Any, min_rms: Any) -> jax.Array:
    """The root of the mean of |x|², but no less than ``min_rms``; where it is no more than that, its derivative is 0.

    >>> float(safe_root_mean_squares(jnp.array([1.0, 7.0]), 1.0)), float(safe_root_mean_squares(jnp.zeros(2), 0.5))
    (5.0, 0.5)
    """
    squares = abs_sq(wide(jnp.asarray(x)))
    least = jnp.asarray(min_rms).astype(squares.dtype)
    mean = jnp.mean(squares)
    small = jnp.sqrt(mean) <= least
    return jnp.where(small, least, jnp.sqrt(jnp.where(small, 1, mean)))


def safe_increment(count: Any) -> jax.Array:
    """A counter plus one; at the largest number of its dtype it stays.

    Raises `TransformationError`: a counter that is no number.

    >>> safe_increment(jnp.int8(126)), safe_increment(jnp.int8(127))
    (Array(127, dtype=int8), Array(127, dtype=int8))
    """
    count = jnp.asarray(count)
    if jnp.issubdtype(count.dtype, jnp.integer):
        top = jnp.iinfo(count.dtype).max
    elif jnp.issubdtype(count.dtype, jnp.floating):
        top = jnp.finfo(count.dtype).max
    else:
        raise TransformationError(f"safe_increment: expected a count, found {count.dtype}")
    top = jnp.asarray(top, count.dtype)
    return jnp.where(count < top, count + jnp.ones_like(count), top)


def safe_int32_increment(count: Any) -> jax.Array:
    """`safe_increment` under the name that Optax had for it."""
    return safe_increment(count)
