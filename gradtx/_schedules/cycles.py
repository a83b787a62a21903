"""Schedules that go up and down: one cycle, restarts, and cycles without end."""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp

from gradtx._schedules.decays import _blend, _half_cosine, _periods, _way, warmup_cosine_decay_schedule
from gradtx._schedules.schedule import Schedule, at_step, schedule
from gradtx._value.decay import is_python
from gradtx._value.errors import TransformationError
from gradtx._value.marks import NonNegative, OfStep


@schedule
def linear_onecycle_schedule(
    transition_steps: NonNegative,
    peak_value,
    pct_start: NonNegative = 0.3,
    pct_final: NonNegative = 0.85,
    div_factor: NonNegative = 25.0,
    final_div_factor: NonNegative = 1e4,
):
    """One cycle in three lines: up, down to where it began, and down from there to nearly nothing.

        peak/div_factor → peak                                   until s = pct_start · transition_steps
        peak → peak/div_factor                                   until s = pct_final · transition_steps
        peak/div_factor → peak/(div_factor · final_div_factor)   until s = transition_steps

    The trap: the percentages are fractions, 0.3 for 30 %. A boundary may lie between two steps: it is not rounded, so
    that it has a derivative and the cycle can be stretched (Optax truncates it, 0.29 · 100 to 28). Source: Smith &
    Topin 2019.

    >>> s = linear_onecycle_schedule(100, 1.0, 0.25, 0.75, 10.0, 4.0)
    >>> [round(float(s(n)), 6) for n in (0, 25, 50, 75, 100)]
    [0.1, 1.0, 0.55, 0.1, 0.025]
    """

    def value(step):
        top, foot = pct_start * transition_steps, pct_final * transition_steps
        start = peak_value / div_factor
        up = _blend(start, peak_value, _way(step, 0.0, top))
        down = _blend(peak_value, start, _way(step, top, foot))
        out = _blend(start, start / final_div_factor, _way(step, foot, transition_steps))
        return jnp.where(step < top, up, jnp.where(step < foot, down, out))

    return value


@schedule
def cosine_onecycle_schedule(
    transition_steps: NonNegative,
    peak_value,
    pct_start: NonNegative = 0.3,
    div_factor: NonNegative = 25.0,
    final_div_factor: NonNegative = 1e4,
):
    """One cycle in two half cosines: up to the peak, and down to nearly nothing.

        peak/div_factor → peak                        until s = pct_start · transition_steps
        peak → peak/(div_factor · final_div_factor)   until s = transition_steps

    Each a → b is a + (b − a) · ½ (1 − cos πf). The trap: ``pct_start`` is a fraction, 0.3 for 30 %. The boundary may
    lie between two steps: it is not rounded, so that it has a derivative and the cycle can be stretched (Optax
    truncates it, 0.29 · 100 to 28). Source: Smith & Topin 2019; with cosines as in fastai.

    >>> s = cosine_onecycle_schedule(100, 1.0, 0.2, 10.0, 4.0)
    >>> [round(float(s(n)), 6) for n in (0, 10, 20, 60, 100)]
    [0.1, 0.55, 1.0, 0.5125, 0.025]
    """

    def value(step):
        top, start = pct_start * transition_steps, peak_value / div_factor
        up = _blend(start, peak_value, _half_cosine(_way(step, 0.0, top)))
        down = _half_cosine(_way(step, top, transition_steps))
        return jnp.where(step < top, up, _blend(peak_value, start / final_div_factor, down))

    return value


def _of_mappings(keep: Any) -> Any:
    """The same factory, which also takes each cycle as a mapping of its arguments."""

    @functools.wraps(keep)
    def take(cosine_kwargs: Any) -> Schedule:
        return keep(tuple(_cycle(n, cycle) for n, cycle in enumerate(cosine_kwargs)))

    keep.call.function = take
    return take


def _cycle(n: int, cycle: Any) -> Schedule:
    if isinstance(cycle, Mapping):
        cycle = warmup_cosine_decay_schedule(**cycle)
    if not isinstance(cycle, Schedule) or not hasattr(cycle, "decay_steps"):
        raise TransformationError(
            f"sgdr_schedule: cosine_kwargs.{n}: expected the arguments of warmup_cosine_decay_schedule, found {cycle!r}"
        )
    return cycle


@_of_mappings
@schedule
def sgdr_schedule(cosine_kwargs: OfStep):
    """Warm restarts (SGDR): one `warmup_cosine_decay_schedule` after another.

        value(s) = cycleₖ(s − Tₖ)   for Tₖ ≤ s < Tₖ₊₁,   Tₖ = decay_steps₀ + ... + decay_stepsₖ₋₁

    ``cosine_kwargs`` has one entry per cycle: a mapping of its arguments, or the schedule itself. Either is stored as a
    schedule, whose numbers are ``cosine_kwargs.0.peak_value`` and so on; changing ``decay_steps`` moves all later
    cycles. The last cycle ends at its ``end_value`` and stays there. Source: Loshchilov & Hutter 2017, eq. 5.

    Raises `TransformationError`: no cycles; an entry that is no cycle.

    >>> cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": 10}
    >>> s = sgdr_schedule([cycle, {**cycle, "peak_value": 0.5, "decay_steps": 20}])
    >>> [round(float(s(n)), 6) for n in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 0.5, 0.25, 0.0]
    """
    if not cosine_kwargs:
        raise TransformationError("sgdr_schedule: expected at least one cycle")

    def value(step):
        joined, begin = at_step(cosine_kwargs[0], step), 0.0
        for before, cycle in itertools.pairwise(cosine_kwargs):
            begin = begin + at_step(before.decay_steps, step)
            joined = jnp.where(step < begin, joined, at_step(cycle, jnp.maximum(step - begin, 0)))
        return joined

    return value


def _power_of_rate(rate: Any, count: Any) -> Any:
    """rate^count and 1 − rate^count, by the logarithm: in float64 for a Python rate, as count multiplies its error."""
    if is_python(rate) and rate > 0:
        return jnp.exp(count * math.log(rate)), -jnp.expm1(count * math.log(rate))
    positive = rate > 0
    power = rate**count
    return power, jnp.where(positive, -jnp.expm1(count * jnp.log(jnp.where(positive, rate, 1))), 1 - power)


@schedule
def cyclic_schedule(
    base_value,
    max_value,
    step_size_up: NonNegative,
    step_size_down: NonNegative = None,
    gamma: NonNegative = 1.0,
    *,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
):
    """Triangles without end: up to ``max_value`` in ``step_size_up`` steps, down to ``base_value`` in as many.

        value(s) = base + (max − base) · h(s) · a(s),   c = ⌊s/(up + down)⌋,   r = s − c · (up + down)
        h(s) = r/up  for r < up,   1 − (r − up)/down  from there on

    up is ``step_size_up``, down ``step_size_down`` (up unless given). a(s) is 1 for ``mode`` ``"triangular"``, 2⁻ᶜ for
    ``"triangular2"``, which halves the height every cycle, and gammaˢ for ``"exp_range"``. The trap: a step size is the
    number of steps of half a cycle. Source: Smith 2017, section 3.

    >>> s = cyclic_schedule(0.0, 1.0, 4, mode="triangular2")
    >>> [float(s(n)) for n in (0, 2, 4, 6, 8, 12)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """
    down = step_size_up if step_size_down is None else step_size_down

    def value(step):
        period = step_size_up + down
        cycle = _periods(step, 0.0, period, True)
        place = step - cycle * period
        (up, above), (below, falling) = _way(place, 0.0, step_size_up), _way(place, step_size_up, period)
        rises = place < step_size_up
        height, depth = jnp.where(rises, up, falling), jnp.where(rises, above, below)
        power, lost = 1.0, 0.0
        if mode == "triangular2":
            power = 0.5**cycle
            lost = 1 - power
        elif mode == "exp_range":
            power, lost = _power_of_rate(gamma, step)
        return _blend(base_value, max_value, (height * power, depth + height * lost))

    return value
