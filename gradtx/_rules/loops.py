"""Loops that also run under `jax.shard_map`, where each device computes on its own data.

There the type of an array says which axes of the mesh it varies over. JAX refuses a loop whose carry changes its type,
such as a count that starts as the same constant on every device and after one step depends on the device's data.
"""

from collections.abc import Callable
from typing import Any

import jax

Tree = Any


def while_loop(go_on: Callable[[Any], jax.Array], body: Callable[[Any], Any], carry: Any) -> Any:
    """`jax.lax.while_loop`, with ``carry`` first brought to the type that ``body`` returns."""
    return jax.lax.while_loop(go_on, body, settled(body, carry))


def scan(body: Callable[[Any, Any], Any], carry: Any, xs: Tree = None, **options: Any) -> Any:
    """`jax.lax.scan`, with ``carry`` first brought to the type that ``body`` returns."""

    def first(carry: Any) -> Any:
        return body(carry, jax.tree.map(lambda x: x[0], xs))[0]

    return jax.lax.scan(body, settled(first, carry), xs, **options)


def cond(which: jax.Array, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any) -> Any:
    """`jax.lax.cond`, whose branches may vary over different axes: the result varies over those of both."""
    if not in_shard_map():
        return jax.lax.cond(which, yes, no, *operands)
    likes = [jax.eval_shape(branch, *operands) for branch in (yes, no)]

    def alike(branch: Callable[..., Any]) -> Callable[..., Any]:
        def made(*operands: Any) -> Any:
            found = branch(*operands)
            for like in likes:
                found = jax.tree.map(_as_varying, found, like)
            return found

        return made

    return jax.lax.cond(which, alike(yes), alike(no), *operands)


def varying_as(tree: Tree, *others: Tree, value: Callable[..., Any] | None = None) -> Tree:
    """The tree, with each leaf varying over every axis that a leaf of it, of the others or of ``value(tree)`` does."""
    if not in_shard_map():
        return tree
    made = None if value is None else jax.eval_shape(value, tree)
    axes = frozenset().union(*map(_axes, jax.tree.leaves((tree, others, made))))
    return jax.tree.map(lambda x: _over(x, axes), tree)


def settled(body: Callable[[Any], Any], carry: Any) -> Any:
    """The carry, made to vary over all mesh axes that it will vary over after some steps of ``body``."""
    if not in_shard_map():
        return carry
    while True:
        wider = jax.tree.map(_as_varying, carry, jax.eval_shape(body, carry))
        if all(_axes(a) == _axes(b) for a, b in zip(*map(jax.tree.leaves, (carry, wider)), strict=True)):
            return carry
        carry = wider


def in_shard_map() -> bool:
    """Whether the code is being traced inside `jax.shard_map`."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def _as_varying(x: Any, like: Any) -> Any:
    return _over(x, _axes(like))


def _over(x: Any, axes: frozenset[Any]) -> Any:
    missing = tuple(axes - _axes(x))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


def _axes(x: Any) -> frozenset[Any]:
    """The axes that an array, or its type, varies over."""
    kind = x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)
    kind = getattr(kind, "manual_axis_type", kind)  # its place differs between versions of JAX
    return frozenset(getattr(kind, "varying", None) or getattr(kind, "vma", None) or ())
