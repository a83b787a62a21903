"""The usual schedules, under Optax's names; `gradtx._schedules.schedule` says what a schedule is.

The docstrings have the formulas in their usual form. The code computes a transition from a to b as a · left + b · gone,
both fractions from the step itself: in float32, a + (b − a) · gone is 1 % off at the end of a decay from 1 to 1e-6.
"""

import math
from typing import Annotated, Any, Literal

import jax.numpy as jnp

from gradtx._schedules.schedule import ascending, schedule
from gradtx._value.errors import TransformationError
from gradtx._value.floating import power as _power
from gradtx._value.marks import Kept, NonNegative, Numbers

Interpolation = Annotated[Literal["linear", "cosine"], Kept("structure")]


def _way(step: Any, begin: Any, end: Any) -> Any:
    """The fractions of a transition that are gone and left, each computed from the step itself.

    They are (0, 1) up to ``begin`` and (1, 0) from ``end`` on; if ``end`` is not later, the transition is a jump.
    Computing one as 1 minus the other would lose the digits of a small fraction.
    """
    length = jnp.where(end > begin, end - begin, 1)
    begun, done = step > begin, step >= jnp.maximum(begin, end)
    gone = jnp.where(done, 1.0, jnp.where(begun, (step - begin) / length, 0.0))
    left = jnp.where(done, 0.0, jnp.where(begun, (end - step) / length, 1.0))
    return gone, left


def _half_cosine(way: Any) -> Any:
    """The fractions along half a cosine: ½ (1 ∓ cos πf) as sines, which keep their digits where they are small."""
    gone, left = way
    return jnp.sin(jnp.pi / 2 * gone) ** 2, jnp.sin(jnp.pi / 2 * left) ** 2


def _raised(way: Any, power: Any) -> Any:
    """The fractions 1 − leftᵖ and leftᵖ: what is left, raised to a power."""
    gone, left = way
    kept, early = _power(left, power), gone < 0.5
    logarithm = jnp.where(
        early, jnp.log1p(-jnp.where(early, gone, 0)), jnp.log(jnp.where(early | (left == 0), 1, left))
    )
    return jnp.where(left > 0, -jnp.expm1(power * logarithm), 1 - kept), kept


def _blend(start: Any, end: Any, way: Any) -> Any:
    """A value between two others: the sum of what each contributes, so that a small one keeps its digits at its end."""
    gone, left = way
    return start * left + end * gone


def _periods(step: Any, begin: Any, length: Any, staircase: bool) -> Any:
    """How many periods of ``length`` have passed since ``begin`` (whole ones in a ``staircase``); 0 for length 0."""
    elapsed = jnp.maximum(step - begin, 0)
    count = elapsed / jnp.where(length > 0, length, 1)
    if staircase:  # division by a constant may be compiled to a product, a rounding short of a whole number
        whole = jnp.floor(count)
        late, early = elapsed >= (whole + 1) * length, elapsed < whole * length
        count = whole + jnp.where(late, 1.0, 0.0) - jnp.where(early, 1.0, 0.0)
    return jnp.where(length > 0, count, 0)


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
    """From one value to another, by a power of the fraction that is left.

        value(s) = end + (init − end) · (1 − f)^power,   f = clip((s − transition_begin)/transition_steps, 0, 1)

    With no transition steps it is ``end_value`` from ``transition_begin`` on (Optax: ``init_value`` for ever).

    >>> [float(polynomial_schedule(1.0, 0.0, 2, 10)(s)) for s in (0, 5, 10)]
    [1.0, 0.25, 0.0]
    """

    def value(step):
        way = _way(step, transition_begin, transition_begin + transition_steps)
        return _blend(init_value, end_value, _raised(way, power))

    return value


@schedule
def linear_schedule(init_value, end_value, transition_steps: NonNegative, transition_begin: NonNegative = 0):
    """From one value to another in a straight line.

        value(s) = init + (end − init) · clip((s − transition_begin)/transition_steps, 0, 1)

    >>> [float(linear_schedule(0.0, 1.0, 4)(s)) for s in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    def value(step):
        return _blend(init_value, end_value, _way(step, transition_begin, transition_begin + transition_steps))

    return value


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

    ``staircase`` takes whole powers only: with the steps of an epoch as ``transition_steps``, it decays once per epoch.
    ``end_value`` is a floor where the curve falls and a ceiling where it rises.

    >>> [round(float(exponential_decay(1.0, 1, 0.9)(s)), 3) for s in (0, 1, 2)]
    [1.0, 0.9, 0.81]
    """

    def value(step):
        power = _periods(step, transition_begin, transition_steps, staircase)
        if end_value is None:
            return init_value * decay_rate**power
        decayed = init_value * decay_rate**power
        over = jnp.where(decay_rate < 1, decayed < end_value, decayed > end_value)
        return jnp.where(over, end_value, init_value * decay_rate ** jnp.where(over, 0, power))

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

    With ``transition_steps=1`` it decays at every step; with the steps of an epoch and ``staircase=True``, once per
    epoch.

    >>> [round(float(inverse_time_decay(1.0, 1, 1.0)(s)), 4) for s in (0, 1, 2)]
    [1.0, 0.5, 0.3333]
    """

    def value(step):
        return init_value / (1 + decay_rate * _periods(step, transition_begin, transition_steps, staircase))

    return value


@schedule
def cosine_decay_schedule(init_value, decay_steps: NonNegative, alpha=0.0, exponent: NonNegative = 1.0):
    """Half a cosine from ``init_value`` to ``alpha · init_value`` (Loshchilov & Hutter 2017, eq. 5).

        value(s) = init · ((1 − alpha) · (½ (1 + cos πf))^exponent + alpha),   f = min(s/decay_steps, 1)

    >>> [round(float(cosine_decay_schedule(1.0, 10)(s)), 6) for s in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """

    def value(step):
        return init_value * _blend(1.0, alpha, _raised(_half_cosine(_way(step, 0.0, decay_steps)), exponent))

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
        up = _blend(init_value, peak_value, _way(step, 0.0, warmup_steps))
        down = _raised(_half_cosine(_way(step, warmup_steps, decay_steps)), exponent)
        return jnp.where(step < warmup_steps, up, _blend(peak_value, end_value, down))

    return value


def _pairs(boundaries_and_scales: Any) -> Any:
    """Pairs of a boundary and a scale, in ascending order."""
    pairs = boundaries_and_scales or ()
    if not isinstance(pairs, tuple) or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
        raise TransformationError(f"boundaries_and_scales: expected pairs of a step and a factor, found {pairs}")
    ascending("boundaries_and_scales", [boundary for boundary, _ in pairs])
    return pairs


@schedule
def piecewise_constant_schedule(init_value, boundaries_and_scales: Numbers = None):
    """A value that is multiplied by a factor at each boundary.

        value(s) = init · Π {scaleₖ : boundaryₖ ≤ s}

    ``boundaries_and_scales`` is a mapping ``{boundary: scale}`` or pairs of them; boundaries and scales may be traced.

    >>> [float(piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5})(s)) for s in (9, 10, 20)]
    [1.0, 0.5, 0.25]
    """
    boundaries_and_scales = _pairs(boundaries_and_scales)

    def value(step):
        factors = [jnp.where(step >= boundary, scale, 1) for boundary, scale in boundaries_and_scales]
        return math.prod(factors, start=jnp.asarray(init_value))

    return value


@schedule
def piecewise_interpolate_schedule(interpolate_type: Interpolation, init_value, boundaries_and_scales: Numbers = None):
    """From init to init · scale₁ by the first boundary, from there to init · scale₁ · scale₂ by the second, and so on.

    ``interpolate_type`` is ``"linear"`` or ``"cosine"`` (half a cosine from one value to the next).

    >>> s = piecewise_interpolate_schedule("linear", 1.0, {10: 0.5, 20: 0.5})
    >>> [float(s(n)) for n in (0, 5, 10, 15, 20, 30)]
    [1.0, 0.75, 0.5, 0.375, 0.25, 0.25]
    """
    boundaries_and_scales = _pairs(boundaries_and_scales)

    def value(step):
        begin, current = 0.0, jnp.asarray(init_value)
        for boundary, scale in boundaries_and_scales:
            way = _way(step, begin, boundary)
            current = current * _blend(1.0, scale, way if interpolate_type == "linear" else _half_cosine(way))
            begin = boundary
        return current

    return value
