"""Functions of the step, as pytrees of their numbers.

A schedule is called with the step (0 at the first update) and returns a scalar. Every argument may be traced, swept
with ``vmap`` and differentiated; any of them may itself be a schedule. Schedules add, subtract, multiply and divide
with each other and with numbers, follow each other (``a.then(b, after=100)``) and stretch (``s.stretch(2)`` takes
twice as long).

Lengths are in steps. To give them as fractions of a run, write the schedule for a run of length 1 and stretch it:
``warmup_cosine_decay_schedule(0.0, 1e-3, 0.1, 1.0).stretch(10_000)`` warms up for a tenth of 10,000 steps.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from gradtx._errors import TransformationError
from gradtx._numbers import Interval, NonNegative, OfStep, Static, as_number
from gradtx._value import Value, factory

P = ParamSpec("P")


class Schedule(Value):
    """A function of the step that is a pytree of its numbers; ``schedule(step)`` is its value there."""

    __slots__ = ()

    @classmethod
    def _number(cls, x: Any, interval: Interval | None) -> Any:
        return as_number_or_schedule(x, interval)

    def __call__(self, step: Any) -> jax.Array:
        given = {name: child.value if name in self._call.structure else child for name, child in self._given.items()}
        numbers = {
            n: given[n] if p.kind == "whole" else at_step(given[n], step) for n, p in self._call.parameters.items()
        }
        return jnp.asarray(self._call.body(**numbers)(jnp.asarray(step, jnp.result_type(float))))

    def then(self, other: Any, *, after: Any) -> "Schedule":
        """This schedule for ``after`` steps, then ``other``, which starts from its own step 0.

        >>> float(constant_schedule(1.0).then(linear_schedule(1.0, 0.0, 10), after=100)(105))
        0.5
        """
        return join_schedules((self, other), (after,))

    def stretch(self, factor: Any) -> "Schedule":
        """The same curve, ``factor`` times as long.

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

    def __neg__(self) -> "Schedule":
        return _multiply(-1.0, self)


def as_number_or_schedule(x: Any, interval: Interval | None) -> Any:
    """What may stand before the star: a number, a schedule, a function of the step, a tuple of these, or None."""
    if x is None or isinstance(x, Schedule):
        return x
    if isinstance(x, Mapping):
        x = sorted(x.items())
    if isinstance(x, list | tuple):
        return tuple(as_number_or_schedule(part, interval) for part in x)
    if callable(x) and not hasattr(x, "dtype"):
        return function_of_step(x)
    return as_number(x, interval)


def at_step(x: Any, step: Any) -> Any:
    """A child with the schedules in it replaced by their values at ``step``."""
    if isinstance(x, Schedule):
        return x(step)
    return tuple(at_step(part, step) for part in x) if isinstance(x, tuple) else x


def is_scheduled(x: Any) -> bool:
    """Whether a child depends on the step."""
    return isinstance(x, Schedule) or (isinstance(x, tuple) and any(is_scheduled(part) for part in x))


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


def _fraction(step: Any, begin: Any, length: Any) -> Any:
    """How much of a transition is done: 0 before ``begin``, 1 from its end on; at once where it has no length."""
    fraction = (step - begin) / jnp.where(length > 0, length, 1)
    return jnp.where(length > 0, jnp.clip(fraction, 0, 1), jnp.where(step >= begin, 1.0, 0.0))


@schedule
def function_of_step(function: Static):
    """A plain function of the step as a schedule: what a lambda, or a schedule of Optax, becomes as an argument."""
    return function


@schedule
def constant_schedule(value):
    """The same value at every step.

    >>> float(constant_schedule(0.5)(1000))
    0.5
    """
    return lambda step: jnp.asarray(value)


@schedule
def polynomial_schedule(
    init_value, end_value, power: NonNegative, transition_steps: NonNegative, transition_begin: NonNegative = 0
):
    """From one value to another along a power of the way that is left.

        value(s) = end + (init − end) · (1 − f)^power,   f = clip((s − transition_begin)/transition_steps, 0, 1)

    With no transition steps it is ``end_value`` from ``transition_begin`` on (Optax: ``init_value`` for ever).

    >>> [float(polynomial_schedule(1.0, 0.0, 2, 10)(s)) for s in (0, 5, 10)]
    [1.0, 0.25, 0.0]
    """
    return lambda step: (
        end_value + (init_value - end_value) * (1 - _fraction(step, transition_begin, transition_steps)) ** power
    )


@schedule
def linear_schedule(init_value, end_value, transition_steps: NonNegative, transition_begin: NonNegative = 0):
    """From one value to another in a straight line.

        value(s) = init + (end − init) · clip((s − transition_begin)/transition_steps, 0, 1)

    >>> [float(linear_schedule(0.0, 1.0, 4)(s)) for s in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return lambda step: init_value + (end_value - init_value) * _fraction(step, transition_begin, transition_steps)


@schedule
def exponential_decay(
    init_value,
    transition_steps: NonNegative,
    decay_rate: NonNegative,
    transition_begin: NonNegative = 0,
    end_value=None,
    *,
    staircase: bool = False,
):
    """A constant factor every ``transition_steps`` steps.

        value(s) = init · decay_rate^p,   p = max(s − transition_begin, 0)/transition_steps

    ``staircase`` takes whole powers only (decay by epoch: ``transition_steps`` the steps of an epoch). ``end_value`` is
    a floor where the curve falls and a ceiling where it rises.

    >>> [round(float(exponential_decay(1.0, 1, 0.9)(s)), 3) for s in (0, 1, 2)]
    [1.0, 0.9, 0.81]
    """

    def value(step):
        power = jnp.maximum(step - transition_begin, 0) / transition_steps
        decayed = init_value * decay_rate ** (jnp.floor(power) if staircase else power)
        if end_value is None:
            return decayed
        return jnp.where(decay_rate < 1, jnp.maximum(decayed, end_value), jnp.minimum(decayed, end_value))

    return value


@schedule
def inverse_time_decay(
    init_value,
    transition_steps: NonNegative,
    decay_rate: NonNegative,
    transition_begin: NonNegative = 0,
    *,
    staircase: bool = False,
):
    """Time-based decay.

        value(s) = init / (1 + decay_rate · p),   p = max(s − transition_begin, 0)/transition_steps

    By step with ``transition_steps=1``; by epoch with the steps of an epoch and ``staircase=True``.

    >>> [round(float(inverse_time_decay(1.0, 1, 1.0)(s)), 4) for s in (0, 1, 2)]
    [1.0, 0.5, 0.3333]
    """

    def value(step):
        power = jnp.maximum(step - transition_begin, 0) / transition_steps
        return init_value / (1 + decay_rate * (jnp.floor(power) if staircase else power))

    return value


@schedule
def cosine_decay_schedule(init_value, decay_steps: NonNegative, alpha=0.0, exponent: NonNegative = 1.0):
    """Half a cosine from ``init_value`` to ``alpha · init_value`` (Loshchilov & Hutter 2017, eq. 5).

        value(s) = init · ((1 − alpha) · (½ (1 + cos πf))^exponent + alpha),   f = min(s/decay_steps, 1)

    >>> [round(float(cosine_decay_schedule(1.0, 10)(s)), 6) for s in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """

    def value(step):
        half_cosine = 0.5 * (1 + jnp.cos(jnp.pi * _fraction(step, 0.0, decay_steps)))
        return init_value * ((1 - alpha) * half_cosine**exponent + alpha)

    return value


@schedule
def warmup_cosine_decay_schedule(
    init_value,
    peak_value,
    warmup_steps: NonNegative,
    decay_steps: NonNegative,
    end_value=0.0,
    exponent: NonNegative = 1.0,
):
    """A line up to ``peak_value``, then half a cosine down to ``end_value``.

        value(s) = init + (peak − init) · s/warmup_steps                         for s < warmup_steps
        value(s) = end + (peak − end) · (½ (1 + cos πf))^exponent                 from there on,
                   f = min((s − warmup_steps)/(decay_steps − warmup_steps), 1)

    ``decay_steps`` is the length of the whole, warm-up included.

    >>> s = warmup_cosine_decay_schedule(0.0, 1.0, 10, 110)
    >>> [round(float(s(n)), 6) for n in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def value(step):
        up = init_value + (peak_value - init_value) * _fraction(step, 0.0, warmup_steps)
        half_cosine = 0.5 * (1 + jnp.cos(jnp.pi * _fraction(step, warmup_steps, decay_steps - warmup_steps)))
        return jnp.where(step < warmup_steps, up, end_value + (peak_value - end_value) * half_cosine**exponent)

    return value


@schedule
def piecewise_constant_schedule(init_value, boundaries_and_scales=None):
    """A value that is multiplied by a factor at each boundary.

        value(s) = init · Π {scaleₖ : boundaryₖ ≤ s}

    ``boundaries_and_scales`` is a mapping ``{boundary: scale}`` or pairs of them; both may be traced.

    >>> [float(piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5})(s)) for s in (9, 10, 20)]
    [1.0, 0.5, 0.25]
    """

    def value(step):
        factors = [jnp.where(step >= boundary, scale, 1) for boundary, scale in boundaries_and_scales or ()]
        return math.prod(factors, start=jnp.asarray(init_value))

    return value


@schedule
def piecewise_interpolate_schedule(interpolate_type: Static, init_value, boundaries_and_scales=None):
    """From init to init · scale₁ by the first boundary, from there to init · scale₁ · scale₂ by the second, and so on.

    ``interpolate_type`` is ``"linear"`` or ``"cosine"`` (half a cosine from one value to the next).

    >>> s = piecewise_interpolate_schedule("linear", 1.0, {10: 0.5, 20: 0.5})
    >>> [float(s(n)) for n in (0, 5, 10, 15, 20, 30)]
    [1.0, 0.75, 0.5, 0.375, 0.25, 0.25]
    """
    if interpolate_type not in ("linear", "cosine"):
        raise TransformationError(f"interpolate_type: expected 'linear' or 'cosine', found {interpolate_type!r}")

    def value(step):
        begin, current = 0.0, jnp.asarray(init_value)
        for boundary, scale in boundaries_and_scales or ():
            fraction = _fraction(step, begin, boundary - begin)
            way = fraction if interpolate_type == "linear" else 0.5 * (1 - jnp.cos(jnp.pi * fraction))
            current = current * (1 + (scale - 1) * way)
            begin = boundary
        return current

    return value


@schedule
def join_schedules(schedules: OfStep, boundaries):
    """One schedule after another; each starts from its own step 0 at its boundary.

        value(s) = schedulesₖ(s − boundariesₖ₋₁)   for boundariesₖ₋₁ ≤ s < boundariesₖ

    Raises `TransformationError`: not one boundary fewer than schedules.

    >>> s = join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10)], [100])
    >>> [float(s(n)) for n in (99, 100, 105)]
    [1.0, 1.0, 0.5]
    """
    if not isinstance(schedules, tuple) or len(boundaries) != len(schedules) - 1:
        raise TransformationError("join_schedules: expected one boundary fewer than schedules")

    def value(step):
        joined = at_step(schedules[0], step)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            joined = jnp.where(step < boundary, joined, at_step(following, jnp.maximum(step - boundary, 0)))
        return joined

    return value


@schedule
def stretch(inner: OfStep, factor: NonNegative):
    """The schedule ``inner``, ``factor`` times as long: value(s) = inner(s/factor)."""
    return lambda step: at_step(inner, step / factor)


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
