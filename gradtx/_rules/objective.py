"""Objectives: ``value_fn`` as rules call it, a real function of the parameters alone."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Context, Rule, Signals, State, Tree
from gradtx._value.errors import TransformationError
from gradtx._value.floating import real_dtype, wide

OWN = ("value", "grad", "value_fn")  # what update takes for itself


def with_objective(rule: Rule, *, has_aux: bool) -> Rule:
    """The rule, whose ``value_fn`` takes the parameters alone and returns one real number, at the rule's precision.

    Extra keywords of ``update`` that ``value_fn`` takes go to it, such as its data; of ``(value, aux)`` the value is
    taken. It is called with parameters in their own dtypes.
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
    except ValueError:  # it is written in C, and does not say
        return []


def precision(*of: Tree) -> Any:
    """The real dtype to compute in: the widest of all leaves, float32 at least."""
    return real_dtype(*(x.dtype for x in jax.tree.leaves(of)))


def alike(params: Tree, *others: Tree) -> tuple[Tree, ...]:
    """The trees at the widest precision among them; every leaf in the dtype that its parameter then has."""
    real = precision(params, *others)
    params = trees.map(lambda x: wide(x, real), params)
    return params, *(trees.cast_like(other, params) for other in others)


def dot(a: Tree, b: Tree) -> jax.Array:
    """The real inner product of two trees of one precision, Re Σ a̅b."""
    real = precision(a, b)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    products = (jnp.vdot(wide(x, real), wide(y, real), precision=jax.lax.Precision.HIGHEST) for x, y in pairs)
    return sum((jnp.real(x) for x in products), start=jnp.zeros([], real))


def step_along(params: Tree, size: Any, direction: Tree) -> Tree:
    """θ + αd, leaf by leaf, in the dtypes of θ."""
    return trees.map(lambda p, d: p + (jnp.asarray(size).astype(d.dtype) * d).astype(p.dtype), params, direction)


def at_least_one(name: str, n: Any) -> int:
    """A whole number, 1 or more; raises `TransformationError`."""
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
        raise TransformationError(f"{name}: expected a whole number, 1 or more, found {n!r}")
    return int(n)
