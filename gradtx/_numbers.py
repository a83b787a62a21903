"""Numbers: which may stand before the star, how a decay is carried, and arithmetic that is exact to rounding.

A decay such as 0.999 hurts in float32: ``1 - 0.999`` formed there is 1.3e-5 off, and all that an average has seen is
off with it. So a decay travels as two numbers, the float32 nearest to it and what that rounding lost, and the few
things that formulas do with it (``1 - b``, ``b * x``, ``b**t``, ``1 - b**t``) are computed from both.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx._errors import TransformationError


class Interval(NamedTuple):
    """What a number may be; checked where it is a concrete Python or NumPy number."""

    low: float
    high: float
    closed: bool

    def __contains__(self, x: Any) -> bool:
        values = np.asarray(x, np.float64)
        return bool(np.all((values >= self.low) & ((values <= self.high) if self.closed else (values < self.high))))

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}{']' if self.closed else ')'}"


class Kept(NamedTuple):
    """Marks a parameter before the star that is no number: structure, a schedule kept whole, a link, a group."""

    kind: str


Decay = Annotated[Any, Interval(0.0, 1.0, closed=False)]
"""A decay in [0, 1), carried to better than float32 (see `gradtx.transformation`)."""
NonNegative = Annotated[Any, Interval(0.0, math.inf, closed=False)]
"""A finite number ≥ 0, such as a learning rate."""
Limit = Annotated[Any, Interval(0.0, math.inf, closed=True)]
"""A number ≥ 0 that may be infinite, such as a norm to clip to."""
Static = Annotated[Any, Kept("structure")]
"""Structure that stands before the star: a mask, a label tree, a function that joins."""
Numbers = Annotated[Any, Kept("numbers")]
"""A number, or a tuple of numbers, however deep."""
Dtype = Annotated[Any, Kept("dtype")]
"""A floating-point dtype or its name, or None."""
OfStep = Annotated[Any, Kept("whole")]
"""A schedule that is not replaced by its value at the step."""
Link = Annotated[Any, Kept("link")]
"""A transformation."""
Group = Annotated[Any, Kept("group")]
"""A mapping from names to transformations."""


# Floating point ------------------------------------------------------------------------------------------------------


def real_dtype(*dtypes: Any) -> Any:
    """The real dtype to compute in: float32, or float64 where one of the dtypes has 64 bits a number."""
    return jnp.float64 if any(jnp.finfo(dtype).bits == 64 for dtype in dtypes) else jnp.float32


def wide(x: jax.Array, real: Any = None) -> jax.Array:
    """``x`` in float32 at least (complex stays complex), or at the precision of ``real``."""
    real = real_dtype(x.dtype) if real is None else real
    whole = jnp.complex128 if real == jnp.float64 else jnp.complex64
    return x.astype(whole if jnp.iscomplexobj(x) else real)


@jax.custom_jvp
def root(x: Any) -> jax.Array:
    """√x, with derivative 0 at 0, so that nothing that is differentiated through a zero gradient turns into NaN.

    >>> float(root(4.0)), float(jax.grad(root)(0.0)), float(jax.grad(root)(4.0))
    (2.0, 0.0, 0.25)
    """
    return jnp.sqrt(x)


@root.defjvp
def _root_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    y = root(x)
    return y, jnp.where(y > 0, 0.5 / jnp.where(y > 0, y, 1), 0) * dx


def ewma(decay: Any, average: Any, x: Any) -> Any:
    """The next value of an exponentially weighted moving average, βm + (1 − β)x.

    Computed as m + (1 − β)(x − m), which rounds once: over thousands of equal gradients the two products of the other
    form are off by their own rounding, always in the same direction.

    >>> ewma(0.75, 4.0, 8.0)
    5.0
    """
    return average + (1 - decay) * (x - average)


def abs_sq(x: jax.Array) -> jax.Array:
    """|x|², real also where x is complex.

    >>> float(abs_sq(jnp.asarray(3 + 4j)))
    25.0
    """
    return jnp.real(x) ** 2 + jnp.imag(x) ** 2 if jnp.iscomplexobj(x) else x * x


# Decays --------------------------------------------------------------------------------------------------------------


def is_python(*numbers: Any) -> bool:
    """Whether all are Python numbers, so that float64 arithmetic costs nothing."""
    return all(isinstance(x, int | float) for x in numbers)


class ByValue:
    """Arithmetic that needs no care: with ``value``, the plain number."""

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

    __slots__ = ("near", "rest")

    def __init__(self, near: Any, rest: Any):
        self.near, self.rest = near, rest

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
        """The decay as one number (whatever stands in its place, where that is no number)."""
        numeric = is_python(self.near) or isinstance(self.near, jax.Array | np.ndarray)
        return self.near + self.lost if numeric else self.near

    @property
    def lost(self) -> Any:
        """What the rounding to float32 lost, without a derivative."""
        return self.rest if is_python(self.rest) else jax.lax.stop_gradient(self.rest)

    def __rsub__(self, other: Any) -> Any:
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
        """The decay as one number, in float64 where it is concrete: what it was made of."""
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
        shared = _sharing.get()
        lost = shared.look_up(self.decay, self.t) if shared else None
        lost = _lost(self.decay, self.t) if lost is None else lost
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
    return _jitted(jnp.asarray(1 - decay), jnp.asarray(t))


class SharedPowers:
    """What formulas of many leaves ask for, 1 − bᵗ: noted while one leaf is tried, then made once for all of them."""

    def __init__(self, times: Iterable[Any]):
        self.times = list(times)
        self.asked: dict[Any, tuple[SplitDecay, Any]] = {}
        self.made: dict[Any, jax.Array] = {}

    def look_up(self, decay: SplitDecay, t: Any) -> jax.Array | None:
        """The power, where it has been made; noted, where it could be: ``t`` is the time of all leaves."""
        if any(t is time for time in self.times):
            self.asked[id(decay), id(t)] = decay, t
        return self.made.get((id(decay), id(t)))

    def make(self) -> None:
        """Compute what was asked for, here."""
        self.made = {key: _lost(*pair) for key, pair in self.asked.items()}

    @contextmanager
    def used(self) -> Iterator[None]:
        """While this lasts, formulas ask here."""
        token = _sharing.set(self)
        try:
            yield
        finally:
            _sharing.reset(token)


_sharing: ContextVar[SharedPowers | None] = ContextVar("sharing", default=None)


# What a caller may give ----------------------------------------------------------------------------------------------


def as_number(x: Any, interval: Interval | None) -> Any:
    """A number as it is kept: Python and NumPy scalars as floats, arrays in floating point, decays split.

    Raises `TransformationError`: no real number; a concrete number outside the interval.
    """
    decay = interval is not None and interval.high == 1.0
    if isinstance(x, SplitDecay):
        return x if decay else x.value
    if isinstance(x, bool | np.bool_ | str | bytes) or (not hasattr(x, "dtype") and not isinstance(x, int | float)):
        raise TransformationError(
            f"expected a number, a schedule or a function of the step, found {x!r} ({type(x).__name__})"
        )
    if isinstance(x, int | float | np.generic | np.ndarray):
        _check_kind(np.asarray(x).dtype)
        x = float(x) if np.ndim(x) == 0 else np.array(x, np.float64)  # a copy: a value does not change
        if np.any(np.isnan(x)) or (interval is not None and x not in interval):
            raise TransformationError(f"expected a number{f' in {interval}' if interval else ''}, found {x}")
    else:
        _check_kind(x.dtype)
        x = wide(x) if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    return SplitDecay.of(x) if decay else x


def _check_kind(dtype: Any) -> None:
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        raise TransformationError(f"expected a real number, found dtype {dtype}")


def show(x: Any) -> str:
    """A number as it is printed: a Python number so that it reads back, an array with its shape where it is long."""
    x = x.exact() if isinstance(x, SplitDecay) else x
    if isinstance(x, tuple):
        return f"({', '.join(show(part) for part in x)}{',' if len(x) == 1 else ''})"
    if isinstance(x, float) and not math.isfinite(x):
        return f"float('{x}')"
    if isinstance(x, float):
        return repr(float(x))  # of a NumPy scalar too
    if isinstance(x, Tracer):
        return f"<traced {x.aval.str_short()}>"
    if isinstance(x, jax.Array | np.ndarray):
        many = f"<{x.dtype}[{','.join(str(n) for n in x.shape)}]>"
        return many if np.size(x) > 8 else f"array({np.asarray(x).tolist()}, {x.dtype})"
    return repr(x)
