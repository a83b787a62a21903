"""Floating point: the precision to compute in, and arithmetic that stays finite and rounds once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def real_dtype(*dtypes: Any) -> Any:
    """The real dtype to compute in: float32, or float64 where one of the dtypes has 64 bits per number."""
    return jnp.float64 if any(jnp.finfo(dtype).bits == 64 for dtype in dtypes) else jnp.float32


def wide(x: jax.Array, real: Any = None) -> jax.Array:
    """``x`` in float32 at least (complex stays complex), or at the precision of ``real``."""
    real = real_dtype(x.dtype) if real is None else real
    complexes = jnp.complex128 if real == jnp.float64 else jnp.complex64
    dtype = complexes if jnp.issubdtype(x.dtype, jnp.complexfloating) else real
    return x if x.dtype == dtype else x.astype(dtype)


@jax.custom_jvp
def root(x: Any) -> jax.Array:
    """√x, with derivative 0 at 0, so that differentiating through a zero gradient gives no NaN.

    >>> float(root(4.0)), float(jax.grad(root)(0.0)), float(jax.grad(root)(4.0))
    (2.0, 0.0, 0.25)
    """
    return jax.lax.sqrt(x) if isinstance(x, jax.Array) else jnp.sqrt(x)


@root.defjvp
def _root_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    y = root(x)
    return y, jnp.where(y > 0, 0.5 / jnp.where(y > 0, y, 1), 0) * dx


def power(base: Any, exponent: Any) -> Any:
    """base^exponent for base ≥ 0, with derivative 0 at 0, where that of a power below 1 is infinite; 0⁰ is 1.

    >>> float(power(4.0, 0.5)), float(power(0.0, 0.5)), float(power(0.0, 0.0)), float(jax.grad(power)(0.0, 0.5))
    (2.0, 0.0, 1.0, 0.0)
    """
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1) ** exponent, jnp.where(exponent == 0, 1.0, 0.0))


def plus(x: Any, number: Any) -> Any:
    """``x + number``; ``x`` itself where the number is Python's 0, which saves every leaf an operation.

    >>> plus(2.0, 0.5), plus(2.0, 0.0)
    (2.5, 2.0)
    """
    return x if type(number) is float and number == 0 else x + number


def ewma(decay: Any, average: Any, x: Any) -> Any:
    """The next value of an exponentially weighted moving average, βm + (1 − β)x.

    Computed as m + (1 − β)(x − m), which rounds once. In the other form each product has a rounding error of its own,
    and over thousands of equal gradients these go in the same direction. An average that is infinite, because a square
    in it overflowed, stays infinite; ∞ − ∞ would turn it into NaN.

    >>> ewma(0.75, 4.0, 8.0), float(ewma(0.75, jnp.array(jnp.inf), jnp.array(1.0)))
    (5.0, inf)
    """
    if isinstance(average, int | float) and isinstance(x, int | float):
        return average + (1 - decay) * (x - average)
    part = _number_like(1 - decay, x) if _alike(average, x) else None
    if part is None:
        return average + (1 - decay) * (x - at_most_finite(average))
    finite = jax.lax.min(average, np.asarray(jnp.finfo(x.dtype).max, x.dtype))
    return jax.lax.add(average, jax.lax.mul(jax.lax.sub(x, finite), part))


# The same as with Python's operators. jax.numpy traces each of its calls again for every shape; `jax.lax` does not.


def scaled(x: Any, by: Any) -> Any:
    """``x * by``, for a number ``by``."""
    number = _number_like(by, x)
    return x * by if number is None else jax.lax.mul(x, number)


def divided(x: Any, by: Any) -> Any:
    """``x / by``, for a number ``by``."""
    number = _number_like(by, x)
    return x / by if number is None else jax.lax.div(x, number)


def _number_like(number: Any, x: Any) -> Any:
    """A number as `jax.lax` takes it beside ``x``; None where dtypes or shapes are to be promoted."""
    if not isinstance(x, jax.Array) or jnp.iscomplexobj(x):
        return None
    if type(number) is float:
        return np.asarray(number, x.dtype)
    return number if isinstance(number, jax.Array) and number.ndim == 0 and number.dtype == x.dtype else None


def _alike(a: Any, b: Any) -> bool:
    return isinstance(a, jax.Array) and isinstance(b, jax.Array) and a.shape == b.shape and a.dtype == b.dtype


def at_most_finite(x: Any) -> Any:
    """``x`` with each infinity replaced by the largest finite number of its sign; NaN and complex numbers stay.

    >>> bool(jnp.isfinite(at_most_finite(jnp.array(-jnp.inf))))
    True
    """
    return fitted(x, jnp.result_type(x))


def fitted(x: Any, dtype: Any) -> Any:
    """``x`` clamped to the range of ``dtype``, in which it will be stored (None: unchanged).

    >>> float(fitted(jnp.array(1e6), jnp.float16))
    65504.0
    """
    if dtype is None or not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        return x
    top = jnp.finfo(dtype).max.astype(x.dtype)
    return jax.lax.clamp(-top, x, top)


def abs_sq(x: jax.Array) -> jax.Array:
    """|x|², real also where x is complex.

    >>> float(abs_sq(jnp.asarray(3 + 4j)))
    25.0
    """
    return jnp.real(x) ** 2 + jnp.imag(x) ** 2 if jnp.iscomplexobj(x) else jax.lax.mul(x, x)
