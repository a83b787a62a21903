"""Leaves and their paths. ``None`` stands for a missing leaf: every function keeps it."""

from collections.abc import Callable
from typing import Any

import jax

Tree = Any
"""Any pytree; a ``None`` in it is a missing leaf."""


def is_none(x: Any) -> bool:
    """Whether this is a missing leaf."""
    return x is None


def path_name(path: tuple[Any, ...]) -> str:
    """A key path of JAX as dotted text.

    >>> [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path({"enc": [0.0, {"w": 1.0}]})]
    ['enc.0', 'enc.1.w']
    """
    return jax.tree_util.keystr(path, simple=True, separator=".")


def flatten(tree: Tree) -> tuple[list[Any], Any]:
    """Leaves and structure, with ``None`` among the leaves."""
    return jax.tree.flatten(tree, is_leaf=is_none)


def paths(tree: Tree) -> list[str]:
    """The dotted path of every leaf, ``None`` included, in the order of `flatten`.

    >>> paths({"b": None, "a": (1.0, 2.0)})
    ['a.0', 'a.1', 'b']
    """
    return [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_none)]


def map(fn: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """``fn`` leaf by leaf; where the first tree has ``None``, the result has it too.

    >>> map(lambda x, y: x + y, {"a": 1, "b": None}, {"a": 2, "b": None})
    {'a': 3, 'b': None}
    """
    return jax.tree.map(lambda x, *xs: None if x is None else fn(x, *xs), tree, *rest, is_leaf=is_none)
