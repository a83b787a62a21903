"""Functions with Optax's signatures, where those of gradtx differ; the rest is gradtx's own."""

from typing import Any

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


def hvp(loss: Any, v: Any, params: Any, inputs: Any, targets: Any) -> Any:
    """The Hessian of ``loss(params, inputs, targets)`` times a flat vector, flat: `gradtx.curvature.hvp` on vectors."""
    flat, unravel = ravel_pytree(params)
    return gx.curvature.hvp(lambda x: loss(unravel(x), inputs, targets), flat, v)
