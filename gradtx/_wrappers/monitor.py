"""Measurements by functions of the update, kept in the state with a structure that never changes."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from gradtx._rules.fields import narrowed
from gradtx._rules.protocol import (
    MEASUREMENTS,
    Context,
    Late,
    Make,
    NamedRule,
    Rule,
    Signals,
    State,
    Tree,
    combined,
    is_empty,
    widened,
)
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import within
from gradtx._value.floating import ewma, real_dtype, wide
from gradtx._value.marks import Decay, Dtype, Kept, Static


@transformation
def snapshot(measure_name: Static, measure: Static) -> Rule:
    """The last measurement of the update; the update passes through.

        u ← uₜ;   mₜ = measure(uₜ), in the state

    ``measure(updates)`` returns an array or a tree of arrays. State: ``measurement``, a mapping from ``measure_name``
    to m; before the first update it is that of the parameters. `gradtx.tree.get` finds it by its name.

    >>> from gradtx import tree
    >>> tx = snapshot("norm", tree.norm)
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> float(tree.get(state, "norm"))
    5.0
    """

    def init(params: Tree) -> Any:
        return {"measurement": {measure_name: jax.tree.map(_array, measure(params))}}

    def update(updates: Tree, state: Any) -> Any:
        new = {"measurement": {measure_name: jax.tree.map(_array, measure(updates))}}
        return updates, narrowed(new, state)

    return whole_tree(update, init=init, conditions=True, packs=True)


@transformation
def measurement(measure: Static) -> Rule:
    """A function of the update, as `monitor` takes it: its "update" is the measurement."""

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        return signals.then(measure(widened(signals.updates)), conditions=False), state

    return Rule(lambda params, context: {}, update)


@transformation
def measure_with_ema(measure: Static, decay: Decay, *, debias: bool = True, accumulator_dtype: Dtype = None) -> Rule:
    """A measurement for `monitor`, as an exponentially weighted moving average.

        aₜ = βaₜ₋₁ + (1 − β) measure(uₜ);   the measurement is aₜ/(1 − βᵗ), or aₜ without ``debias``

    β is ``decay``. The trap: it is no link of a chain, since what it returns as an update is the measurement. State:
    ``ema`` (aₜ), in ``accumulator_dtype`` or in float32 at least.

    >>> from gradtx import tree
    >>> tx = monitor({"norm": measure_with_ema(tree.norm, 0.5)})
    >>> state = tx.init(jnp.zeros(2))
    >>> for gradient in ([3.0, 4.0], [6.0, 8.0]):
    ...     _, state = tx.update(jnp.array(gradient), state)
    >>> round(float(tree.get(state, "norm")), 4)  # (2.5/2 + 10/2)/(1 − 1/4)
    8.3333
    """

    def measured(tree: Tree) -> Tree:
        return jax.tree.map(lambda x: wide(_floating(x)), measure(widened(tree)))

    def init(params: Tree, context: Context) -> State:
        like = jax.eval_shape(measured, params)
        return {"ema": jax.tree.map(lambda x: jnp.zeros(x.shape, accumulator_dtype or x.dtype), like)}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        def next_average(m: Any, average: Any) -> Any:
            real = real_dtype(m.dtype, average.dtype)
            return ewma(decay, wide(average, real), wide(m, real))

        def debiased(average: Any) -> Any:
            real = real_dtype(average.dtype)
            return average / jnp.asarray(1 - decay ** context.t.astype(real)).astype(average.dtype)

        new = jax.tree.map(next_average, measured(signals.updates), state["ema"])
        found = jax.tree.map(debiased, new) if debias else new
        return signals.then(found, conditions=False), {"ema": narrowed(new, state["ema"])}

    return Rule(init, update, timed=debias)


def _as_link(x: Any) -> Any:
    """A measure of `monitor` as a link: a function becomes one."""
    return measurement(x) if callable(x) and not hasattr(x, "init") else x


Measures = Annotated[Any, Kept("group", _as_link)]


@transformation
def monitor(measures: Measures) -> Late:
    """Measurements of the update by name, kept in the state; the update passes through.

        u ← uₜ;   mₜ = measure(uₜ) for each of the measures, in the state

    ``measures`` maps names to functions of the updates, or to `measure_with_ema`; also to anything with ``init`` and
    ``update`` whose update is the measurement. A measurement is an array or a tree of arrays. The structure of the
    state is fixed, so it runs in ``scan`` (Optax has no measurements before the first update; here they are zeros).
    `gradtx.measurements` reads them, and `gradtx.tree.get` one by its name; see `gradtx.measured` for what links
    themselves can tell. State: ``measurements``; ``measure_states``, if a measure has a state.

    >>> from gradtx import chain, clip, measurements, tree
    >>> tx = chain(monitor({"norm": tree.norm, "largest": tree.max}), clip(1.0))
    >>> u, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> u, float(measurements(state)["norm"]), float(measurements(state)["largest"])
    (Array([1., 1.], dtype=float32), 5.0, 4.0)
    """

    def rule(make: Make) -> Rule:
        parts = [NamedRule(name, within(name, make)(link), link) for name, link in measures.items()]

        def measured(signals: Signals, states: Any, context: Context) -> tuple[dict[str, Any], tuple[Any, ...]]:
            found, after = {}, []
            for (name, part, _), own in zip(parts, states, strict=True):
                made, new = within(name, part.update)(signals, own, context.at(name))
                found[name] = jax.tree.map(_array, made.updates)
                after.append(new)
            return found, tuple(after)

        def kept(found: Any, states: Any) -> State:
            return {MEASUREMENTS: found, **({} if all(map(is_empty, states)) else {"measure_states": states})}

        def init(params: Tree, context: Context) -> State:
            states = tuple(part.init(params, context.at(name)) for name, part, _ in parts)
            key = jax.random.key(0) if context.key is None else context.key
            first = context._replace(params=params, t=jnp.ones([], jnp.int32), key=key, probe=None)
            kinds, _ = jax.eval_shape(lambda: measured(Signals(params, params), states, first))
            return kept(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), kinds), states)

        def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
            states = state.get("measure_states", ({},) * len(parts))
            found, after = measured(signals, states, context)
            return signals, kept(narrowed(found, state[MEASUREMENTS]), after)

        return Rule(init, update, **combined(parts))

    return Late(rule)


def _array(x: Any) -> jax.Array:
    """An array, not weakly typed."""
    x = jnp.asarray(x)
    return x.astype(x.dtype)


def _floating(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.zeros([]).dtype)
