"""Numbers in the state, where a training loop can read and set them."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules import clock
from gradtx._rules.checks import as_state
from gradtx._rules.protocol import Context, Late, Make, Place, Points, Rule, Signals, State, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._schedules.schedule import at_step, is_scheduled
from gradtx._value.call import Call, call_of
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Dtype, Link, Static
from gradtx._value.signatures import signature_of


class InjectHyperparamsState(NamedTuple):
    """The numbers of a transformation by name, its state, and the states of those numbers that have one."""

    hyperparams: dict[str, Any]
    inner_state: Any
    hyperparams_states: dict[str, Any]


@transformation
def with_hyperparams(inner: Link, names: Static = None, *, stateful: Any = None, dtype: Dtype = None) -> Late:
    """A transformation whose numbers are kept in its state, where they can be read and set.

        u ← inner(uₜ), with the numbers of ``state.hyperparams``

    A number that is set there holds from the next update on. A schedule writes its value of every update there, so what
    is set in its place does not last. ``names`` chooses some of the numbers; ``dtype`` is the one they have in the
    state. ``stateful`` maps names to schedules that depend on more than the step: ``schedule.init()``,
    ``schedule.update(state, **extra)`` and the value ``schedule(state, **extra)``, with the extra keywords of
    ``update``. In gradtx this is seldom needed: a transformation may itself be an argument of a compiled step, and
    `gradtx.GradientTransformation.replace` exchanges its numbers. State: a named tuple with ``hyperparams``, a
    dictionary, ``inner_state`` and ``hyperparams_states``. Raises `TransformationError`: a name that is no number of
    ``inner``.

    >>> from gradtx import sgd
    >>> tx = with_hyperparams(sgd(0.5))
    >>> state = tx.init(jnp.zeros(1))
    >>> state.hyperparams["learning_rate"] = jnp.array(2.0)
    >>> tx.update(jnp.array([1.0]), state)[0]
    Array([-2.], dtype=float32)
    """
    numbers, moving = _numbers_of(inner, names), dict(stateful or {})
    timed = any(is_scheduled(x) for x in numbers.values())

    def at(state: Any, step: Any) -> dict[str, Any]:
        return {name: at_step(x, step) if is_scheduled(x) else state[name] for name, x in numbers.items()}

    def current(found: dict[str, Any]) -> GradientTransformation:
        return inner.replace({name: _exact(x, numbers[name]) for name, x in found.items()})

    def rule(make: Make) -> Rule:
        started = within(inner.link_name, make)(inner)

        def init(params: Tree, context: Context) -> Any:
            found = {name: _stored(at_step(x, jnp.zeros([], jnp.int32)), dtype) for name, x in numbers.items()}
            states = {name: schedule.init() for name, schedule in moving.items()}
            found |= {name: _stored(schedule(states[name]), dtype) for name, schedule in moving.items()}
            inside = started._replace(timed=started.timed or timed)
            state = clock.start(inside, params, context.at(inner.link_name), nested=True)
            return InjectHyperparamsState(found, state, states)

        def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
            known, own = _taken_apart(state)
            own = as_state(own)
            step = clock.count_of(own)
            found = {name: _stored(x, dtype) for name, x in at(known, step).items()}
            states = dict(state.hyperparams_states)
            for name, schedule in moving.items():
                found[name] = _stored(schedule(states[name], **context.extra), dtype)
                states[name] = schedule.update(states[name], **context.extra)
            inside = within(inner.link_name, make)(current(found), step)
            inside = inside._replace(timed=inside.timed or timed)
            here = context._replace(path=(inner.link_name,), followed=False)
            after, new = within(inner.link_name, clock.tick)(inside, signals, own, here, step)
            return after, InjectHyperparamsState(found, new, states)

        def places(state: Any, step: Any) -> Iterator[Place]:
            known, own = _taken_apart(state)
            now = clock.count_of(own)
            found = current(at(known, now))
            yield Place(inner, own, now, found)
            yield from make(found, now).places(own, now)

        def moved(which: str) -> Callable[[Tree, State], Tree]:
            def point(params: Tree, state: State) -> Tree:
                known, own = _taken_apart(state)
                points = make(current(known), clock.count_of(own)).points
                return params if points is None else getattr(points, which)(params, own)

            return point

        points = Points(*map(moved, Points._fields)) if started.points else None
        aside = {"frozen": started.frozen, "untouched": started.untouched, "foreign": started.foreign}
        return Rule(init, update, points=points, places=places, **aside)

    return Late(rule)


def inject_hyperparams(
    inner_factory: Callable[..., Any], static_args: str | Iterable[str] = (), hyperparam_dtype: Any = None
) -> Callable[..., GradientTransformation]:
    """A factory whose transformations keep their numbers in the state, as Optax's function of that name makes it.

    ``inner_factory`` is a factory of gradtx, or any function that returns a transformation; its arguments that are
    numbers, arrays or functions of the step are then in ``state.hyperparams``, but for those in ``static_args``.
    ``hyperparam_dtype`` is the dtype they have there. See `with_hyperparams`, which takes a transformation instead.

    >>> from gradtx import chain, clip, sgd
    >>> @inject_hyperparams
    ... def optimizer(learning_rate, max_delta):
    ...     return chain(clip(max_delta), sgd(learning_rate))
    >>> tx = optimizer(learning_rate=0.5, max_delta=1.0)
    >>> tx.init(jnp.zeros(1)).hyperparams["learning_rate"]
    Array(0.5, dtype=float32)
    """
    static = (static_args,) if isinstance(static_args, str) else tuple(static_args)
    signature = signature_of(inner_factory)
    absent = [name for name in static if name not in signature.parameters]
    if absent:
        raise TransformationError(f"inject_hyperparams: static_args: {inner_factory} has no argument {absent[0]!r}")

    def made(*args: Any, **kwargs: Any) -> GradientTransformation:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        stateful = {name: x for name, x in given.items() if name not in static and _is_stateful(x)}
        given.update({name: jnp.asarray(x(x.init()), float) for name, x in stateful.items()})
        call = call_of(inner_factory)
        inner = call(*bound.args, **bound.kwargs) if call else _as_value(inner_factory, static, bound)
        names = tuple(name for name in _numbers_of(inner, None) if name not in static)
        return with_hyperparams(inner, names, stateful=stateful or None, dtype=hyperparam_dtype)

    return made


inject_stateful_hyperparams = inject_hyperparams
"""Optax's other name of `inject_hyperparams`."""


def _as_value(function: Any, static: tuple[str, ...], bound: inspect.BoundArguments) -> Any:
    """The call of a plain function as a transformation: its numbers and schedules are numbers, the rest is static."""
    given, signature = bound.arguments, bound.signature
    kinds = inspect.Parameter
    numbers = [name for name, x in given.items() if name not in static and _is_number(x)]
    order = [*numbers, *(name for name in given if name not in numbers)]
    parameters = [kinds(name, kinds.POSITIONAL_OR_KEYWORD if name in numbers else kinds.KEYWORD_ONLY) for name in order]

    def body(**arguments: Any) -> Any:
        again = inspect.BoundArguments(signature, {name: arguments[name] for name in given})
        return function(*again.args, **again.kwargs)

    body.__name__ = getattr(function, "__name__", "optimizer")
    body.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return Call(body, GradientTransformation)(**given)


def _is_stateful(x: Any) -> bool:
    return callable(x) and callable(getattr(x, "init", None)) and callable(getattr(x, "update", None))


def _is_number(x: Any) -> bool:
    if isinstance(x, bool | np.bool_ | str) or x is None:
        return False
    return isinstance(x, int | float | np.generic | np.ndarray | jax.Array) or callable(x)


def _numbers_of(inner: GradientTransformation, names: Iterable[str] | None) -> dict[str, Any]:
    """The numbers of the call, by name; tuples and parts that are transformations stay as they are."""
    found = {}
    for name, parameter in inner.call.parameters.items():
        x = inner.given[name]
        if parameter.kind == "number" and x is not None:
            found[name] = x
    unknown = [name for name in names or () if name not in found]
    if unknown:
        raise TransformationError(f"names: {inner.link_name} has no number {unknown[0]!r}; it has {', '.join(found)}")
    return found if names is None else {name: found[name] for name in names}


def _stored(x: Any, dtype: Any) -> jax.Array:
    """A number as an array of its own."""
    x = x.near if isinstance(x, SplitDecay) else x
    own = x.dtype if hasattr(x, "dtype") else jnp.result_type(float)
    return jnp.array(x, own if dtype is None else dtype)


def _exact(x: Any, given: Any) -> Any:
    """What is in the state; a decay that nobody has set keeps the digits that float32 does not hold."""
    if not isinstance(given, SplitDecay):
        return x
    return SplitDecay(x, jnp.where(x == given.near, given.rest, 0))


def _taken_apart(state: Any) -> tuple[dict[str, Any], Any]:
    known = getattr(state, "hyperparams", None)
    if known is None:
        raise TransformationError("the state has no 'hyperparams': it was made by another transformation")
    return known, state.inner_state
