"""Trajectories that other libraries recorded in float64, and ours along the same gradients."""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx


def trajectory(tx, oracle):
    """All parameters along the way, and those to deploy."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        params = gx.apply_updates(params, updates)
        return (params, state), (params, gx.eval_params(tx, params, state))

    with jax.enable_x64(True):
        init = {name: jnp.asarray(value) for name, value in oracle["init"].items()}
        gradients = {name: jnp.asarray([row[name] for row in oracle["gradients"]]) for name in init}
        assert all(x.dtype == jnp.float64 for x in jax.tree.leaves((init, gradients)))
        made = jax.jit(lambda p, g: jax.lax.scan(step, (p, tx.init(p)), g)[1])(init, gradients)
        return jax.tree.map(np.asarray, made)
