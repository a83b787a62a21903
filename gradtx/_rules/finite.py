"""Whether all numbers of a tree are finite, worked out once however many wrappers ask."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Tree = Any


class Known(NamedTuple):
    """A tree, and whether all of its numbers are finite."""

    tree: Tree
    finite: jax.Array

    def is_of(self, tree: Tree) -> bool:
        """Whether it is known of this tree: one that has the very same arrays."""
        own, others = jax.tree.leaves(self.tree), jax.tree.leaves(tree)
        return len(own) == len(others) and all(a is b for a, b in zip(own, others, strict=True))


def all_finite(tree: Tree, known: Known | None = None) -> jax.Array:
    """Whether every number of every leaf is finite; looked up where it is ``known``.

    >>> bool(all_finite({"a": jnp.ones(2), "b": jnp.array([0.0, jnp.inf])}))
    False
    """
    if known is not None and known.is_of(tree):
        return known.finite
    found = jnp.ones([], bool)
    for x in jax.tree.leaves(tree):
        found = found & jnp.isfinite(x).all()
    return found
