"""Objectives: ``value_fn`` in the form that rules call, a real function of the parameters alone."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Context, Rule, Signals, State, Tree
from gradtx._rules.vectors import precision
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide

OWN = ("value", "grad", "value_fn")  # keywords of update that are never passed to value_fn


def with_objective(rule: Rule, *, has_aux: bool) -> Rule:
    """The rule, with a ``value_fn`` of the parameters alone that returns one real number, at the rule's precision.

    The user's ``value_fn`` gets the parameters in their own dtypes, and those extra keywords of ``update`` that it
    takes, such as its data. If it returns ``(value, aux)``, the value is used.
    """

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        extra = dict(context.extra)
        if extra.get("value_fn") is not None:
            extra["value_fn"] = _objective(extra["value_fn"], context.params, extra, has_aux)
        return rule.update(signals, state, context._replace(extra=extra))

    return rule._replace(update=update)


def _objective(value_fn: Callable[..., Any], params: Tree, extra: Mapping[str, Any], has_aux: bool) -> Any:
    data = {name: extra[name] for name in _names(value_fn) if name in extra and name not in OWN}

    def objective(at: Tree) -> jax.Array:
        made = value_fn(trees.cast_like(at, params), **data)
        if has_aux != isinstance(made, tuple):
            hint = "; has_aux=" + ("False takes one real number" if has_aux else "True takes (value, aux)")
            expected = "(value, aux)" if has_aux else "one real number"
            raise TransformationError(f"value_fn: expected {expected}, found {type(made).__name__}{hint}")
        value = jnp.asarray(made[0] if has_aux else made)
        if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise TransformationError(f"value_fn: expected one real number, found {value.dtype}{value.shape}")
        return wide(value, precision(at))

    return objective


def _names(value_fn: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(value_fn).parameters)[1:]
    except ValueError:  # it is written in C and has no signature
        return []
