"""Objectives: ``value_fn`` in the form that rules call, a real function of the parameters alone."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Context, Late, Make, Rule, Signals, State, Tree, widened
from gradtx._rules.vectors import precision
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide
from gradtx._value.signatures import signature_of

OWN = ("value", "grad", "value_fn", "obj_fn", "grad_fn", "logits_fn")  # keywords that are never passed to value_fn


def with_objective(rule: Rule, *, has_aux: bool, names: tuple[str, ...] = ("value_fn",)) -> Rule:
    """The rule, with a ``value_fn`` of the parameters alone that returns one real number, at the rule's precision.

    The user's ``value_fn`` gets the parameters in their own dtypes, and those extra keywords of ``update`` that it
    takes, such as its data. If it returns ``(value, aux)``, the value is used. ``names`` are the keywords to look for.
    """

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        extra = dict(context.extra)
        for name in names:
            if extra.get(name) is not None:
                extra[name] = _objective(extra[name], context.params, context.extra, has_aux)
        return rule.update(signals, state, context._replace(extra=extra))

    return rule._replace(update=update)


def with_outputs(rule: Rule, name: str) -> Rule:
    """The rule, with the function ``name`` of the parameters alone, which returns an array at the rule's precision."""

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        function, params = context.extra.get(name), context.params
        if function is None:
            return rule.update(signals, state, context)
        data = {key: context.extra[key] for key in _names(function) if key in context.extra and key not in OWN}

        def outputs(at: Tree) -> jax.Array:
            return wide(jnp.asarray(function(trees.cast_like(at, params), **data)), precision(at))

        return rule.update(signals, state, context._replace(extra={**context.extra, name: outputs}))

    return rule._replace(update=update)


def with_gradients(rule: Late) -> Late:
    """The rule, with a ``grad_fn(params, n)`` at its precision: the user's, or else the gradient of ``value_fn``."""

    def made(make: Make) -> Rule:
        inside = rule.rule(make)

        def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
            extra, params = dict(context.extra), context.params
            grad_fn, value_fn = extra.get("grad_fn"), extra.get("value_fn")
            if grad_fn is not None:
                extra["grad_fn"] = lambda at, n: widened(grad_fn(trees.cast_like(at, params), n))
            elif value_fn is not None:
                objective = _objective(value_fn, params, extra, False)
                extra["grad_fn"] = lambda at, n: trees.map(jnp.conj, jax.grad(objective)(at))
            return inside.update(signals, state, context._replace(extra=extra))

        return inside._replace(update=update)

    return Late(made)


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
        return list(signature_of(value_fn).parameters)[1:]
    except ValueError:  # it is written in C and has no signature
        return []
