"""Exponentially weighted moving averages: how far back they look, and with what weights.

    mₜ = βmₜ₋₁ + (1 − β)qₜ = (1 − β)(qₜ + βqₜ₋₁ + β²qₜ₋₂ + ...)

Python numbers give Python numbers, in float64; arrays may be traced, swept and differentiated.
"""

import math
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._value.decay import SplitDecay, is_python
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Decay, Interval
from gradtx._value.numbers import as_number

DECAY = get_args(Decay)[1]


def _decay(function: str, decay: Any) -> SplitDecay:
    return within(f"{function}: decay", as_number)(decay, DECAY)


def effective_window(decay: Any) -> Any:
    """About how many observations an average spans: 1/(1 − β).

    That many weights as large as the newest, 1 − β, would sum to 1. The trap: observations older than the window are
    not forgotten; together they still weigh about 1/e. Raises `TransformationError`: a decay outside [0, 1).

    >>> round(effective_window(0.9), 12), round(effective_window(0.999), 9)
    (10.0, 1000.0)
    """
    return 1 / (1 - _decay("effective_window", decay))


def half_life(decay: Any) -> Any:
    """After how many observations a weight has halved: ln ½ / ln β.

    Raises `TransformationError`: a decay outside [0, 1).

    >>> half_life(0.5), round(half_life(0.9), 4)
    (1.0, 6.5788)
    """
    complement = 1 - _decay("half_life", decay)
    if is_python(complement):
        return math.log(0.5) / math.log1p(-complement) if complement < 1 else 0.0
    return math.log(0.5) / jnp.log1p(-complement)


def decay_of_half_life(half_life: Any) -> Any:
    """The decay of the average whose weights halve in ``half_life`` observations: β = 2^(−1/half_life).

    The inverse of `half_life`, handy for thinking in epochs: with N steps per epoch, ``decay_of_half_life(2 * N)``
    halves a weight every two epochs. Raises `TransformationError`: a negative half-life.

    >>> decay_of_half_life(1), decay_of_half_life(0.5)
    (0.5, 0.25)
    """
    steps = within("decay_of_half_life: half_life", as_number)(half_life, Interval(0.0, math.inf, closed=False))
    return 0.5 ** (1 / steps) if not is_python(steps) or steps > 0 else 0.0


def ewma_weights(decay: Any, n: int) -> jax.Array:
    """The weights of the last n observations, the newest first: (1 − β)βᵏ for k = 0 ... n − 1.

    They sum to 1 − βⁿ, the factor by which an average that starts from zero is too small; `bias_correction` divides by
    it. Shape ``(n,)``. Raises `TransformationError`: a decay outside [0, 1), a negative n.

    >>> ewma_weights(0.5, 3)
    Array([0.5  , 0.25 , 0.125], dtype=float32)
    """
    if n < 0:
        raise TransformationError(f"ewma_weights: n: expected a number of observations, found {n}")
    b = _decay("ewma_weights", decay)
    if is_python(b.value):
        return jnp.asarray((1 - b) * b.value ** np.arange(n), jnp.result_type(float))
    return (1 - b) * b.value ** jnp.arange(n, dtype=b.value.dtype)
