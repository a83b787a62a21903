"""Wrappers: what happens before, instead of and after the step of an inner transformation."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules import clock
from gradtx._rules.checks import check_gradients, check_like
from gradtx._rules.fields import as_wide, entries_of, narrowed
from gradtx._rules.finite import Known
from gradtx._rules.packing import refuse_packed
from gradtx._rules.protocol import (
    MEASUREMENTS,
    Blank,
    Context,
    Late,
    Make,
    Names,
    Place,
    Points,
    Probe,
    Rule,
    Signals,
    State,
    Tree,
    asked_of,
    is_empty,
    one_number,
    widened,
)
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype, wide

REFUSED = {"param": "a wrapper is given the tree: ask for 'params'"}


def around(
    inner: Any,
    update: Callable[..., Any],
    *,
    init: Callable[..., State] | None = None,
    gradient_params: Callable[..., Tree] | None = None,
    eval_params: Callable[..., Tree] | None = None,
    every_step: bool = False,
    packs: bool = False,
    view: Callable[[Tree], Tree] | None = None,
    back: Callable[[Tree, Tree], Tree] | None = None,
    beside: Mapping[str, Any] = {},
    encode: Callable[..., State] | None = None,
    decode: Callable[[State], State] | None = None,
    seed: Any = None,
    measure: Mapping[str, Callable[..., Any]] | None = None,
) -> Late:
    """A rule that wraps another transformation.

    ``update(step, updates, state, *, <names>) -> (updates, state)``. ``step(updates)`` is one step of ``inner``: it
    returns its updates and its new state. Call it at most once along any path, also inside `jax.lax.cond`. The state
    of ``inner`` is the entry ``inner`` of ``state``; the returned state must have it too, new or unchanged. ``step``
    takes ``gradient=`` (the other signal, ``updates`` itself if it is not given), ``params=``, ``t=`` and other
    keywords, which replace those of the update. Names that may be asked for: those of `gradtx.whole_tree`,
    ``gradient``, ``params``, ``t``, ``key`` and extra keywords; ``dtypes``, the dtypes in which the parameters are
    kept; ``finite``, whether all numbers of the updates are finite, which is worked out once for all wrappers that see
    the same updates (``step(scaled, finite=finite)`` says that it holds for others).

    ``init(params)`` returns the wrapper's own entries of the state; it may ask for ``inner``, the state of ``inner``,
    and for ``dtypes``.
    ``gradient_params(params, state)`` and ``eval_params(params, state)`` get as ``params`` what ``inner`` has for them.

    Time: ``inner`` reads the count of its own steps, which is kept in its state. So schedules are right inside an
    accumulation or a guard, which skips some updates. A wrapper that steps ``inner`` at every update may say
    ``every_step=True``: then ``inner`` keeps no count and reads the clock outside. ``packs=True`` says that the
    wrapper treats every number by itself (see `gradtx.pack`). ``measure`` is as in `gradtx.whole_tree`.

    ``view(params)`` is what ``inner`` has for the parameters, if that is another tree: real and imaginary parts, or a
    projection. Then ``step`` takes and returns updates that are like it. ``back(seen, params)`` is the way back from
    there, for a point that ``inner`` has (see `gradtx.eval_params`); without it such points are not asked for. Leaves
    that ``inner`` freezes get updates of zeros, and count in norms outside.

    ``beside`` maps entries of the wrapper's own state to transformations that it runs by their ``init`` and ``update``,
    each with a clock of its own: an adversary, say. It tells `gradtx.hyperparameters` where they are.

    ``encode(inner)`` and ``decode(inner)`` convert the state of ``inner`` to another stored form and back, such as
    codes and scales, or another dtype. All functions that read this state, ``update`` too, get it decoded. ``encode``
    may ask for ``key``, with a default for the first state.

    A wrapper conditions gradients if ``inner`` does (see `gradtx.chain`).

    >>> import jax
    >>> from gradtx import Link, scale, transformation
    >>> @transformation
    ... def twice_as_far(inner: Link):
    ...     def update(step, updates, state):
    ...         updates, after = step(updates)
    ...         return jax.tree.map(lambda u: 2 * u, updates), state | {"inner": after}
    ...     return around(inner, update)
    >>> tx = twice_as_far(scale(-0.5))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-4.], dtype=float32)
    """
    names = Names.of(update, refuse=REFUSED)
    own = (encode or _as_it_is, decode or _as_it_is)
    wrapper = _Wrapper(inner, update, names, init, every_step, packs, measure or {}, own, (view, back), beside)

    def rule(make: Make) -> Rule:
        inside = wrapper.rule(make, None)
        random = "key" in names.all or wrapper.draws
        seeds = (0.0 if seed is None else seed,) if random else ()
        own = (gradient_params, eval_params)
        points = wrapper.points(make, *own) if inside.points is not None or any(own) else None
        return Rule(
            lambda params, context: wrapper.start(make, params, context),
            lambda signals, state, context: wrapper.step(make, signals, state, context),
            timed="t" in names.all or random or (every_step and inside.timed),
            frozen=inside.frozen if view is None else None,
            points=points,
            seeds=seeds + (inside.seeds if every_step else ()),
            measures=wrapper.measures(inside),
            places=lambda state, step: wrapper.places(make, state, step),
            foreign=inside.foreign,
        )

    return Late(rule)


class _Wrapper:
    """Runs a wrapper: hands ``step`` to the wrapper's ``update``, and keeps the state of ``inner``."""

    def __init__(
        self,
        inner: Any,
        update: Any,
        names: Names,
        init: Any,
        every_step: bool,
        packs: bool,
        measure: Mapping[str, Any],
        kept: tuple[Any, Any],
        seen: tuple[Any, Any],
        beside: Mapping[str, Any],
    ):
        self.inner, self.update, self.names, self.init = inner, update, names, init
        self.every_step, self.packs, self.measure = every_step, packs, measure
        self.encode, self.decode = kept
        self.moved, self.back = seen
        self.beside = beside
        self.asked_at_start = () if init is None else Names.of(init).all
        self.draws = "key" in Names.of(self.encode).all

    def rule(self, make: Make, step: Any) -> Rule:
        """The rule of ``inner`` at ``step``; None is the current step."""
        return within(getattr(self.inner, "link_name", "inner"), make)(self.inner, step)

    def view(self, params: Tree) -> Tree:
        """The parameters as ``inner`` has them."""
        return params if self.moved is None or params is None else self.moved(params)

    def start(self, make: Make, params: Tree, context: Context) -> State:
        """The initial state: that of ``inner``, with its clock if it has one, and the wrapper's own entries."""
        if not self.packs:
            refuse_packed(params, "it looks at whole leaves")
        given, params = params, self.view(params)
        inside, within_it = self.rule(make, jnp.zeros([], jnp.int32)), context.at("inner")
        if self.every_step:
            state = inside.init(params, within_it)
        else:
            probe = self.probe_inside(within_it)
            state = clock.start(inside, params, within_it._replace(probe=probe), nested=True)
            if probe is not None:
                state |= _kept(probe.blank((), inside, params))
        asked = {"inner": state, "dtypes": trees.map(lambda p: p.dtype, given)}
        asked = {name: x for name, x in asked.items() if name in self.asked_at_start}
        own = {} if self.init is None else self.init(widened(given), **asked)
        return {**({"inner": self.encode(state)} if not is_empty(state) else {}), **own}

    def inside(self, state: Any) -> State:
        """The state of ``inner``, decoded."""
        kept = state.get("inner", {}) if isinstance(state, Mapping) else {}
        return kept if is_empty(kept) else self.decode(kept)

    def step(self, make: Make, signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        """One update."""
        check_gradients(signals.updates, context.params)
        if not self.packs:
            refuse_packed(signals.updates, "it looks at whole leaves")
        updates = self._wide(signals.updates, context.params)
        before = self.inside(state)
        conditions: list[bool] = []
        seen = self.view(context.params)

        def step(
            updates: Tree,
            *,
            gradient: Tree = None,
            params: Tree = seen,
            t: Any = None,
            finite: Any = None,
            **extra: Any,
        ) -> tuple[Tree, State]:
            within_it = context.at("inner")._replace(params=params, extra={**context.extra, **extra}, followed=False)
            within_it = within_it._replace(known=known if finite is None else Known(updates, finite))
            both = Signals(updates, updates if gradient is None else gradient)
            after, new = self._inside(make, both, before, within_it, t)
            conditions.append(after.updates is after.gradient)
            return trees.map(_in_dtype, after.updates, updates), new

        given = asked_of(self.names, signals, context, updates)
        known = Known(updates, given["finite"]) if "finite" in given else context.known
        if "params" in given:
            given["params"] = as_wide(given["params"], updates)
        own = {name: as_wide(entry, updates) for name, entry in state.items() if name != "inner"}
        with entries_of(state):
            new, after = self.update(step, updates, {**own, "inner": before}, **given)
            if not conditions:  # under `jax.disable_jit` a condition ran one branch: what does the step do in another?
                measuring, context = context, context.unseen()
                with jax.disable_jit(False):
                    jax.eval_shape(lambda: self.update(step, updates, {**own, "inner": before}, **given)[0])
                context = measuring
        check_like(new, updates)
        if "inner" not in after:
            raise TransformationError(
                "expected the state that is returned to have 'inner', the state of what is inside"
            )
        key = {"key": context.own_key()} if self.draws else {}
        inner = {} if is_empty(after["inner"]) else {"inner": self.encode(after["inner"], **key)}
        own = {name: narrowed(x, state[name]) if name in state else x for name, x in after.items() if name != "inner"}
        after = {**inner, **own}
        context.measured(self.measure, updates, new, after)
        return signals.then(new, conditions=all(conditions)), after

    def _wide(self, updates: Tree, params: Tree) -> Tree:
        """The updates in the precision of the result, so that the branches of a `jax.lax.cond` agree."""
        if params is None:
            return widened(updates)
        return trees.map(lambda u, p: wide(u, real_dtype(u.dtype, p.dtype)), updates, params)

    def _inside(self, make: Make, signals: Signals, state: State, context: Context, t: Any) -> tuple[Signals, State]:
        name = getattr(self.inner, "link_name", "inner")
        if self.every_step:
            rule = self.rule(make, None if t is None else t - 1)
            return within(name, rule.update)(signals, state, context if t is None else context._replace(t=t))
        now = clock.count_of(state) if t is None else t - 1
        rule = self.rule(make, jnp.zeros([], jnp.int32) if now is None else now)
        probe = self.probe_inside(context)
        after, new = within(name, clock.tick)(rule, signals, state, context._replace(path=(), probe=probe), now)
        return after, new if probe is None else new | _kept(probe.filled((), rule, signals.updates))

    def probe_inside(self, context: Context) -> Probe | None:
        """The probe for measurements inside ``inner``; None if none are asked for."""
        probe = context.probe
        return None if probe is None else Probe.of(probe.wanted, (*probe.prefix, *context.path))

    def measures(self, inside: Rule) -> dict[str, Blank]:
        """What is measured at every update: by the wrapper, and inside ``inner`` if that has no clock of its own."""
        inner = inside.measures.items() if self.every_step else ()
        found = {f"inner.{name}": lambda params, of=of: of(self.view(params)) for name, of in inner}
        return found | dict.fromkeys(self.measure, one_number)

    def places(self, make: Make, state: Any, step: Any) -> Iterator[Place]:
        """``inner`` and what is beside it with their states and steps, and the links inside them."""
        own = self.inside(state)
        entries = state if isinstance(state, Mapping) else {}
        others = [(link, entries.get(name, {})) for name, link in self.beside.items()]
        placed = [(self.inner, own, step if self.every_step else clock.count_of(own))]
        placed += [(link, entry, clock.count_of(entry)) for link, entry in others]
        for link, entry, now in placed:
            yield Place(link, entry, now)
            yield from make(link, jnp.zeros([], jnp.int32) if now is None else now).places(entry, now)

    def points(self, make: Make, gradient_params: Any, eval_params: Any) -> Points:
        """The points of ``inner``, and from there those of the wrapper."""

        def moved(which: str, own: Any) -> Any:
            def point(params: Tree, state: State) -> Tree:
                kept = self.inside(state)
                now = None if self.every_step else clock.count_of(kept)
                points = self.rule(make, now).points
                at = params if points is None else self.point(getattr(points, which), params, kept)
                seen = {**state, "inner": kept}
                return at if own is None else trees.cast_like(own(widened(at), seen), params)

            return point

        return Points(moved("gradient_params", gradient_params), moved("eval_params", eval_params))

    def point(self, inner: Any, params: Tree, kept: State) -> Tree:
        """A point of ``inner``, as a tree like the parameters."""
        if self.moved is None:
            return inner(params, kept)
        return params if self.back is None else self.back(inner(self.view(params), kept), params)


def _in_dtype(u: Any, like: Any) -> Any:
    return u.astype(like.dtype) if jnp.iscomplexobj(u) == jnp.iscomplexobj(like) and u.dtype != like.dtype else u


def _kept(measurements: dict[str, Any]) -> State:
    return {MEASUREMENTS: measurements} if measurements else {}


def _as_it_is(state: State) -> State:
    return state
