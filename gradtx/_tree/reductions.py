"""Numbers from trees: sums, norms, extremes, sizes. What is added up is added up in float32 at least."""

import builtins
import functools
import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._tree.paths import Tree
from gradtx._value.errors import TransformationError
from gradtx._value.floating import root, wide
from gradtx._value.norm import sum_of_squares


def norm(tree: Tree, ord: int | float | str | None = None, squared: bool = False) -> jax.Array:
    """The norm of all leaves together: the Euclidean one, √Σ|x|², accumulated in float32 at least.

    ``ord`` 1 is Σ|x|, and ``jnp.inf`` (or ``"inf"``) max|x|; 2 and None are the Euclidean norm. ``squared`` gives the
    square of it, without a root. Half-precision leaves are widened before they are squared, so a long vector of float16
    does not overflow (in Optax it does). The derivative at zero is 0. The norm of a tree without numbers is 0.

    >>> tree = {"a": jnp.array([3.0]), "b": jnp.array([-4.0], jnp.float16), "c": None}
    >>> float(norm(tree)), float(norm(tree, squared=True)), float(norm(tree, 1)), float(norm(tree, jnp.inf))
    (5.0, 25.0, 7.0, 4.0)
    """
    leaves = [_floating(x) for x in jax.tree.leaves(tree)]
    if ord is None or ord == 2:
        total = sum_of_squares(leaves)
        return total if squared else root(total)
    sizes = [jnp.abs(wide(x)) for x in leaves]
    if ord == 1:
        found = _folded(operator.add, [jnp.sum(x) for x in sizes], jnp.zeros([]))
    elif ord in (jnp.inf, "inf", "infinity"):
        found = _folded(jnp.maximum, [jnp.max(x) for x in sizes if x.size], jnp.zeros([]))
    else:
        raise TransformationError(f"norm: ord: expected None, 1, 2 or inf, found {ord!r}")
    return found * found if squared else found


def vdot(tree_x: Tree, tree_y: Tree) -> jax.Array:
    """The inner product of two trees, Σ x̅y.

    >>> float(vdot({"a": jnp.array([1.0, 2.0])}, {"a": jnp.array([3.0, 4.0])}))
    11.0
    """
    with jax.numpy_dtype_promotion("standard"):  # a real leaf beside a complex one
        products = jax.tree.map(lambda x, y: jnp.sum(jnp.conj(_wide(x)) * _wide(y)), tree_x, tree_y)
    return _folded(operator.add, jax.tree.leaves(products), jnp.zeros([]))


def sum(tree: Tree, associative_reduction: bool = False) -> jax.Array:
    """The sum of all numbers. ``associative_reduction`` adds the sums of the leaves in pairs, not one after another.

    >>> float(sum({"a": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}))
    6.0
    """
    sums = [jnp.sum(_wide(x)) for x in jax.tree.leaves(tree)]
    while associative_reduction and len(sums) > 1:
        sums = [_folded(operator.add, sums[n : n + 2], sums[n]) for n in range(0, len(sums), 2)]
    return _folded(operator.add, sums, jnp.zeros([]))


def max(tree: Tree) -> jax.Array:
    """The largest number; −∞ where there is none.

    >>> float(max({"a": jnp.array([1.0, 2.0]), "b": jnp.array([])}))
    2.0
    """
    return _folded(jnp.maximum, _each(jnp.max, tree), jnp.array(-jnp.inf))


def min(tree: Tree) -> jax.Array:
    """The smallest number; ∞ where there is none.

    >>> float(min({"a": jnp.array([1.0, 2.0]), "b": jnp.array([])}))
    1.0
    """
    return _folded(jnp.minimum, _each(jnp.min, tree), jnp.array(jnp.inf))


def allclose(a: Tree, b: Tree, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> jax.Array:
    """Whether |a − b| ≤ atol + rtol · |b| for all numbers of two trees of one structure.

    >>> bool(allclose({"a": jnp.array(1.0)}, {"a": jnp.array(1.1)})), bool(allclose({}, {}))
    (False, True)
    """

    def close(x: Any, y: Any) -> jax.Array:
        with jax.numpy_dtype_promotion("standard"):
            return jnp.allclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)

    return _folded(operator.and_, jax.tree.leaves(jax.tree.map(close, a, b)), jnp.ones([], bool))


def size(tree: Tree) -> int:
    """How many numbers the leaves hold together.

    >>> size({"w": jnp.ones((3, 4)), "b": jnp.ones(4)})
    16
    """
    return builtins.sum(prod(jnp.shape(x)) for x in jax.tree.leaves(tree))


def nbytes(tree: Tree) -> int:
    """How many bytes the leaves hold together; shapes and dtypes are enough, so it works on ``jax.eval_shape`` too.

    >>> nbytes({"w": jnp.ones((3, 4)), "b": jnp.ones(4, jnp.bfloat16)})
    56
    """
    return builtins.sum(prod(jnp.shape(x)) * jnp.result_type(x).itemsize for x in jax.tree.leaves(tree))


def _each(of: Callable[[jax.Array], jax.Array], tree: Tree) -> list[jax.Array]:
    return [of(x) for x in map(jnp.asarray, jax.tree.leaves(tree)) if x.size]


def _floating(x: Any) -> jax.Array:
    """An array of floating-point numbers: integers become such."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.zeros([]).dtype)


def _wide(x: Any) -> jax.Array:
    """An array in float32 at least; integers stay."""
    x = jnp.asarray(x)
    return wide(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x


def _folded(join: Callable[[Any, Any], Any], values: Sequence[jax.Array], empty: jax.Array) -> jax.Array:
    """The values joined, in the widest of their dtypes; ``empty`` where there are none."""
    if not values:
        return empty
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(join, values)
