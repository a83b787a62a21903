"""A transformation of gradtx with its state in the form that Optax's counterpart has."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._interop.layouts import layout_of, separated
from gradtx._interop.optax_states import read, written
from gradtx._interop.pieces import Layout, Piece
from gradtx._optax.base import is_placeholder
from gradtx._optax.combining import serial
from gradtx._rules import clock
from gradtx._rules.protocol import Context, Late, Make, Place, Points, Rule, Signals, State, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Link, OfStep


class WithClock(NamedTuple):
    """The state of what has a count or a key here that Optax's does not have."""

    state: Any
    clock: dict[str, Any]


def like_optax(body: Callable[..., Any]) -> Any:
    """A factory with Optax's signature: ``body`` returns the transformation of gradtx that computes it.

    Its state has the form of Optax's, it sees one signal (the update is the gradient), and its numbers are not checked.
    Every number may be a schedule, which is read at the clock of that transformation.
    """

    @functools.wraps(body)
    def shaped_body(**given: Any) -> Any:
        return shaped(body(**{name: _free(x) for name, x in given.items()}))

    signature = inspect.signature(body)
    late = [p.replace(annotation=OfStep) if p.annotation is p.empty else p for p in signature.parameters.values()]
    shaped_body.__signature__ = signature.replace(parameters=late)  # pyright: ignore[reportAttributeAccessIssue]
    return transformation(shaped_body)


def _free(x: Any) -> Any:
    """A number that our own factory takes as it is: the ranges of its arguments are not Optax's."""
    return jnp.asarray(x) if type(x) is float and not 0 <= x < 1 else x


def shaped(link: GradientTransformation) -> Late:
    """The rule of a link, with its state in Optax's form; where Optax keeps several counts, each is a clock."""
    layout = layout_of(link)
    paths = [path for leaf in jax.tree.leaves(layout) for path in Piece.of(leaf).paths]
    parts = separated(link) if paths.count("count") > 1 else None
    if parts is None:
        return _alone(link, layout)
    return serial(tuple(in_form(part) for part in parts), lambda states: tuple(states.values()))


@transformation
def in_form(inner: Link) -> Late:
    """A transformation of gradtx with its state in Optax's form; several links may be one of Optax's."""
    layout = layout_of(inner)
    return _alone(inner, layout[0] if inner.call.associative and len(layout) == 1 else layout)


def _alone(link: GradientTransformation, layout: Layout) -> Late:
    paths = {path for leaf in jax.tree.leaves(layout) for path in Piece.of(leaf).paths}
    counted, keyed, whole = "count" in paths, "key" in paths, "" in paths

    def rule(make: Make) -> Rule:
        def at(step: Any) -> Rule:
            made = within(link.link_name, make)(link, jnp.zeros([], jnp.int32) if step is None else step)
            return made._replace(timed=made.timed or counted)

        started = at(None)
        beside = [] if whole else [name for name, kept, own in _clocks(started, counted, keyed) if kept and not own]

        def init(params: Tree, context: Context) -> Any:
            params = params if is_placeholder(params) else in_floating_point(params)
            state = within(link.link_name, clock.start)(started, params, context, nested=True)
            return _out(layout, state, beside)

        def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
            own = _back(layout, state, beside)
            step = clock.count_of(own)
            u = in_floating_point(signals.updates)
            here = context._replace(path=(), followed=False, params=in_floating_point(context.params))
            after, new = within(link.link_name, clock.tick)(at(step), Signals(u, u), own, here, step)
            return signals.then(after.updates, conditions=after.updates is after.gradient), _out(layout, new, beside)

        def places(state: Any, step: Any) -> Iterator[Place]:
            own = _back(layout, state, beside)
            yield Place(link, own, clock.count_of(own))
            yield from at(clock.count_of(own)).places(own, clock.count_of(own))

        def moved(which: str) -> Callable[[Tree, State], Tree]:
            def point(params: Tree, state: State) -> Tree:
                own = _back(layout, state, beside)
                return getattr(at(clock.count_of(own)).points, which)(params, own)

            return point

        points = Points(*map(moved, Points._fields)) if started.points else None
        return Rule(init, update, points=points, places=places, foreign=True, own_form=True)

    return Late(rule)


def in_floating_point(tree: Tree) -> Tree:
    """The tree with whole numbers as floating-point ones, which Optax takes, too."""
    whole = lambda x: hasattr(x, "dtype") and (jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool)  # noqa: E731
    return jax.tree.map(lambda x: x.astype(float) if whole(x) else x, tree)


def _clocks(rule: Rule, counted: bool, keyed: bool) -> list[tuple[str, bool, bool]]:
    return [("count", rule.timed, counted), ("key", bool(rule.seeds), keyed)]


def _out(layout: Layout, state: Any, beside: list[str]) -> Any:
    made = written(layout, state)
    return WithClock(made, {name: state[name] for name in beside}) if beside else made


def _back(layout: Layout, state: Any, beside: list[str]) -> Any:
    if not beside and not jax.tree.leaves(layout):  # of any empty form
        return {}
    try:
        return read(layout, state.state) | state.clock if beside else read(layout, state)
    except ValueError:
        raise TransformationError(
            f"it was given the state of something else, {type(state).__name__}: gradtx.interop.from_optax_state reads "
            "the states of Optax itself"
        ) from None
