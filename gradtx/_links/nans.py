"""NaN among the gradients."""

import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation


@transformation
def zero_nans() -> Rule:
    """Zeros in place of NaN.

        u ← 0 where uₜ is NaN, uₜ elsewhere

    The traps: infinities stay, and a loss that is NaN stays unseen; `gradtx.guard_nonfinite` drops the whole update,
    and counts. State: ``found_nan``, for each leaf whether the last update had any.

    >>> tx = zero_nans()
    >>> updates, state = tx.update(jnp.array([1.0, jnp.nan]), tx.init(jnp.zeros(2)))
    >>> updates, state["found_nan"]
    (Array([1., 0.], dtype=float32), Array(True, dtype=bool))
    """

    def formula(u, found_nan):
        nan = jnp.isnan(u)
        return jnp.where(nan, 0, u), jnp.any(nan)

    return per_leaf(formula, conditions=True, found_nan=lambda param: jnp.zeros([], bool))
