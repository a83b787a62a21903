"""Measurements: what links can tell of an update, kept where the user asks for it."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from gradtx._rules.protocol import (
    MEASUREMENTS,
    Context,
    Late,
    Make,
    Place,
    Points,
    Probe,
    Rule,
    Signals,
    State,
    Tree,
    is_empty,
)
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Link


@transformation
def measured(inner: Link, *, only: str | tuple[str, ...] = "*") -> Late:
    """A transformation that keeps what its links measure, beside its state.

        u ← inner(uₜ);   mₜ, the measurements of this update, in the state

    Links name what they can tell (``measure=`` of `gradtx.per_leaf`): `clip_by_global_norm` the norm before the clip,
    `clip` the share that it cuts off. Nothing of it is computed until a transformation is measured, and measuring
    changes no update. `gradtx.measurements` reads them by their dotted names. ``only`` chooses some by one pattern
    (``"*.norm"``) or several. The structure is fixed, so it runs in ``scan``; before the first update all measurements
    are 0. Inside `accumulate` and guards, they are those of the last step that was taken.
    State: ``inner``; ``measurements``, one float32 for each name, or a tree of them for what is measured by leaf.

    Raises `TransformationError`: a pattern that matches nothing; the error lists what there is.

    >>> import jax.numpy as jnp
    >>> from gradtx import chain, clip_by_global_norm, sgd
    >>> tx = measured(chain(clip_by_global_norm(1.0), sgd(0.1)))
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> float(measurements(state)["clip_by_global_norm.norm"])
    5.0
    """
    patterns = (only,) if isinstance(only, str) else tuple(only)
    seen: dict[str, bool] = {}

    def wanted(name: str) -> bool:
        seen[name] = any(fnmatchcase(name, pattern) for pattern in patterns)
        return seen[name]

    def rule(make: Make) -> Rule:
        inside = within(inner.link_name, make)(inner)

        def init(params: Tree, context: Context) -> State:
            probe, path = Probe.of(wanted), _path(context.path, inner)
            state = within(inner.link_name, inside.init)(params, context._replace(path=path, probe=probe))
            found = probe.blank(path, inside, params)
            for pattern in patterns:
                if pattern != "*" and not any(fnmatchcase(name, pattern) for name in seen):
                    there = f"there are {', '.join(seen)}" if seen else "no link in it measures anything"
                    raise TransformationError(f"only: nothing is called {pattern!r}; {there}")
            return {**({"inner": state} if not is_empty(state) else {}), MEASUREMENTS: found}

        def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
            probe, path = Probe.of(wanted), _path(context.path, inner)
            step = within(inner.link_name, inside.update)
            after, new = step(signals, state.get("inner", {}), context._replace(path=path, probe=probe))
            found = probe.filled(path, inside, signals.updates)
            return after, {**({"inner": new} if not is_empty(new) else {}), MEASUREMENTS: found}

        def places(state: Any, step: Any) -> Iterator[Place]:
            own = state.get("inner", {}) if isinstance(state, Mapping) else {}
            yield Place(inner, own, step)
            yield from inside.places(own, step)

        def moved(which: str) -> Any:
            return lambda params, state: getattr(inside.points, which)(params, state.get("inner", {}))

        points = Points(*map(moved, Points._fields)) if inside.points else None
        return inside._replace(init=init, update=update, leaf=None, points=points, places=places, measures={})

    return Late(rule)


def _path(path: tuple[str, ...], inner: Any) -> tuple[str, ...]:
    """The path of ``inner``, as if it were not measured, so that it draws the same random numbers."""
    number = re.fullmatch(r"measured(_\d+)?", path[-1]) if path else None
    if number is None or (inner.call.associative and number[1]):
        return path
    return path[:-1] if inner.call.associative else (*path[:-1], inner.link_name + (number[1] or ""))


def measurements(state: Any) -> dict[str, Any]:
    """What `gradtx.measured` has kept in a state, by dotted name: numbers, or trees with one number per leaf.

    Raises `TransformationError`: a state in which nothing is measured.

    >>> from gradtx import clip, sgd
    >>> measurements(measured(clip(1.0)).init({"w": 0.0}))
    {'clip.rate': {'w': Array(0., dtype=float32)}}
    """
    found = list(_found(state))
    if not found:
        raise TransformationError("measurements: nothing in this state is measured: write measured(...) around a link")
    return {name: value for each in found for name, value in each.items()}


def _found(state: Any) -> Iterator[dict[str, Any]]:
    if isinstance(state, Mapping):
        for name, entry in state.items():
            if name == MEASUREMENTS:
                yield entry
            else:
                yield from _found(entry)
