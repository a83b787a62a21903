"""Arrays as matrices: which axes are rows and which are columns, and what lies side by side, for rules of matrices."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Tree
from gradtx._value.errors import TransformationError


class DimensionNumbers(NamedTuple):
    """Which axes of a parameter make the rows of its matrix (inputs), and which the columns (outputs).

    Each is an axis or several. Axes that are in neither are a stack of matrices. Matrices that stand side by side in
    one are cut apart: the outputs into parts of ``split_sizes`` (queries, keys and values), each part into ``heads``
    equal ones (a number, or one for each part); the inputs into ``input_heads`` equal ones, as in a projection that
    takes heads together.

    >>> DimensionNumbers(0, (-2, -1)).output_axis
    (-2, -1)
    """

    reduction_axis: Sequence[int] | int = 0
    output_axis: Sequence[int] | int = 1
    heads: Sequence[int] | int = 1
    split_sizes: Sequence[int] = ()
    input_heads: int = 1


class AxesOfTree:
    """Axes for each leaf of a tree, whatever else the object is: ``tree`` is like the parameters."""

    tree: Tree


def axes_of_leaves(given: Any, tree: Tree) -> list[Any]:
    """The axes for each leaf of a tree, in the order of `gradtx.tree.flatten`; None for a leaf that is no matrix.

    ``given`` is None (arrays with two axes are matrices), axes for all leaves with two axes or more, a tree of axes or
    a prefix of one, where None says that a leaf is no matrix, or a function of the tree that returns one, such as
    `gradtx.roles`. A role that is no matrix counts as None.
    """
    given = axes_by_rank if given is None else given
    leaves, treedef = trees.flatten(tree)
    if _is_axes(given):
        return [given if leaf is not None and leaf.ndim >= 2 else None for leaf in leaves]
    made = given(tree) if callable(given) else given
    made = made.tree if isinstance(made, AxesOfTree) else made

    def below(axes: Any, part: Tree) -> Tree:
        return trees.map(lambda _: _Held(axes), part)

    try:
        held = jax.tree.map(below, made, tree, is_leaf=lambda x: x is None or _is_axes(x))
    except ValueError as error:
        raise TransformationError(f"weight_dimension_numbers: expected a tree like the parameters: {error}") from None
    return [
        None if x is None or not getattr(x.axes, "is_matrix", True) else x.axes for x in treedef.flatten_up_to(held)
    ]


def axes_by_rank(tree: Tree) -> Tree:
    """Every array with two axes is a matrix, and no other is: the rule of Optax."""
    return trees.map(lambda leaf: DimensionNumbers() if leaf.ndim == 2 else None, tree)


class _Held:
    """Axes as one leaf of a tree."""

    def __init__(self, axes: Any):
        self.axes = axes


def _is_axes(x: Any) -> bool:
    return hasattr(x, "reduction_axis") and hasattr(x, "output_axis")  # those of Optax too


def as_matrices(x: jax.Array, axes: Any) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """The array as a matrix, or a stack of matrices, and the way back. What stands side by side stays together."""
    rows, columns, rest = sides(x, axes)
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
    """The matrices of an array as stacks of one shape each, (k, rows, columns), and the way back.

    Heads and the parts of a fused projection are matrices of their own; those of one shape are in one stack.
    """
    made, restore = as_matrices(x, axes)
    whole = made if made.ndim == 3 else made[None]
    count, rows, columns = whole.shape
    above, runs = _inputs(axes, rows), _runs(axes, columns)
    if above == 1 and runs == [(columns, 1)]:
        return [whole], lambda parts: restore(parts[0].reshape(made.shape))
    count, rows = count * above, rows // above
    rest = whole.reshape(count, rows, columns)
    starts = itertools.accumulate((width * number for width, number in runs), initial=0)
    found: dict[int, list[jax.Array]] = {}
    for start, (width, number) in zip(starts, runs, strict=False):
        run = rest[:, :, start : start + width * number].reshape(count, rows, number, width)
        found.setdefault(width, []).append(run.transpose(0, 2, 1, 3))
    numbers = {width: [number for own, number in runs if own == width] for width in found}
    stacks = [_together(same).reshape(count * sum(numbers[width]), rows, width) for width, same in found.items()]

    def back(parts: list[jax.Array]) -> jax.Array:
        cut = {
            width: iter(_apart(part.reshape(count, sum(number), rows, width), number))
            for (width, number), part in zip(numbers.items(), parts, strict=True)
        }
        placed = [next(cut[width]).transpose(0, 2, 1, 3).reshape(count, rows, width * number) for width, number in runs]
        return restore((placed[0] if len(placed) == 1 else jnp.concatenate(placed, 2)).reshape(made.shape))

    return stacks, back


def _together(same: list[jax.Array]) -> jax.Array:
    return same[0] if len(same) == 1 else jnp.concatenate(same, 1)


def _apart(x: jax.Array, numbers: list[int]) -> list[jax.Array]:
    return [x] if len(numbers) == 1 else jnp.split(x, list(itertools.accumulate(numbers))[:-1], 1)


def _inputs(axes: Any, rows: int) -> int:
    """How many matrices stand below each other."""
    number = getattr(axes, "input_heads", 1)
    if number < 1 or rows % number:
        raise TransformationError(f"expected input_heads that divide {rows} inputs, found {number}")
    return number


def _runs(axes: Any, columns: int) -> list[tuple[int, int]]:
    """The widths of the matrices that stand side by side, each with how many of that width there are in a row."""
    sizes = tuple(getattr(axes, "split_sizes", None) or (columns,))
    heads = getattr(axes, "heads", 1)
    heads = (heads,) * len(sizes) if isinstance(heads, int) else tuple(heads)
    if sum(sizes) != columns or min(sizes) < 0:
        raise TransformationError(f"expected split_sizes that add up to {columns} outputs, found {sizes}")
    if len(heads) != len(sizes) or any(number < 1 or size % number for size, number in zip(sizes, heads, strict=True)):
        raise TransformationError(f"expected heads that divide outputs of {sizes}, found {heads}")
    widths = [size // number for size, number in zip(sizes, heads, strict=True) for _ in range(number)]
    return [(width, len(list(same))) for width, same in itertools.groupby(widths)]


def fans(x: Any, axes: Any) -> tuple[int, int]:
    """How many rows and columns the matrix of an array has; those of its `pieces` are in their shapes."""
    rows, columns, _ = sides(x, axes)
    return _size(x, rows), _size(x, columns)


def piece_shapes(x: Any, axes: Any) -> list[tuple[int, int, int]]:
    """The shapes of the stacks that `pieces` makes of an array."""
    rows, columns, rest = (_size(x, side) for side in sides(x, axes))
    above, found = _inputs(axes, rows), dict[int, int]()
    for width, number in _runs(axes, columns):
        found[width] = found.get(width, 0) + number
    return [(rest * above * number, rows // above, width) for width, number in found.items()]


def _size(x: Any, side: Sequence[int]) -> int:
    return math.prod(x.shape[axis] for axis in side)


def sides(x: Any, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The axes of the rows, of the columns, and of the stack, counted from the front, of an array or its shape."""
    if axes is None or x.ndim < 2:
        raise TransformationError(f"expected a matrix, found shape {x.shape}: partition the parameters")
    if axes.reduction_axis is None or axes.output_axis is None:
        raise TransformationError(f"expected reduction_axis and output_axis, found {axes}: gradtx.roles fills them in")
    each = [(side,) if isinstance(side, int) else tuple(side) for side in (axes.reduction_axis, axes.output_axis)]
    wrong = [axis for side in each for axis in side if not -x.ndim <= axis < x.ndim]
    if wrong:
        raise TransformationError(f"expected axes of an array of shape {x.shape}, found {wrong[0]}")
    rows, columns = (tuple(axis % x.ndim for axis in side) for side in each)
    if not rows or not columns or len({*rows, *columns}) < len(rows + columns):
        raise TransformationError(f"expected each axis once, and some on both sides, found {axes} of shape {x.shape}")
    return rows, columns, tuple(axis for axis in range(x.ndim) if axis not in rows + columns)
