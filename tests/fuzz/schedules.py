"""Schedules in float64: the value of a number at a step, line by line from the papers that the docstrings name."""

import math
from typing import Any

from tests.fuzz.case import C


def falling(step: float) -> float:
    """A plain function of the step: it serves both sides, since it is user code and not gradtx's."""
    return 0.5 / (1.0 + step)


FUNCTIONS = {"falling": falling}


def value(number: Any, s: float) -> Any:
    """A number at step ``s``; what is no schedule is itself."""
    if not isinstance(number, C):
        return number
    return CURVES[number.name](s, *number.inside, **number.arguments)


def curve(function: Any) -> Any:
    """A curve whose arguments may be schedules themselves, read at the same step."""
    return lambda s, **given: function(s, **{key: value(x, s) for key, x in given.items()})


def fraction(s: float, begin: float, length: float) -> float:
    if length == 0:
        return 1.0 if s >= begin else 0.0
    return min(max((s - begin) / length, 0.0), 1.0)


def half_cosine(f: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * f))


def polynomial(s: float, init_value, end_value, power, transition_steps, transition_begin=0.0) -> float:
    way = (1 - fraction(s, transition_begin, transition_steps)) ** power
    return init_value * way + end_value * (1 - way)  # a difference of the two would lose the smaller one


def linear(s: float, init_value, end_value, transition_steps, transition_begin=0.0) -> float:
    way = fraction(s, transition_begin, transition_steps)
    return init_value * (1 - way) + end_value * way


def cosine(s: float, init_value, decay_steps, alpha=0.0, exponent=1.0) -> float:
    return init_value * ((1 - alpha) * half_cosine(min(s / decay_steps, 1.0)) ** exponent + alpha)


def periods(s: float, steps: float, begin: float, staircase: bool) -> float:
    p = max(s - begin, 0.0) / steps
    return math.floor(p) if staircase else p


def exponential(s, init_value, transition_steps, decay_rate, transition_begin=0.0, end_value=None, staircase=False):
    found = init_value * decay_rate ** periods(s, transition_steps, transition_begin, staircase)
    if end_value is None:
        return found
    return max(found, end_value) if decay_rate < 1 else min(found, end_value)


def inverse_time(s, init_value, transition_steps, decay_rate, transition_begin=0.0, staircase=False):
    return init_value / (1 + decay_rate * periods(s, transition_steps, transition_begin, staircase))


def piecewise_constant(s, init_value, boundaries_and_scales=()):
    for boundary, scale in boundaries_and_scales:
        init_value = init_value * scale if boundary <= s else init_value
    return init_value


def warmup_cosine(s, init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0):
    if s < warmup_steps:
        return init_value + (peak_value - init_value) * s / warmup_steps
    f = min((s - warmup_steps) / (decay_steps - warmup_steps), 1.0)
    return end_value + (peak_value - end_value) * half_cosine(f) ** exponent


def warmup_constant(s, init_value, peak_value, warmup_steps):
    return peak_value if s >= warmup_steps else init_value + (peak_value - init_value) * s / warmup_steps


def stable(s, init_value, peak_value, warmup_steps, stable_steps, decay_steps, end_value=0.0, cooldown="linear"):
    if s < warmup_steps:
        return init_value + (peak_value - init_value) * s / warmup_steps
    f = fraction(s, warmup_steps + stable_steps, decay_steps)
    left = {"linear": 1 - f, "cosine": half_cosine(f), "sqrt": 1 - math.sqrt(f), "square": 1 - f * f}[cooldown]
    return end_value + (peak_value - end_value) * left


def inverse_sqrt(s, init_value, peak_value, warmup_steps, timescale=None):
    if s < warmup_steps:
        return init_value + (peak_value - init_value) * s / warmup_steps
    scale = warmup_steps if timescale is None else timescale
    return peak_value / math.sqrt(1 + (s - warmup_steps) / scale) if scale else peak_value


def sqrt_cooldown(s, value, total_steps, cooldown_steps):
    return value * (1 - math.sqrt(fraction(s, total_steps - cooldown_steps, cooldown_steps)))


CURVES = {
    "constant_schedule": curve(lambda s, value: value),
    "linear_schedule": curve(linear),
    "polynomial_schedule": curve(polynomial),
    "cosine_decay_schedule": curve(cosine),
    "exponential_decay": curve(exponential),
    "inverse_time_decay": curve(inverse_time),
    "piecewise_constant_schedule": curve(piecewise_constant),
    "warmup_cosine_decay_schedule": curve(warmup_cosine),
    "warmup_constant_schedule": curve(warmup_constant),
    "warmup_stable_decay_schedule": curve(stable),
    "inverse_sqrt_schedule": curve(inverse_sqrt),
    "sqrt_cooldown_schedule": curve(sqrt_cooldown),
    "function": lambda s, of: FUNCTIONS[of](s),
    "add": lambda s, a, b: value(a, s) + value(b, s),
    "subtract": lambda s, a, b: value(a, s) - value(b, s),
    "multiply": lambda s, a, b: value(a, s) * value(b, s),
    "divide": lambda s, a, b: value(a, s) / value(b, s),
    "negate": lambda s, a: -value(a, s),
    "then": lambda s, a, b, after: value(a, s) if s < after else value(b, s - after),
    "stretch": lambda s, a, factor: value(a, s / factor),
}
