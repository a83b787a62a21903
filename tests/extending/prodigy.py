"""A rule over all leaves: Prodigy (Mishchenko & Defazio 2023, Algorithm 4), which finds the learning rate by itself."""

import jax
import jax.numpy as jnp

from gradtx import Decay, NonNegative, ewma, root, transformation, whole_tree, zeros


@transformation
def prodigy(learning_rate=1.0, b1: Decay = 0.9, b2: Decay = 0.999, eps=1e-8, d0: NonNegative = 1e-6, weight_decay=0.0):
    """Adam whose rate is an estimate of the distance to the solution."""
    b3 = b2**0.5

    def init(params):
        zero = jax.tree.map(zeros, params)
        start = {"d": jnp.asarray(d0), "r": jnp.zeros_like(d0), "start": jax.tree.map(jnp.copy, params)}
        return start | {"mu": zero, "nu": zero, "s": zero}

    def update(g, state, *, params, t):
        d = state["d"]
        rate = d * learning_rate * jnp.sqrt(1 - b2**t) / (1 - b1**t)
        mu = jax.tree.map(lambda m, g: ewma(b1, m, d * g), state["mu"], g)
        nu = jax.tree.map(lambda v, g: ewma(b2, v, d * d * g * g), state["nu"], g)
        s = jax.tree.map(lambda s, g: b3 * s + d / d0 * rate * g, state["s"], g)
        gained = jax.tree.map(lambda g, start, p: jnp.sum(g * (start - p)), g, state["start"], params)
        r = b3 * state["r"] + d / d0 * rate * sum(jax.tree.leaves(gained))
        size = sum(jnp.sum(jnp.abs(x)) for x in jax.tree.leaves(s))
        d = jnp.maximum(d, jnp.where(size > 0, r / jnp.where(size > 0, size, 1), 0))
        u = jax.tree.map(lambda m, v, p: -rate * (m / (root(v) + d * eps) + weight_decay * p), mu, nu, params)
        return u, {"d": d, "r": r, "start": state["start"], "mu": mu, "nu": nu, "s": s}

    return whole_tree(update, init=init)
