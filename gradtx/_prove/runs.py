"""Where a transformation goes, step by step, in one compiled loop."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.functions import apply_updates

Array = Any

# Each of these programs runs once, for milliseconds: the compiler's last passes would take most of the time.
LITTLE = {"xla_backend_optimization_level": 0}
quickly = functools.partial(jax.jit, compiler_options=LITTLE)


def updates_of(tx: Any, gradients: Any) -> np.ndarray:
    """The updates of a transformation for given gradients, one a step."""

    def run(gradients: Array) -> Array:
        def step(state: Any, gradient: Array) -> Any:
            u, state = tx.update(gradient, state, jnp.zeros_like(gradient))
            return state, u

        return jax.lax.scan(step, tx.init(gradients[0]), gradients)[1]

    return np.asarray(quickly(run)(jnp.asarray(gradients, float)))


def path_of(tx: Any, gradient: Callable[[Array], Array], start: Any, steps: int) -> np.ndarray:
    """Where a transformation goes from a start: ``steps`` + 1 points, the start among them."""
    return _points(tx, lambda params, _: gradient(params), start, np.zeros(steps))


def after(tx: Any, gradients: Any, start: Any) -> np.ndarray:
    """Where given gradients, one a step, take the parameters: a point after each of them."""
    return _points(tx, lambda _, gradient: gradient, start, gradients)[1:]


def _points(tx: Any, gradient: Callable[[Array, Array], Array], start: Any, rows: Any) -> np.ndarray:
    """The start and the parameters after each step; the gradient is a function of them and of the step's row."""

    def run(start: Array, rows: Array) -> Array:
        def step(carry: Any, row: Array) -> Any:
            params, state = carry
            u, state = tx.update(gradient(params, row), state, params)
            params = apply_updates(params, u)
            return (params, state), params

        path = jax.lax.scan(step, (start, tx.init(start)), rows)[1]
        return jnp.concatenate([start[None], path])

    return np.asarray(quickly(run)(jnp.asarray(start, float), jnp.asarray(rows, float)))
