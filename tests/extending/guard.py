"""A wrapper that may not step: gradients that are not finite are skipped, unless too many follow each other."""

import jax
import jax.numpy as jnp

from gradtx import Link, around, transformation


@transformation
def skip_nonfinite(inner: Link, *, at_most: int = 5):
    """No step where a gradient is not finite; after ``at_most`` of them in a row it is let in, as Optax does."""

    def init(params):
        return {"in_a_row": jnp.zeros([], jnp.int32)}

    def update(step, updates, state):
        good = jnp.array(True)
        for x in jax.tree.leaves(updates):
            good &= jnp.isfinite(x).all()
        n = jnp.where(good, 0, state["in_a_row"] + 1)

        def take():
            new, inner = step(updates)
            return new, {"inner": inner, "in_a_row": n}

        def skip():
            return jax.tree.map(jnp.zeros_like, updates), state | {"in_a_row": n}

        return jax.lax.cond(good | (n > at_most), take, skip)

    return around(inner, update, init=init)
