"""A wrapper that steps at another pace: gradient accumulation (Ott et al. 2018, section 3.3)."""

import jax
import jax.numpy as jnp

from gradtx import Link, around, transformation, zeros


@transformation
def mean_of(inner: Link, *, many: int):
    """A step of ``inner`` for the mean of so many gradients."""

    def init(params):
        return {"total": jax.tree.map(zeros, params), "n": jnp.zeros([], jnp.int32)}

    def update(step, updates, state):
        total = jax.tree.map(jnp.add, state["total"], updates)
        n = state["n"] + 1

        def emit():
            new, inner = step(jax.tree.map(lambda x: x / many, total))
            return new, {"inner": inner, "total": jax.tree.map(jnp.zeros_like, total), "n": 0 * n}

        def wait():
            return jax.tree.map(jnp.zeros_like, updates), state | {"total": total, "n": n}

        return jax.lax.cond(n == many, emit, wait)

    return around(inner, update, init=init)
