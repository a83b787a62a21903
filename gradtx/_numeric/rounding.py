"""Updates of parameters in half precision: where they land, and how to choose where that is."""

from typing import Any

import jax
import jax.numpy as jnp


def is_narrow(dtype: Any) -> bool:
    """Whether a dtype has fewer digits than float32."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32


@jax.custom_jvp
def in_place_of(rounded: jax.Array, exact: jax.Array) -> jax.Array:
    """The rounded number, with the derivative of the exact one, since its own is 0 or none."""
    return rounded


@in_place_of.defjvp
def _in_place_of_jvp(primals: Any, tangents: Any) -> Any:
    return primals[0], tangents[1]


def landed(param: jax.Array, update: jax.Array, dtype: Any) -> jax.Array:
    """Where a parameter that is kept in ``dtype`` is after `apply_updates`; all in float32 at least."""
    return (param + update).astype(dtype).astype(param.dtype)


def towards(param: jax.Array, target: jax.Array, dtype: Any) -> jax.Array:
    """The update, in digits of ``dtype``, from a parameter to a target that ``dtype`` has.

    It lands there, unless the target is far from the parameter and of the other sign: then, nearby.
    """
    return (target - param).astype(dtype).astype(param.dtype)


def at_random(param: jax.Array, update: jax.Array, dtype: Any, key: jax.Array) -> jax.Array:
    """An update that lands above or below the sum of parameter and update, such that the mean is the sum.

    It has the derivative of the update.
    """
    exact = update
    param, update = jax.lax.stop_gradient((param, update))
    near = (param + update).astype(dtype).astype(param.dtype)
    gap = near - param  # beside the update itself: the sum in float32 has lost what is small
    below = jnp.where(gap > update, _next(near, dtype, -1), near)
    above = jnp.where(gap < update, _next(near, dtype, 1), near)
    down, up = _rounded(below - param, dtype, -1), _rounded(above - param, dtype, 1)
    low, high = landed(param, down, dtype), landed(param, up, dtype)
    apart = high > low
    chance = (update - (low - param)) / jnp.where(apart, high - low, 1)
    drawn = jnp.where(apart & (jax.random.uniform(key, param.shape, param.dtype) < chance), up, down)
    return in_place_of(drawn, exact)


def _next(x: jax.Array, dtype: Any, way: int) -> jax.Array:
    """The next number of ``dtype`` after one that it has, up or down."""
    return jnp.nextafter(x.astype(dtype), jnp.full_like(x, way * jnp.inf, dtype=dtype)).astype(x.dtype)


def _rounded(x: jax.Array, dtype: Any, way: int) -> jax.Array:
    """Rounded to ``dtype``, up or down."""
    near = x.astype(dtype).astype(x.dtype)
    beyond = near < x if way > 0 else near > x
    return jnp.where(beyond, _next(near, dtype, way), near)
