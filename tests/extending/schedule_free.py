"""A wrapper that trains at one place and deploys another: Schedule-Free (Defazio et al. 2024, Algorithm 1)."""

import jax
import jax.numpy as jnp

from gradtx import Decay, Link, around, transformation


@transformation
def free_of_schedule(base: Link, b1: Decay = 0.9):
    """z goes where ``base`` goes, x is the average of all z, and gradients are taken between them."""

    def init(params):
        return {"x": jax.tree.map(jnp.copy, params), "z": jax.tree.map(jnp.copy, params)}

    def update(step, updates, state, *, params, t):
        updates, inner = step(updates)
        z = jax.tree.map(jnp.add, state["z"], updates)
        x = jax.tree.map(lambda x, z: x + (z - x) / t.astype(x.dtype), state["x"], z)
        updates = jax.tree.map(lambda x, z, p: z + b1 * (x - z) - p, x, z, params)
        return updates, {"inner": inner, "x": x, "z": z}

    return around(base, update, init=init, eval_params=lambda params, state: state["x"], every_step=True)
