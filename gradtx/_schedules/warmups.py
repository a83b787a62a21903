"""Schedules that begin with a warm-up: a line up to the peak, and what comes after it."""

from typing import Any, Literal

import jax.numpy as jnp

from gradtx._schedules.decays import _blend, _half_cosine, _periods, _power, _way, exponential_decay, linear_schedule
from gradtx._schedules.schedule import schedule
from gradtx._value.marks import NonNegative


@schedule
def warmup_constant_schedule(init_value, peak_value, warmup_steps: NonNegative):
    """A line up to ``peak_value``, which then stays.

        value(s) = init + (peak − init) · min(s/warmup_steps, 1)

    With no warm-up it is ``peak_value`` from the start (Optax: ``init_value`` for ever).

    >>> [float(warmup_constant_schedule(0.0, 1.0, 4)(s)) for s in (0, 1, 4, 100)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


@schedule
def warmup_exponential_decay_schedule(
    init_value,
    peak_value,
    warmup_steps: NonNegative,
    transition_steps: NonNegative,
    decay_rate: NonNegative,
    transition_begin: NonNegative = 0,
    end_value=None,
    *,
    staircase: bool = False,
):
    """A line up to ``peak_value``, then a constant factor every ``transition_steps`` steps.

        value(s) = init + (peak − init) · s/warmup_steps     for s < warmup_steps
        value(s) = peak · decay_rate^p                       from there on,
                   p = max(s − warmup_steps − transition_begin, 0)/transition_steps

    ``staircase`` and ``end_value`` are as in `exponential_decay`. The trap: ``transition_begin`` counts from the end of
    the warm-up.

    >>> s = warmup_exponential_decay_schedule(0.0, 1.0, 10, 100, 0.5)
    >>> [float(s(n)) for n in (0, 5, 10, 110, 210)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, end_value, staircase=staircase
    )
    return linear_schedule(init_value, peak_value, warmup_steps).then(decay, after=warmup_steps)


def _cooled(way: Any, shape: str) -> Any:
    """The fractions 1 − c(f) and c(f) of a cool-down."""
    gone, left = way
    root = _power(gone, 0.5)
    return {
        "linear": way,
        "cosine": _half_cosine(way),
        "sqrt": (root, left / (1 + root)),
        "square": (gone * gone, left * (1 + gone)),
    }[shape]


@schedule
def warmup_stable_decay_schedule(
    init_value,
    peak_value,
    warmup_steps: NonNegative,
    stable_steps: NonNegative,
    decay_steps: NonNegative,
    end_value=0.0,
    *,
    cooldown: Literal["linear", "cosine", "sqrt", "square"] = "linear",
):
    """Warm-up, stable, decay (WSD): a line up, a plateau, and a cool-down that may begin whenever you want to stop.

        value(s) = init + (peak − init) · s/warmup_steps     for s < warmup_steps
        value(s) = end + (peak − end) · c(f)                 from there on,
                   f = clip((s − warmup_steps − stable_steps)/decay_steps, 0, 1)

    c(f) is 1 − f, ½ (1 + cos πf), 1 − √f or 1 − f² for ``cooldown`` ``"linear"``, ``"cosine"``, ``"sqrt"`` or
    ``"square"``. The trap: each of the three lengths is that of its own phase; in `warmup_cosine_decay_schedule`
    ``decay_steps`` is the length of the whole. Source: Hu et al. 2024 (the name), Hägele et al. 2024 (the shapes; the
    best of theirs is 1 − √f).

    >>> s = warmup_stable_decay_schedule(0.0, 1.0, 10, 70, 20, cooldown="sqrt")
    >>> [float(s(n)) for n in (0, 5, 10, 80, 85, 100)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def value(step):
        plateau = warmup_steps + stable_steps
        up = _blend(init_value, peak_value, _way(step, 0.0, warmup_steps))
        down = _blend(peak_value, end_value, _cooled(_way(step, plateau, plateau + decay_steps), cooldown))
        return jnp.where(step < warmup_steps, up, down)

    return value


@schedule
def inverse_sqrt_schedule(init_value, peak_value, warmup_steps: NonNegative, timescale: NonNegative = None):
    """A line up to ``peak_value``, then down as one over the root of the step; it needs no length of the run.

        value(s) = init + (peak − init) · s/warmup_steps            for s < warmup_steps
        value(s) = peak / √(1 + (s − warmup_steps)/timescale)       from there on

    ``timescale`` is ``warmup_steps`` unless given, and then the second line is peak · √(warmup_steps/s). With
    ``init_value=0`` that is the Transformer's (Vaswani et al. 2017, eq. 3, where the peak is 1/√(d_model ·
    warmup_steps)); with ``init_value=peak_value``, T5's 1/√max(s, k) times a constant (Raffel et al. 2020, section
    3.1.2). The trap: both papers count steps from 1, we from 0. With a time scale of 0 (no warm-up,
    and none given) it does not decay.

    >>> s = inverse_sqrt_schedule(0.0, 1.0, 100)
    >>> [float(s(n)) for n in (0, 50, 100, 400, 1600)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    scale = warmup_steps if timescale is None else timescale

    def value(step):
        up = _blend(init_value, peak_value, _way(step, 0.0, warmup_steps))
        down = peak_value / jnp.sqrt(1 + _periods(step, warmup_steps, scale, False))
        return jnp.where(step < warmup_steps, up, down)

    return value
