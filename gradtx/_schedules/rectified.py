"""The warm-up of rectified Adam: how far a second moment can be trusted."""

from typing import Any

import jax.numpy as jnp

from gradtx._schedules.schedule import schedule
from gradtx._value.marks import Decay


def rectification(decay: Any, t: Any, threshold: Any) -> Any:
    """The factor rₜ at the t-th update; 0 where ρₜ is below ``threshold``, or 4.

    >>> float(rectification(0.999, jnp.array(3.0), 5.0)), round(float(rectification(0.999, jnp.array(1e6), 5.0)), 4)
    (0.0, 1.0)
    """
    complement = jnp.asarray(1 - decay).astype(t.dtype)
    rho = _length(-jnp.log1p(-complement), t)
    all_of_it = 2 / complement - 1
    enough = (rho >= threshold) & (rho > 4)
    now, top = jnp.where(enough, rho, 5), jnp.where(enough, all_of_it, 5)
    return jnp.where(enough, jnp.sqrt((now - 4) * (now - 2) * top / ((top - 4) * (top - 2) * now)), 0)


def _length(speed: Any, t: Any) -> Any:
    """ρₜ = ρ − 2tβᵗ/(1 − βᵗ), without the difference of large numbers."""
    return 1 + 2 * _beyond(speed) - 2 * t * _beyond(t * speed)


def _beyond(x: Any) -> Any:
    """1/(eˣ − 1) − 1/x, which is −½ at 0."""
    near = x < 0.25
    far = jnp.where(near, 1, x)
    square = x**2
    series = -0.5 + x / 12 * (1 - square / 60 * (1 - square / 42 * (1 - square / 40 * (1 - square / 39.6))))
    return jnp.where(near, series, 1 / jnp.expm1(far) - 1 / far)


@schedule
def rectified_schedule(peak_value, decay: Decay = 0.999):
    """The warm-up of rectified Adam as a schedule: zero until a second moment can be trusted, then up to the peak.

        value(s) = peak · √((ρₜ − 4)(ρₜ − 2)ρ/((ρ − 4)(ρ − 2)ρₜ)) where ρₜ > 4,   0 elsewhere;   t = s + 1
                   ρₜ = ρ − 2tβᵗ/(1 − βᵗ),   ρ = 2/(1 − β) − 1

    β is ``decay``, that of the second moment, ρₜ how many gradients it is worth. It needs no length, and goes with any
    rule that divides by a moving root mean square. Source: Liu et al. 2020, Algorithm 2.

    >>> s = rectified_schedule(1.0)
    >>> [round(float(s(n)), 3) for n in (0, 4, 1000, 100000)]  # ρ₅ ≈ 5, and √(1·3/(5·1996)) ≈ 0.017
    [0.0, 0.017, 0.646, 1.0]
    """

    def value(step):
        return peak_value * rectification(decay, step + 1, 4.0)

    return value
