"""Stacks of blocks with one matrix for each axis: products along an axis, and second moments of it.

A stack is an array (k, n₁, n₂ ...) of k blocks. Of its matrices along axis i there are k too: (k, nᵢ, nᵢ), or only
their diagonals (k, nᵢ). In a state a stack of one is kept without its first axis.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.blocks import Blocks
from gradtx._rules.matrices import axes_of_leaves
from gradtx._rules.protocol import Tree
from gradtx._rules.vectors import matmul
from gradtx._value.errors import within
from gradtx._value.floating import abs_sq, at_most_finite


def unstacked(x: jax.Array) -> jax.Array:
    """A stack as it is kept."""
    return x[0] if len(x) == 1 else x


def stacked(x: jax.Array, count: int) -> jax.Array:
    """The way back of `unstacked`."""
    return x[None] if count == 1 else x


def unfolded(stack: jax.Array, axis: int) -> jax.Array:
    """Each block with one axis as rows, and all others as columns: (k, nᵢ, m)."""
    moved = jnp.moveaxis(stack, 1 + axis, 1)
    return moved.reshape(*moved.shape[:2], math.prod(moved.shape[2:]))


def along(stack: jax.Array, axis: int, matrices: jax.Array) -> jax.Array:
    """Each block times its matrix, or its diagonal, along an axis; an axis of another length may come of it.

    >>> along(jnp.array([[1.0, 2.0]]), 0, jnp.array([[[0.0, 1.0], [1.0, 0.0]]]))
    Array([[2., 1.]], dtype=float32)
    """
    if matrices.ndim == 2:
        shape = [n if m in (0, 1 + axis) else 1 for m, n in enumerate(stack.shape)]
        return stack * matrices.reshape(shape).astype(stack.dtype)
    moved = jnp.moveaxis(stack, 1 + axis, 1)
    made = matmul(matrices, unfolded(stack, axis))
    return jnp.moveaxis(made.reshape(made.shape[:2] + moved.shape[2:]), 1, 1 + axis)


def second_moment(stack: jax.Array, axis: int, diagonal: bool) -> jax.Array:
    """G Gᴴ of each block unfolded along an axis, or the diagonal of it; finite where the block is."""
    g = unfolded(stack, axis)
    largest = jnp.max(jnp.abs(g), axis=(1, 2), keepdims=True, initial=0)
    largest = jnp.where(largest > 0, largest, 1)
    unit, size = g / largest.astype(g.dtype), at_most_finite(largest * largest)
    if diagonal:
        return at_most_finite(abs_sq(unit).sum(2) * size[:, 0])
    moment = matmul(unit, adjoint(unit)) * size.astype(g.dtype)
    return finite(moment)


def identities(count: int, n: int, dtype: Any) -> jax.Array:
    """A stack of identity matrices."""
    return jnp.broadcast_to(jnp.eye(n, dtype=dtype), (count, n, n))


def finite(h: jax.Array) -> jax.Array:
    """The matrix with each infinity replaced by the largest number of its sign, in both parts if it is complex."""
    if not jnp.iscomplexobj(h):
        return at_most_finite(h)
    return jax.lax.complex(at_most_finite(jnp.real(h)), at_most_finite(jnp.imag(h)))


def adjoint(x: jax.Array) -> jax.Array:
    """The conjugate transpose of each matrix."""
    return jnp.conj(jnp.swapaxes(x, -1, -2))


# Leaves ---------------------------------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """A leaf that is cut into blocks: its stacks, and the way back."""

    x: jax.Array
    axes: Any
    blocks: Blocks
    parts: list[jax.Array]

    def sides(self) -> list[tuple[int, int]]:
        """Which stack, and which axis of it, each of the matrices of this leaf belongs to."""
        return [(n, axis) for n, part in enumerate(self.parts) for axis in range(part.ndim - 1)]

    def joined(self, parts: Sequence[jax.Array]) -> jax.Array:
        """The leaf that is made of these stacks."""
        return self.blocks.join(parts, self.x, self.axes)


def cut(tree: Tree, blocks: Blocks, weight_dimension_numbers: Any = None) -> list[Any]:
    """Every leaf as a `Cut`, or None where there is none, in the order of `gradtx.tree.flatten`."""
    leaves, _ = trees.flatten(tree)
    axes = [None for _ in leaves]
    if weight_dimension_numbers is not None:
        axes = axes_of_leaves(weight_dimension_numbers, tree)
    rows = zip(trees.paths(tree), leaves, axes, strict=True)
    return [None if x is None else Cut(x, a, blocks, within(f"leaf {p}", blocks.cut)(x, a)) for p, x, a in rows]


class Side(NamedTuple):
    """One of the matrices of a tree, or a stack of them: of which leaf, which of its sides, which stack, which axis."""

    leaf: int
    place: int
    part: int
    axis: int
    stacked: int
    rank: int


def sides_of(leaves: Sequence[Any]) -> list[Side]:
    """The matrices of all leaves, one after the other."""
    return [
        Side(n, place, part, axis, len(leaf.parts[part]), leaf.parts[part].ndim - 1)
        for n, leaf in enumerate(leaves)
        if leaf is not None
        for place, (part, axis) in enumerate(leaf.sides())
    ]


def filed(sides: Sequence[Side], entries: Sequence[jax.Array | None], leaves: Sequence[Any]) -> list[Any]:
    """For each leaf a tuple with what belongs to its sides, as it is kept; what is None is left out."""
    found: list[Any] = [None if leaf is None else () for leaf in leaves]
    for side, entry in zip(sides, entries, strict=True):
        if entry is not None:
            found[side.leaf] = (*found[side.leaf], unstacked(entry))
    return found


class Basis(NamedTuple):
    """A basis for some axes of each leaf, and the way into it and back."""

    cut: Callable[[Tree], list[Any]]
    sides: Sequence[Side]
    matrices: Sequence[jax.Array]

    def into(self, tree: Tree) -> Tree:
        """The tree in the basis: each block times Qᴴ along every axis."""
        return self._moved(tree, adjoint)

    def back(self, tree: Tree) -> Tree:
        """The tree from the basis: each block times Q along every axis."""
        return self._moved(tree, lambda q: q)

    def _moved(self, tree: Tree, which: Callable[[jax.Array], jax.Array]) -> Tree:
        leaves = self.cut(tree)
        parts: list[Any] = [None if leaf is None else list(leaf.parts) for leaf in leaves]
        for side, q in zip(self.sides, self.matrices, strict=True):
            found = parts[side.leaf]
            if found is not None:
                found[side.part] = along(found[side.part], side.axis, which(q).astype(found[side.part].dtype))
        made = [None if leaf is None else leaf.joined(own) for leaf, own in zip(leaves, parts, strict=True)]
        return trees.flatten(tree)[1].unflatten(made)
