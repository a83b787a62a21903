"""Functions with Optax's signatures, where those of gradtx differ; the rest is gradtx's own."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

import gradtx as gx


def exponential_decay(
    init_value: Any,
    transition_steps: Any,
    decay_rate: Any,
    transition_begin: Any = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> Any:
    """`gradtx.exponential_decay`; without steps, or with a rate of 0, it is constant."""
    if _never(transition_steps) or (isinstance(decay_rate, int | float) and decay_rate == 0):
        return gx.constant_schedule(init_value)
    begin = max(transition_begin, 0) if isinstance(transition_begin, int | float) else transition_begin
    return gx.exponential_decay(init_value, transition_steps, decay_rate, begin, end_value, staircase=staircase)


def warmup_exponential_decay_schedule(
    init_value: Any,
    peak_value: Any,
    warmup_steps: Any,
    transition_steps: Any,
    decay_rate: Any,
    transition_begin: Any = 0,
    staircase: bool = False,
    end_value: Any = None,
) -> Any:
    """`gradtx.warmup_exponential_decay_schedule`."""
    numbers = (init_value, peak_value, warmup_steps, transition_steps, decay_rate, transition_begin, end_value)
    return gx.warmup_exponential_decay_schedule(*numbers, staircase=staircase)


def _never(steps: Any) -> bool:
    return isinstance(steps, int | float) and steps <= 0


def global_norm(updates: Any) -> Any:
    """The norm of all leaves together: `gradtx.tree.norm`."""
    return gx.tree.norm(updates)


def measure_with_ema(measure: Any, decay: Any, debias: bool = True, accumulator_dtype: Any = None) -> Any:
    """`gradtx.measure_with_ema`."""
    return gx.measure_with_ema(measure, decay, debias=debias, accumulator_dtype=accumulator_dtype)


def apply_updates(params: Any, updates: Any) -> Any:
    """The sums of parameters and updates, in the dtypes of the parameters; None stays None."""

    def moved(param: Any, update: Any) -> Any:
        if param is None or update is None:
            return param
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(jnp.asarray(param) + update).astype(jnp.asarray(param).dtype)

    return jax.tree.map(moved, params, updates, is_leaf=lambda x: x is None)


def hvp(loss: Any, v: Any, params: Any, inputs: Any, targets: Any) -> Any:
    """The Hessian of ``loss(params, inputs, targets)`` times a flat vector, flat: `gradtx.curvature.hvp` on vectors."""
    flat, unravel = ravel_pytree(params)
    return gx.curvature.hvp(lambda x: loss(unravel(x), inputs, targets), flat, v)


def linear_schedule(init_value: Any, end_value: Any, transition_steps: Any, transition_begin: Any = 0) -> Any:
    """`gradtx.linear_schedule`; without steps it is constant."""
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def polynomial_schedule(
    init_value: Any, end_value: Any, power: Any, transition_steps: Any, transition_begin: Any = 0
) -> Any:
    """`gradtx.polynomial_schedule`; without steps it is constant."""
    if _never(transition_steps):
        return gx.constant_schedule(init_value)
    begin = max(transition_begin, 0) if isinstance(transition_begin, int | float) else transition_begin
    return gx.polynomial_schedule(init_value, end_value, power, transition_steps, begin)
