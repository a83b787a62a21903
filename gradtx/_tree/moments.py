"""Moving averages of moments, leaf by leaf. A moment keeps its dtype; it is computed in float32 at least."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._tree.paths import Tree, map
from gradtx._value.decay import SplitDecay
from gradtx._value.floating import abs_sq, ewma, real_dtype, wide


def update_moment(updates: Tree, moments: Tree, decay: Any, order: Any) -> Tree:
    """The next average of the powers of the updates: βm + (1 − β)gⁿ.

    β is ``decay``, n ``order``.

    >>> update_moment([jnp.array([2.0])], [jnp.array([1.0])], 0.5, 2)
    [Array([2.5], dtype=float32)]
    """
    return _moved(lambda g: g**order, updates, moments, decay)


def update_moment_per_elem_norm(updates: Tree, moments: Tree, decay: Any, order: Any) -> Tree:
    """`update_moment` of |g|ⁿ where g is complex, so that a second moment is real; of gⁿ where g is real.

    >>> update_moment_per_elem_norm([jnp.array([3 + 4j])], [jnp.array([0.0])], 0.5, 2)
    [Array([12.5], dtype=float32)]
    """

    def power(g: Any) -> Any:
        half = order / 2
        exponent = int(half) if isinstance(half, float) and half.is_integer() else half
        return abs_sq(g) ** exponent if jnp.iscomplexobj(g) else g**order

    return _moved(power, updates, moments, decay)


def update_infinity_moment(updates: Tree, moments: Tree, decay: Any, eps: Any) -> Tree:
    """The next exponentially weighted infinity norm: max(βm, |g| + ε).

    β is ``decay``, ε ``eps``. Source: Kingma & Ba 2015, Algorithm 2.

    >>> update_infinity_moment([jnp.array([-2.0])], [jnp.array([8.0])], 0.5, 0.0)
    [Array([4.], dtype=float32)]
    """

    def next_norm(g: Any, moment: Any) -> Any:
        g, moment = jnp.asarray(g), jnp.asarray(moment)
        real = real_dtype(g.dtype, moment.dtype)
        kept, bound = _as(decay, real) * wide(moment, real), jnp.abs(wide(g, real)) + _as(eps, real)
        return jnp.maximum(bound, kept).astype(moment.dtype)

    return map(next_norm, updates, moments)


def bias_correction(moment: Tree, decay: Any, count: Any) -> Tree:
    """An average that started from zero, corrected for it: m/(1 − βᵗ).

    β is ``decay``, t ``count``. A decay that is a Python number is exact to rounding (in Optax 1 − 0.999 in float32 is
    off by 1e-5). Source: Kingma & Ba 2015, section 3.

    >>> bias_correction([jnp.array([3.0])], 0.5, 2)
    [Array([4.], dtype=float32)]
    """
    correction = 1 - _exact(decay) ** count

    def corrected(m: Any) -> Any:
        m = jnp.asarray(m)
        real = real_dtype(m.dtype)
        with jax.numpy_dtype_promotion("standard"):  # a complex moment
            return (wide(m) / jnp.asarray(correction).astype(real)).astype(m.dtype)

    return map(corrected, moment)


def _moved(power: Any, updates: Tree, moments: Tree, decay: Any) -> Tree:
    def next_moment(g: Any, moment: Any) -> Any:
        g, moment = jnp.asarray(g), jnp.asarray(moment)
        real = real_dtype(g.dtype, moment.dtype)
        with jax.numpy_dtype_promotion("standard"):  # a complex moment
            return ewma(_as(decay, real), wide(moment, real), power(wide(g, real))).astype(moment.dtype)

    return map(next_moment, updates, moments)


def _exact(decay: Any) -> SplitDecay:
    if isinstance(decay, SplitDecay):
        return decay
    return SplitDecay.of(float(decay) if isinstance(decay, int | float) else jnp.asarray(decay))


def _as(number: Any, real: Any) -> Any:
    """A number at one precision; a Python number, or a decay, as it is."""
    return number.astype(real) if isinstance(number, jax.Array) else number
