"""A wrapper that keeps parameters: Lookahead (Zhang et al. 2019, Algorithm 1)."""

import jax
import jax.numpy as jnp

from gradtx import Link, NonNegative, around, transformation


@transformation
def look_ahead(inner: Link, part: NonNegative = 0.5, *, period: int):
    """Slow parameters, which go a part of the way of so many fast steps."""

    def init(params):
        return {"slow": jax.tree.map(jnp.copy, params)}

    def update(step, updates, state, *, params, t):
        updates, inner = step(updates)
        due = t % period == 0
        ahead = jax.tree.map(lambda slow, p, u: slow + part * (p + u - slow), state["slow"], params, updates)
        slow = jax.tree.map(lambda new, old: jnp.where(due, new, old), ahead, state["slow"])
        updates = jax.tree.map(lambda u, new, p: jnp.where(due, new - p, u), updates, slow, params)
        return updates, {"inner": inner, "slow": slow}

    return around(inner, update, init=init, eval_params=lambda params, state: state["slow"], every_step=True)
