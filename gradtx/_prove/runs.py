"""Where a transformation goes, step by step, in one compiled loop."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.functions import apply_updates

Array = Any


def updates_of(tx: Any, gradients: Any) -> np.ndarray:
    """The updates of a transformation for given gradients, one a step."""
    gradients = jnp.asarray(gradients, float)

    def step(state: Any, gradient: Array) -> Any:
        u, state = tx.update(gradient, state, jnp.zeros_like(gradient))
        return state, u

    return np.asarray(jax.lax.scan(step, tx.init(gradients[0]), gradients)[1])


def path_of(tx: Any, gradient: Callable[[Array], Array], start: Any, steps: int) -> np.ndarray:
    """Where a transformation goes from a start: ``steps`` + 1 points, the start among them."""
    start = jnp.asarray(start, float)

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        u, state = tx.update(gradient(params), state, params)
        params = apply_updates(params, u)
        return (params, state), params

    path = jax.lax.scan(step, (start, tx.init(start)), length=steps)[1]
    return np.asarray(jnp.concatenate([start[None], path]))


def after(tx: Any, gradients: Any, start: Any) -> np.ndarray:
    """Where given gradients, one a step, take the parameters: a point after each of them."""
    start = jnp.asarray(start, float)

    def step(carry: Any, gradient: Array) -> Any:
        params, state = carry
        u, state = tx.update(gradient, state, params)
        params = apply_updates(params, u)
        return (params, state), params

    return np.asarray(jax.lax.scan(step, (start, tx.init(start)), jnp.asarray(gradients, float))[1])
