"""How a decay is stored, and arithmetic with it that is exact to rounding.

A decay such as 0.999 loses digits in float32: ``1 - 0.999`` computed there has a relative error of 1.3e-5, and so has
every average that uses it. So a decay is stored as two numbers, the nearest float32 and what that rounding lost. The
few operations that formulas need (``1 - b``, ``b * x``, ``b**t``, ``1 - b**t``) are computed from both.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def is_python(*numbers: Any) -> bool:
    """Whether all are Python numbers, so that float64 arithmetic costs nothing."""
    return all(isinstance(x, int | float) for x in numbers)


class ByValue:
    """The operations that need no extra precision: they use ``value``, the plain number."""

    __slots__ = ()
    value: Any

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(self.value)

    def __add__(self, other: Any) -> Any:
        return self.value + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self.value - other

    def __truediv__(self, other: Any) -> Any:
        return self.value / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.value

    def __neg__(self) -> Any:
        return -self.value

    def __rpow__(self, other: Any) -> Any:
        return other**self.value

    def __abs__(self) -> Any:
        return self.value

    def __lt__(self, other: Any) -> Any:
        return self.value < other

    def __le__(self, other: Any) -> Any:
        return self.value <= other

    def __gt__(self, other: Any) -> Any:
        return self.value > other

    def __ge__(self, other: Any) -> Any:
        return self.value >= other


@jax.tree_util.register_pytree_with_keys_class
class SplitDecay(ByValue):
    """A decay as ``near + rest``: the nearest float32 and what that rounding lost. Derivatives go to ``near``.

    >>> b = SplitDecay.of(0.999)
    >>> b.value, 1 - b == 1 - 0.999, b**2 == 0.999**2
    (0.999, True, True)
    """

    __slots__ = ("complement", "near", "rest")

    def __init__(self, near: Any, rest: Any, complement: Any = None):
        self.near, self.rest, self.complement = near, rest, complement

    @classmethod
    def of(cls, x: Any) -> "SplitDecay":
        """Split a number: from float64 where it is concrete."""
        if isinstance(x, float):
            near = float(np.float32(x))
            return cls(near, x - near)
        if isinstance(x, np.ndarray):
            near = x.astype(np.float32).astype(np.float64)
            return cls(near, x - near)
        return cls(x, jnp.zeros_like(x))

    def __reduce__(self) -> Any:
        return SplitDecay, (self.near, self.rest)

    def tree_flatten_with_keys(self) -> Any:
        key = jax.tree_util.GetAttrKey
        return ((key("near"), self.near), (key("rest"), self.rest)), None

    def tree_flatten(self) -> Any:
        return (self.near, self.rest), None

    @classmethod
    def tree_unflatten(cls, _: None, children: Any) -> "SplitDecay":
        return cls(*children)

    @property
    def value(self) -> Any:
        """The decay as one number (``near`` as it is, if JAX has put something else in its place)."""
        numeric = is_python(self.near) or isinstance(self.near, jax.Array | np.ndarray)
        return self.near + self.lost if numeric else self.near

    @property
    def lost(self) -> Any:
        """What the rounding to float32 lost, without a derivative."""
        return self.rest if is_python(self.rest) else jax.lax.stop_gradient(self.rest)

    def at_hand(self) -> "SplitDecay":
        """The same decay, with 1 − b computed here once, and not again in the formula of each leaf."""
        return self if is_python(self.near, self.rest) else SplitDecay(self.near, self.rest, 1 - self)

    def __rsub__(self, other: Any) -> Any:
        if self.complement is not None and is_python(other) and other == 1:
            return self.complement
        return (other - self.near) - self.lost

    def __mul__(self, x: Any) -> Any:
        if is_python(self.near, self.rest):
            return self.value * x if is_python(x) or self.near < 0.5 else x - (1 - self) * x
        return x - (1 - self) * x

    __rmul__ = __mul__

    def __pow__(self, t: Any) -> Any:
        return self.value**t if is_python(self.near, self.rest, t) else DecayPower(self, t)

    def __float__(self) -> float:
        return float(self.value)

    def __eq__(self, other: Any) -> Any:
        return self.value == (other.value if isinstance(other, SplitDecay) else other)

    def __hash__(self) -> int:
        return hash(self.value)

    def exact(self) -> Any:
        """The decay as one number; where it is concrete, in float64, as it was given."""
        parts = (self.near, self.rest)
        if any(isinstance(x, Tracer) for x in parts) or not all(isinstance(x, jax.Array | np.ndarray) for x in parts):
            return self.value
        near, rest = (np.asarray(x, np.float64) for x in parts)
        return near + rest if rest.any() else self.near


class DecayPower(ByValue):
    """bᵗ, and 1 − bᵗ = −expm1(t·log1p(b − 1)), which keeps its digits where bᵗ is close to 1."""

    __slots__ = ("decay", "t")

    def __init__(self, decay: SplitDecay, t: Any):
        self.decay, self.t = decay, t

    def __rsub__(self, other: Any) -> Any:
        lost = _lost(self.decay, self.t)
        return lost if is_python(other) and other == 1 else (other - 1) + lost

    @property
    def value(self) -> Any:
        """The power as one number."""
        return 1 - (1 - self)

    def __mul__(self, x: Any) -> Any:
        return x - (1 - self) * x

    __rmul__ = __mul__


@jax.custom_jvp
def _one_minus_power(complement: jax.Array, t: jax.Array) -> jax.Array:
    return -jnp.expm1(jnp.where(t == 0, 0, t * jnp.log1p(-complement)))


@_one_minus_power.defjvp
def _one_minus_power_jvp(primals: Any, tangents: Any) -> Any:
    (complement, t), (d_complement, dt) = primals, tangents
    base = 1 - complement
    in_base = t * jnp.power(base, t - 1)
    in_time = jnp.where(base > 0, -jnp.power(base, t) * jnp.log(jnp.where(base > 0, base, 1)), 0)
    return _one_minus_power(complement, t), in_base * d_complement + in_time * dt


_jitted = jax.jit(_one_minus_power)  # a scalar that many leaves may want: traced and lowered once


def _lost(decay: SplitDecay, t: Any) -> jax.Array:
    t = jnp.asarray(t)
    if is_python(decay.near, decay.rest) and 0 < decay.value < 1:  # the logarithm is a constant, from float64
        t = _floating(t, jnp.asarray(0.0).dtype)
        return -jnp.expm1(t * np.asarray(math.log1p(decay.value - 1), t.dtype))
    complement = jnp.asarray(1 - decay)
    return _jitted(complement, _floating(t, complement.dtype))


def _floating(t: jax.Array, dtype: Any) -> jax.Array:
    return t.astype(dtype) if jnp.issubdtype(t.dtype, jnp.integer) else t
