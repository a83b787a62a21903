"""Student's t distribution: how sure a mean over few runs is."""

import functools
import math

import jax
import jax.numpy as jnp


def two_sided(t: float, freedom: float) -> float:
    """The probability that Student's t is as far from 0 as ``t`` or farther, with so many degrees of freedom.

        P(|T| ≥ t) = I(ν/(ν + t²); ν/2, ½),   I the regularized incomplete beta function

    >>> round(two_sided(1.0, 1), 12)  # of Cauchy's distribution, a half is beyond 1
    0.5
    """
    if math.isnan(t) or math.isnan(freedom):
        return math.nan
    if math.isinf(t):
        return 0.0
    with jax.enable_x64(True):
        beyond = _betainc(*(jnp.asarray(x, jnp.float64) for x in (freedom / 2, 0.5, freedom / (freedom + t * t))))
        return float(beyond)


_betainc = jax.jit(jax.scipy.special.betainc)


@functools.lru_cache(4096)
def quantile(confidence: float, freedom: float) -> float:
    """How far from 0 Student's t is at the most, with this probability: half an interval in standard errors.

    >>> round(quantile(0.95, 4), 3), round(quantile(0.5, 1), 6)
    (2.776, 1.0)
    """
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 1 - confidence else (low, middle)
    return high
