"""Cool-downs: a constant value, until the last part of a run brings it down to zero."""

from gradtx._schedules.decays import _power, _way
from gradtx._schedules.schedule import schedule
from gradtx._value.marks import NonNegative


@schedule
def power_cooldown_schedule(value, total_steps: NonNegative, cooldown_steps: NonNegative, power: NonNegative = 1.2):
    """A constant value, then a power of the steps that are left.

        value(s) = value · min(1, (T − s)/n)^p,   so c(T − s)^p with c = value/nᵖ during the last n steps

    T is ``total_steps``, n ``cooldown_steps``, p ``power``. Multiply it with any schedule to cool that one down:
    ``warmup_constant_schedule(0.0, 0.1, 100) * power_cooldown_schedule(1.0, 3000, 2400)``. Source: modded-nanogpt,
    track 3 (p = 1.2).

    >>> s = power_cooldown_schedule(1.0, 100, 40, 2.0)
    >>> [float(s(n)) for n in (0, 60, 80, 100, 110)]
    [1.0, 1.0, 0.25, 0.0, 0.0]
    """
    begin = total_steps - cooldown_steps
    return lambda step: value * _power(_way(step, begin, total_steps)[1], power)


@schedule
def sqrt_cooldown_schedule(value, total_steps: NonNegative, cooldown_steps: NonNegative):
    """A constant value, then one minus the root of what is gone of the cool-down.

        value(s) = value · (1 − √f),   f = clip((s − T + n)/n, 0, 1)

    T is ``total_steps``, n ``cooldown_steps``. It falls fast at first. Multiply it with any schedule to cool that one
    down. Source: Hägele et al. 2024, eq. 2.

    >>> s = sqrt_cooldown_schedule(1.0, 100, 40)
    >>> [float(s(n)) for n in (0, 60, 70, 100, 110)]
    [1.0, 1.0, 0.5, 0.0, 0.0]
    """

    def cooled(step):
        gone, left = _way(step, total_steps - cooldown_steps, total_steps)
        return value * left / (1 + _power(gone, 0.5))

    return cooled
