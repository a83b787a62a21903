"""How unusual a number is among those before it: running mean and variance."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._value.floating import ewma, root

EPS = 1e-6


def z_score(x: Any, mean: Any, var: Any) -> jax.Array:
    """How many standard deviations x is above the mean; 0 where there is no deviation to speak of."""
    deviation = root(var)
    return jnp.where(deviation > EPS, (x - mean) / (deviation + EPS), 0)


def observed(x: Any, mean: Any, var: Any, t: Any, decay: Any, first: Any) -> tuple[jax.Array, jax.Array]:
    """Mean and variance after the t-th number: of all of them at first, then moving averages; ∞ and NaN do not count.

    >>> x, mean, var, t = map(jnp.array, (4.0, 2.0, 0.0, 2.0))
    >>> [float(n) for n in observed(x, mean, var, t, 0.9, 25)]  # of 2 and 4
    [3.0, 1.0]
    """
    of_all = mean + (x - mean) / t
    both = jnp.where(t <= first, of_all, ewma(decay, mean, x))
    spread = jnp.where(t <= first, var + ((x - mean) * (x - both) - var) / t, ewma(decay, var, (x - both) ** 2))
    fine = jnp.isfinite(x)
    return jnp.where(fine, both, mean), jnp.where(fine, spread, var)
