"""Numbers in the state, as Optax's ``inject_hyperparams`` keeps them."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._interop.optax_types import InjectStatefulHyperparamsState, WrappedScheduleState
from gradtx._optax.base import GradientTransformationExtraArgs
from gradtx._rules.clock import following
from gradtx._rules.foreign import takes_keywords
from gradtx._value.signatures import signature_of


class WrappedSchedule(NamedTuple):
    """A schedule as one with a state: the count of its calls."""

    schedule_fn: Callable[[Any], Any]

    def init(self) -> Any:
        """The state before the first call."""
        return WrappedScheduleState(jnp.zeros([], jnp.int32))

    def update(self, state: Any, **extra_args: Any) -> Any:
        """The state after a call."""
        del extra_args
        return WrappedScheduleState(following(state.count))

    def __call__(self, state: Any, **extra_args: Any) -> Any:
        """The value."""
        del extra_args
        return self.schedule_fn(state.count)


def inject_hyperparams(
    inner_factory: Callable[..., Any], static_args: str | Iterable[str] = (), hyperparam_dtype: Any = None
) -> Callable[..., Any]:
    """A factory whose transformations keep their numbers in the state, where they can be read and set.

    Numbers, arrays, schedules and stateful schedules among the arguments of ``inner_factory`` are in
    ``state.hyperparams``, but for those in ``static_args``; at each update the transformation is made from them.
    """
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = signature_of(inner_factory)
    absent = static - set(signature.parameters)
    if absent:
        raise ValueError(f"static_args: {inner_factory} has no argument {sorted(absent)[0]!r}")

    @functools.wraps(inner_factory)
    def made(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return _injected(inner_factory, static, hyperparam_dtype, bound)

    return made


inject_stateful_hyperparams = inject_hyperparams


def _injected(factory: Callable[..., Any], static: set[str], dtype: Any, bound: inspect.BoundArguments) -> Any:
    given: dict[str, Any] = {}
    for name, x in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind == inspect.Parameter.VAR_KEYWORD:
            given |= x
        elif kind == inspect.Parameter.VAR_POSITIONAL:
            raise ValueError(f"inject_hyperparams: a factory with *{name} has no names for its numbers")
        else:
            given[name] = x
    schedules = {n: _stateful(x) for n, x in given.items() if n not in static and (_is_stateful(x) or callable(x))}
    numbers = {n: x for n, x in given.items() if n not in {*static, *schedules} and _is_number(x)}
    others = {n: x for n, x in given.items() if n not in {*schedules, *numbers}}
    by_position = [n for n, p in bound.signature.parameters.items() if p.kind == p.POSITIONAL_ONLY]

    def inner(hyperparams: dict[str, Any]) -> Any:
        every = {**others, **hyperparams}
        return factory(*(every.pop(name) for name in by_position), **every)

    def stored(x: Any) -> jax.Array:
        x = jnp.asarray(x, dtype) if dtype is not None else jnp.asarray(x)
        return x.astype(x.dtype)

    def init(params: Any) -> Any:
        states = {name: schedule.init() for name, schedule in schedules.items()}
        found = {name: stored(x) for name, x in numbers.items()}
        found |= {name: stored(schedule(states[name])) for name, schedule in schedules.items()}
        return InjectStatefulHyperparamsState(jnp.zeros([], jnp.int32), found, states, inner(found).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        found = {name: stored(x) if name in numbers else x for name, x in state.hyperparams.items()}
        for name, schedule in schedules.items():
            found[name] = stored(schedule(state.hyperparams_states[name], **extra_args))
        states = {
            name: schedule.update(state.hyperparams_states[name], **extra_args) for name, schedule in schedules.items()
        }
        tx = inner(found)
        extra = extra_args if takes_keywords(tx.update) else {}
        updates, after = tx.update(updates, state.inner_state, params, **extra)
        return updates, InjectStatefulHyperparamsState(following(state.count), found, states, after)

    return GradientTransformationExtraArgs(init, update)


def _is_stateful(x: Any) -> bool:
    return hasattr(x, "init") and hasattr(x, "update") and callable(x)


def _stateful(x: Any) -> Any:
    return x if _is_stateful(x) else WrappedSchedule(x)


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | np.generic | np.ndarray | jax.Array) and not isinstance(x, bool | np.bool_)
