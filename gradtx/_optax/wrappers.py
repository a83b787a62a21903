"""Wrappers with Optax's signatures and states."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx import tree as trees
from gradtx._interop.optax_types import LookaheadParams, LookaheadState
from gradtx._optax.base import GradientTransformationExtraArgs, is_placeholder
from gradtx._optax.shaped import like_optax
from gradtx._rules.foreign import takes_keywords
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.marks import Link, OfStep, Static


@like_optax
def _multi_steps(opt: Link, every_k_schedule: OfStep, *, use_grad_mean=True, should_skip_update_fn: Any = None):
    given = {"use_grad_mean": use_grad_mean, "should_skip_update_fn": should_skip_update_fn}
    return gx.MultiSteps(opt, every_k_schedule, **given)


class MultiSteps:
    """Gradient accumulation: one step of ``opt`` for the mean of k gradients."""

    def __init__(
        self,
        opt: Any,
        every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: Any = None,
        *,
        accumulator_dtype: Any = None,
    ):
        del accumulator_dtype  # in float32 at least
        given = {"use_grad_mean": use_grad_mean, "should_skip_update_fn": should_skip_update_fn}
        self._tx: GradientTransformation = _multi_steps(opt, every_k_schedule, **given)

    @property
    def inner_opt(self) -> Any:
        """The transformation inside."""
        return self._tx.opt

    def init(self, params: Any) -> Any:
        """The state before the first gradient."""
        return self._tx.init(params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        """Take in a gradient; the update is zero until the last of the k is in."""
        return self._tx.update(updates, state, params, **extra_args)

    def has_updated(self, state: Any) -> jax.Array:
        """Whether the last update was a step of the transformation inside."""
        return jnp.logical_and(state.mini_step == 0, state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """The same as a transformation."""
        return self._tx


@like_optax
def apply_if_finite(inner: Link, max_consecutive_errors):
    """A guard that skips gradients that are not finite, unless there are too many in a row."""
    return gx.apply_if_finite(inner, max_consecutive_errors)


@like_optax
def conditionally_transform(inner: Link, should_transform_fn: Static, forward_extra_args: Static = False):
    """A transformation of the updates at which a function says so; the others pass through."""
    return gx.conditionally_transform(inner, should_transform_fn, forward_extra_args)


@like_optax
def conditionally_mask(inner: Link, should_transform_fn: Static, forward_extra_args: Static = False):
    """A transformation of the updates at which a function says so; elsewhere there is no update."""
    return gx.conditionally_mask(inner, should_transform_fn, forward_extra_args)


def lookahead(fast_optimizer: Any, sync_period: Any, slow_step_size: Any, reset_state: bool = False) -> Any:
    """Fast and slow parameters in a pair (`LookaheadParams`); `gradtx.lookahead` trains the parameters themselves."""
    if not isinstance(sync_period, jax.Array) and sync_period < 1:
        raise ValueError(f"lookahead: sync_period: expected 1 or more, found {sync_period}")
    extra = takes_keywords(fast_optimizer.update)

    def init(params: Any) -> Any:
        fast = params if is_placeholder(params) else getattr(params, "fast", None)
        if fast is None:
            raise ValueError("lookahead: expected a pair of parameters: optax.LookaheadParams.init_synced(params)")
        return LookaheadState(fast_optimizer.init(fast), jnp.zeros([], jnp.int32))

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        if params is None:
            raise ValueError("lookahead: it needs the parameters: update(updates, state, params)")
        new, inner = fast_optimizer.update(updates, state.fast_state, params.fast, **(extra_args if extra else {}))
        due = state.steps_since_sync == sync_period - 1
        ahead = trees.map(lambda fast, u, slow: fast + u - slow, params.fast, new, params.slow)
        slow = trees.map(lambda d: jnp.where(due, slow_step_size * d, 0).astype(d.dtype), ahead)
        fast = trees.map(lambda u, d, s: jnp.where(due, u - d + s, u), new, ahead, slow)
        if reset_state:
            started = fast_optimizer.init(params.fast)
            inner = jax.tree.map(lambda a, b: jnp.where(due, a, b), started, inner)
        return LookaheadParams(fast, slow), LookaheadState(inner, (state.steps_since_sync + 1) % sync_period)

    return GradientTransformationExtraArgs(init, update)


@like_optax
def snapshot(measure_name: Static, measure: Static):
    """A measurement of every update, kept in the state under a name."""
    return gx.snapshot(measure_name, measure)


@like_optax
def stateless(f: Static):
    """A function of updates and parameters as a transformation."""
    return gx.stateless(f)


@like_optax
def stateless_with_tree_map(f: Static):
    """A function of an array and its parameter as a transformation, leaf by leaf."""
    return gx.stateless_with_tree_map(f)
