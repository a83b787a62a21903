"""The clock of a scope: one count, and one random key where a link draws at random.

The outermost scope has a clock, and so has a transformation that a wrapper steps at another pace.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.protocol import Context, Rule, Signals, State, Tree, key_at
from gradtx._value.errors import TransformationError

TOP = 2**31 - 1


def start(rule: Rule, params: Tree, context: Context, *, nested: bool = False) -> State:
    """The state of a scope before the first update. Its key is made of the seeds, and of ``context.key`` if given."""
    clock: State = {"count": jnp.zeros([], jnp.int32)} if rule.timed else {}
    if rule.seeds:
        key = jax.random.key(0) if context.key is None else context.key
        for seed in rule.seeds:
            key = jax.random.fold_in(key, jnp.asarray(seed).astype(jnp.uint32))
        clock["key"] = key_at(key, context.path) if nested else key
    if nested:  # paths start anew at every clock, in updates too
        context = context._replace(path=(), key=clock.get("key", context.key))
    state = rule.init(params, context)
    return clock | state if clock else state


def tick(rule: Rule, signals: Signals, state: State, context: Context, step: Any) -> tuple[Signals, State]:
    """One update of a scope at ``step`` (0 is the first; None if the scope has no clock)."""
    if rule.timed and step is None:
        raise TransformationError("the state has no 'count': it was made by another transformation")
    t, key = None if step is None else following(step), None
    if rule.seeds:
        if "key" not in state:
            raise TransformationError("the state has no 'key': it was made by another transformation")
        key = jax.random.fold_in(state["key"], jnp.asarray(step).astype(jnp.uint32))
    clock = {"count": t} if rule.timed else {}
    clock |= {"key": state["key"]} if rule.seeds else {}
    own = {name: entry for name, entry in state.items() if name not in clock} if clock else state
    signals, new = rule.update(signals, own, context._replace(t=t, key=key))
    return signals, clock | new if clock else new


def count_of(state: Any) -> Any:
    """The count in a state; None if it has no clock."""
    return state.get("count") if isinstance(state, Mapping) else None


def following(step: Any) -> jax.Array:
    """The next step; the largest int32 is followed by itself."""
    step = jnp.asarray(step)
    step = step.astype(jnp.int32) if step.dtype.itemsize < 4 else step
    return (jax.lax.min(step, jnp.array(TOP - 1, step.dtype)) + 1).astype(jnp.int32)
