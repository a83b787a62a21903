"""Arrays as matrices: which axes are rows and which are columns, for rules of matrices."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from gradtx import tree as trees
from gradtx._rules.protocol import Tree
from gradtx._value.errors import TransformationError


class DimensionNumbers(NamedTuple):
    """Which axes of a parameter make the rows of its matrix (inputs), and which the columns (outputs).

    Each is an axis or several. Axes that are in neither are a stack of matrices.

    >>> DimensionNumbers(0, (-2, -1)).output_axis
    (-2, -1)
    """

    reduction_axis: Sequence[int] | int = 0
    output_axis: Sequence[int] | int = 1


def axes_of_leaves(given: Any, tree: Tree) -> list[Any]:
    """The axes for each leaf of a tree, in the order of `gradtx.tree.flatten`; None for a leaf that is no matrix.

    ``given`` is None (arrays with two axes are matrices), axes for all leaves with two axes or more, a tree of axes or
    a prefix of one, where None says that a leaf is no matrix, or a function of the tree that returns one.
    """
    leaves, treedef = trees.flatten(tree)
    if given is None:
        return [DimensionNumbers() if leaf is not None and leaf.ndim == 2 else None for leaf in leaves]
    if _is_axes(given):
        return [given if leaf is not None and leaf.ndim >= 2 else None for leaf in leaves]
    made = given(tree) if callable(given) else given

    def below(axes: Any, part: Tree) -> Tree:
        return trees.map(lambda _: _Held(axes), part)

    try:
        held = jax.tree.map(below, made, tree, is_leaf=lambda x: x is None or _is_axes(x))
    except ValueError as error:
        raise TransformationError(f"weight_dimension_numbers: expected a tree like the parameters: {error}") from None
    return [None if x is None else x.axes for x in treedef.flatten_up_to(held)]


class _Held:
    """Axes as one leaf of a tree."""

    def __init__(self, axes: Any):
        self.axes = axes


def _is_axes(x: Any) -> bool:
    return hasattr(x, "reduction_axis") and hasattr(x, "output_axis")  # those of Optax too


def as_matrices(x: jax.Array, axes: Any) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """The array as a matrix, or a stack of matrices, and the way back."""
    rows, columns, rest = _sides(x, axes)
    order = rest + rows + columns
    if x.ndim == 2 and order == (0, 1):
        return x, lambda y: y
    moved = x.transpose(order)
    shape = [_size(x, side) for side in (rest, rows, columns)]
    back = tuple(sorted(range(x.ndim), key=lambda n: order[n]))
    return moved.reshape(shape if rest else shape[1:]), lambda y: y.reshape(moved.shape).transpose(back)


def as_units(given: Any, tree: Tree) -> tuple[Tree, Callable[[Tree], Tree]]:
    """A tree with its leaves as matrices (..., inputs, outputs), and the way back; other leaves become one column.

    So norms over the last two axes are those of matrices, norms over the last but one those of units, and a leaf that
    is no matrix is one unit. ``given`` is as in `axes_of_leaves`.
    """
    leaves, treedef = trees.flatten(tree)
    made = [
        None if x is None else as_matrices(x, axes) if axes is not None else (x.reshape(-1, 1), _reshaped(x.shape))
        for x, axes in zip(leaves, axes_of_leaves(given, tree), strict=True)
    ]

    def back(units: Tree) -> Tree:
        parts = zip(treedef.flatten_up_to(units), made, strict=True)
        return treedef.unflatten([None if way is None else way[1](part) for part, way in parts])

    return treedef.unflatten([None if way is None else way[0] for way in made]), back


def _reshaped(shape: tuple[int, ...]) -> Callable[[jax.Array], jax.Array]:
    return lambda y: y.reshape(shape)


def pieces(x: jax.Array, axes: Any) -> tuple[list[jax.Array], Callable[[list[jax.Array]], jax.Array]]:
    """The matrices of an array as stacks of one shape each, (k, rows, columns), and the way back."""
    made, restore = as_matrices(x, axes)
    if made.ndim == 3:
        return [made], lambda parts: restore(parts[0])
    return [made[None]], lambda parts: restore(parts[0][0])


def fans(x: jax.Array, axes: Any) -> tuple[int, int]:
    """How many rows and columns the matrix of an array has."""
    rows, columns, _ = _sides(x, axes)
    return _size(x, rows), _size(x, columns)


def _size(x: jax.Array, side: Sequence[int]) -> int:
    return math.prod(x.shape[axis] for axis in side)


def _sides(x: jax.Array, axes: Any) -> tuple[tuple[int, ...], ...]:
    if axes is None or x.ndim < 2:
        raise TransformationError(f"expected a matrix, found shape {x.shape}: partition the parameters")
    each = [(side,) if isinstance(side, int) else tuple(side) for side in (axes.reduction_axis, axes.output_axis)]
    wrong = [axis for side in each for axis in side if not -x.ndim <= axis < x.ndim]
    if wrong:
        raise TransformationError(f"expected axes of an array of shape {x.shape}, found {wrong[0]}")
    rows, columns = (tuple(axis % x.ndim for axis in side) for side in each)
    if not rows or not columns or len({*rows, *columns}) < len(rows + columns):
        raise TransformationError(f"expected each axis once, and some on both sides, found {axes} of shape {x.shape}")
    return rows, columns, tuple(axis for axis in range(x.ndim) if axis not in rows + columns)
