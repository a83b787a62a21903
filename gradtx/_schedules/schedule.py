"""Functions of the step, as pytrees of their numbers: what a schedule is, and its algebra.

A schedule is called with the step (0 at the first update) and returns a scalar. Every argument may be traced, swept
with ``vmap`` and differentiated; any of them may itself be a schedule. Schedules add, subtract, multiply and divide
with each other and with numbers, follow each other (``a.then(b, after=100)``) and stretch (``s.stretch(2)`` takes
twice as long).

Lengths are in steps. To give them as fractions of a run, write the schedule for a run of length 1 and stretch it:
``warmup_cosine_decay_schedule(0.0, 1e-3, 0.1, 1.0).stretch(10_000)`` warms up for a tenth of 10,000 steps.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._value.drawn import line
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Interval, NonNegative, Numbers, OfStep, Static
from gradtx._value.numbers import as_number
from gradtx._value.value import Value, factory

P = ParamSpec("P")


class Schedule(Value):
    """A function of the step that is a pytree of its numbers; ``schedule(step)`` is its value there."""

    __slots__ = ()

    @classmethod
    def _number(cls, x: Any, interval: Interval | None) -> Any:
        return as_number_or_schedule(x, interval)

    def __call__(self, step: Any) -> jax.Array:
        given = {name: child.value if name in self.call.structure else child for name, child in self.given.items()}
        numbers = {
            n: given[n] if p.kind == "whole" else at_step(given[n], step) for n, p in self.call.parameters.items()
        }
        return jnp.asarray(self.call.body(**numbers)(jnp.asarray(step, jnp.result_type(float))))

    def _picture(self) -> str:
        """The curve, to a little beyond the largest number of the call, which is a length; none where it is stacked."""
        lengths = [
            float(x) for x in re.findall(r"[\d.]+(?:e[+-]?\d+)?", repr(self)) if x.strip(".") and 2 <= float(x) < 1e9
        ]
        steps = np.linspace(0.0, 1.2 * max(lengths, default=100.0), 121)
        try:
            values = np.asarray(jax.vmap(self)(jnp.asarray(steps, jnp.result_type(float))))
        except Exception:  # a plain function may do what cannot be traced
            return ""
        return line(steps.tolist(), values.tolist()) if values.ndim == 1 else ""

    def then(self, other: Any, *, after: Any) -> "Schedule":
        """This schedule for ``after`` steps, then ``other``, which starts from its own step 0.

        >>> from gradtx import constant_schedule, linear_schedule
        >>> float(constant_schedule(1.0).then(linear_schedule(1.0, 0.0, 10), after=100)(105))
        0.5
        """
        return join_schedules((self, other), (after,))

    def stretch(self, factor: Any) -> "Schedule":
        """The same curve, ``factor`` times as long.

        >>> from gradtx import linear_schedule
        >>> float(linear_schedule(0.0, 1.0, 10).stretch(2)(10))
        0.5
        """
        return stretch(self, factor)

    def __add__(self, other: Any) -> "Schedule":
        return _add(self, other)

    def __radd__(self, other: Any) -> "Schedule":
        return _add(other, self)

    def __sub__(self, other: Any) -> "Schedule":
        return _subtract(self, other)

    def __rsub__(self, other: Any) -> "Schedule":
        return _subtract(other, self)

    def __mul__(self, other: Any) -> "Schedule":
        return _multiply(self, other)

    def __rmul__(self, other: Any) -> "Schedule":
        return _multiply(other, self)

    def __truediv__(self, other: Any) -> "Schedule":
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> "Schedule":
        return _divide(other, self)

    def __pow__(self, other: Any) -> "Schedule":
        return _power(self, other)

    def __neg__(self) -> "Schedule":
        return _multiply(-1.0, self)


def as_number_or_schedule(x: Any, interval: Interval | None) -> Any:
    """What may stand before the star: a number, a schedule or another function of the step."""
    if isinstance(x, Schedule):
        return x
    if isinstance(x, type) or (hasattr(x, "call") and hasattr(x, "__name__")):
        raise TransformationError(
            f"expected a number, a schedule or a function of the step, found {x.__name__}: call it?"
        )
    if callable(x) and not hasattr(x, "dtype"):
        return function_of_step(x)
    if isinstance(x, list | tuple | set | Mapping):
        raise TransformationError(
            f"expected a number or a function of the step, found {x!r}; a parameter that takes several is annotated "
            "gradtx.Numbers; for one after the other, gradtx.sweep.grid"
        )
    return as_number(x, interval)


def at_step(x: Any, step: Any) -> Any:
    """A child with the schedules in it replaced by their values at ``step``."""
    if isinstance(x, Schedule):
        return x(step)
    return tuple(at_step(part, step) for part in x) if isinstance(x, tuple) else x


def is_scheduled(x: Any) -> bool:
    """Whether a child depends on the step."""
    return isinstance(x, Schedule) or (isinstance(x, tuple) and any(is_scheduled(part) for part in x))


class FunctionOfStep(Schedule):
    """A plain function of the step, which gets the step as it comes: an integer, but a float inside other schedules."""

    __slots__ = ()

    def __call__(self, step: Any) -> jax.Array:
        """The function's value at the step."""
        value = self.function(step)
        if not (isinstance(value, int | float) or hasattr(value, "dtype")) or jnp.shape(value):
            raise TransformationError(f"expected one number of the function of the step, found {value!r}")
        value = jnp.asarray(value)
        if jnp.iscomplexobj(value):
            raise TransformationError(f"expected a real number of the function of the step, found {value.dtype}")
        return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(jnp.result_type(float))


def schedule(body: Callable[P, Any]) -> Callable[P, Schedule]:
    """A factory of schedules, for a curve of your own: the body takes numbers and returns a function of the step.

    >>> @schedule
    ... def inverse_square_root(peak_value):
    ...     return lambda step: peak_value / jnp.sqrt(step + 1.0)
    >>> inverse_square_root(0.1)
    inverse_square_root(peak_value=0.1)
    >>> float(inverse_square_root(0.5)(3))
    0.25
    """
    return factory(Schedule)(body)


@factory(FunctionOfStep)
def function_of_step(function: Static):
    """A plain function of the step as a schedule: what a lambda, or a schedule of Optax, becomes as an argument.

        value(s) = function(s)

    >>> float(function_of_step(lambda step: 0.5 * jnp.exp2(-step.astype(float)))(jnp.array(1)))
    0.25
    """
    return function


@schedule
def join_schedules(schedules: OfStep, boundaries: Numbers):
    """One schedule after another; each starts from its own step 0 at its boundary.

        value(s) = schedulesₖ(s − boundariesₖ₋₁)   for boundariesₖ₋₁ ≤ s < boundariesₖ

    Raises `TransformationError`: the boundaries are not one fewer than the schedules.

    >>> from gradtx import constant_schedule, linear_schedule
    >>> s = join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10)], [100])
    >>> [float(s(n)) for n in (99, 100, 105)]
    [1.0, 1.0, 0.5]
    """
    if not isinstance(schedules, tuple) or not schedules or len(boundaries) != len(schedules) - 1:
        raise TransformationError("join_schedules: expected one boundary fewer than schedules")
    ascending("join_schedules: boundaries", boundaries)

    def value(step):
        joined = at_step(schedules[0], step)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            joined = jnp.where(step < boundary, joined, at_step(following, jnp.maximum(step - boundary, 0)))
        return joined

    return value


@schedule
def stretch(inner: OfStep, factor: NonNegative):
    """The schedule ``inner``, ``factor`` times as long: value(s) = inner(s/factor)."""
    if isinstance(factor, float) and factor == 0:
        raise TransformationError("stretch: factor: expected a number above 0, found 0.0")
    return lambda step: at_step(inner, step / factor)


def ascending(who: str, boundaries: Any) -> None:
    """Raise `TransformationError` if the boundaries, as far as they are concrete, are not in ascending order."""
    known = [boundary for boundary in boundaries if isinstance(boundary, float)]
    if known != sorted(known):
        raise TransformationError(f"{who}: expected them in ascending order, found {known}")


def _operator(symbol: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return factory(Schedule, symbol=symbol)


@_operator("+")
def _add(left, right):
    return lambda step: jnp.asarray(left + right)


@_operator("-")
def _subtract(left, right):
    return lambda step: jnp.asarray(left - right)


@_operator("*")
def _multiply(left, right):
    return lambda step: jnp.asarray(left * right)


@_operator("/")
def _divide(left, right):
    return lambda step: jnp.asarray(left / right)


@_operator("**")
def _power(left, right):
    return lambda step: jnp.asarray(left**right)
