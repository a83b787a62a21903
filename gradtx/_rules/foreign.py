"""Transformations of other libraries: the rule that hands them what they would get outside of a chain."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients
from gradtx._rules.packing import refuse_packed
from gradtx._rules.protocol import Context, Rule, Signals, Tree, widened
from gradtx._value.errors import TransformationError


def foreign_rule(transformation: Any) -> Rule:
    """The rule of anything with ``init`` and ``update``."""
    takes_extra = takes_keywords(transformation.update)

    def init(params: Tree, context: Context) -> Any:
        refuse_packed(params, "it may look at leaves")
        state = transformation.init(params)
        return state if jax.tree.leaves(state) or _stands_for(params, state) else {}

    def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
        params, updates, extra = context.params, signals.updates, dict(context.extra) if takes_extra else {}
        alike = not is_own_kind(params, updates)
        if alike:
            check_gradients(updates, params)
        refuse_packed(updates, "it may look at leaves")
        given = trees.cast_like(updates, params) if alike and params is not None else updates
        if isinstance(state, dict) and not state:
            stateless = jax.eval_shape(transformation.init, given if params is None else params)
            if jax.tree.leaves(stateless):
                raise TransformationError("it has no entry in the state: it was made by another transformation")
            new, _ = transformation.update(given, stateless, params, **extra)
            return signals.then(_widened(new), conditions=True), {}
        new, after = transformation.update(given, state, params, **extra)
        return signals.then(_widened(new), conditions=False), _in_the_dtypes_of(state, after)

    return Rule(init, update, foreign=True)


def takes_keywords(update: Any) -> bool:
    """Whether an ``update`` takes any extra keywords."""
    return any(p.kind == p.VAR_KEYWORD for p in inspect.signature(update).parameters.values())


def is_own_kind(params: Tree, updates: Tree) -> bool:
    """Whether the parameters are in a container of another library, such as the fast and slow ones of a lookahead."""
    return hasattr(type(params), "_fields") and type(params) is not type(updates)


def _stands_for(params: Tree, state: Any) -> bool:
    """Whether ``params`` is a placeholder without leaves, such as `optax.tree_map_params` puts in states."""
    if jax.tree.leaves(params) or params is None or isinstance(params, dict | list | tuple):
        return False
    kind = type(params)
    return any(isinstance(x, kind) for x in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind)))


def _widened(tree: Tree) -> Tree:
    return widened(tree) if all(hasattr(x, "dtype") for x in jax.tree.leaves(tree)) else tree


def _in_the_dtypes_of(state: Any, after: Any) -> Any:
    """The new state in the dtypes of the old one, where it is still of the same structure."""
    if jax.tree.structure(state) != jax.tree.structure(after):
        return after

    def kept(x: Any, was: Any) -> Any:
        same = not (hasattr(was, "dtype") and hasattr(x, "dtype")) or x.dtype == was.dtype
        return x if same or jnp.issubdtype(was.dtype, jax.dtypes.extended) else x.astype(was.dtype)

    return jax.tree.map(kept, after, state)
