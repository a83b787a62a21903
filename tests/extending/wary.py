"""A wrapper that looks at what comes out: cautious updates (Liang et al. 2024, Algorithm 1)."""

import jax
import jax.numpy as jnp

from gradtx import Link, around, transformation


@transformation
def wary(inner: Link):
    """The update where it goes against the gradient, scaled up by how much of it is left."""

    def update(step, updates, state):
        new, inner = step(updates)

        def masked(u, g):
            agree = (u * g < 0).astype(u.dtype)
            return u * agree * (agree.size / (jnp.sum(agree) + 1))

        return jax.tree.map(masked, new, updates), {"inner": inner}

    return around(inner, update, every_step=True)
