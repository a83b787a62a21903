"""What Optax calls a transformation: a pair of functions. Ours count as one, too."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from gradtx._interop.optax_types import EmptyState
from gradtx._rules import transformation as ours

ArrayTree = Any
Params = Updates = OptState = ArrayTree
Schedule = Callable[[Any], Any]
ScalarOrSchedule = float | jax.Array | Schedule
MaskOrFn = Any
NO_PARAMS_MSG = (
    "this transformation needs the parameters: call update(updates, state, params), with params as the third argument"
)


class TransformInitFn(Protocol):
    """``init(params) -> state``."""

    def __call__(self, params: Params) -> OptState: ...


class TransformUpdateFn(Protocol):
    """``update(updates, state, params) -> (updates, state)``."""

    def __call__(self, updates: Updates, state: OptState, params: Params | None = None) -> tuple[Updates, OptState]: ...


class TransformUpdateExtraArgsFn(Protocol):
    """``update`` that takes extra keywords."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]: ...


class ShouldSkipUpdateFunction(Protocol):
    """Whether to skip a gradient, and what to remember of it (see ``MultiSteps``)."""

    def __call__(self, updates: Updates, gradient_step: jax.Array, params: Params | None) -> tuple[jax.Array, Any]: ...


class ConditionFn(Protocol):
    """Whether to apply a transformation at a step."""

    def __call__(self, step: jax.Array, **extra_args: Any) -> Any: ...


class StatefulSchedule(Protocol):
    """A schedule with a state of its own, as ``inject_stateful_hyperparams`` takes it."""

    def init(self) -> Any: ...

    def update(self, state: Any, **extra_args: Any) -> Any: ...

    def __call__(self, state: Any, **extra_args: Any) -> Any: ...


class _Pair(NamedTuple):
    init: Any
    update: Any


class _Kind(type):
    """A transformation of gradtx is an instance, too."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, ours.GradientTransformation) or super().__instancecheck__(x)


class GradientTransformation(_Pair, metaclass=_Kind):
    """``GradientTransformation(init, update)``: a transformation from two functions of one's own."""


class GradientTransformationExtraArgs(GradientTransformation):
    """The same; its ``update`` takes extra keywords."""


def with_extra_args_support(tx: Any) -> Any:
    """The transformation with an ``update`` that takes extra keywords, and drops them if it did not before."""
    if isinstance(tx, GradientTransformationExtraArgs):
        return tx

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        del extra_args
        return tx.update(updates, state, params)

    return GradientTransformationExtraArgs(tx.init, update)


def is_placeholder(params: Any) -> bool:
    """Whether it only stands for parameters, as ``tree_map_params`` lets it: an object of its own without leaves."""
    return params is not None and not isinstance(params, dict | list | tuple) and not jax.tree.leaves(params)


def init_empty_state(params: Params) -> EmptyState:
    """The state of what keeps none."""
    del params
    return EmptyState()
