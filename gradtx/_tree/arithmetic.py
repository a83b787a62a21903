"""Arithmetic on trees, leaf by leaf. The other trees have the structure of the first one."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._tree.paths import Tree, map
from gradtx._value.floating import real_dtype, wide


def add(tree_x: Tree, tree_y: Tree, *other_trees: Tree) -> Tree:
    """The sum of two or more trees, x + y + ...

    >>> add({"a": 1.0, "b": None}, {"a": 2.0, "b": None}, {"a": 4.0, "b": None})
    {'a': 7.0, 'b': None}
    """
    return map(lambda *xs: functools.reduce(operator.add, xs), tree_x, tree_y, *other_trees)


def sub(tree_x: Tree, tree_y: Tree) -> Tree:
    """The difference, x − y.

    >>> sub([3.0], [1.0])
    [2.0]
    """
    return map(operator.sub, tree_x, tree_y)


def mul(tree_x: Tree, tree_y: Tree) -> Tree:
    """The product, coordinate by coordinate.

    >>> mul([3.0], [2.0])
    [6.0]
    """
    return map(operator.mul, tree_x, tree_y)


def div(tree_x: Tree, tree_y: Tree) -> Tree:
    """The quotient x/y, coordinate by coordinate.

    >>> div([3.0], [2.0])
    [1.5]
    """
    return map(operator.truediv, tree_x, tree_y)


def scale(scalar: Any, tree: Tree) -> Tree:
    """A number times x. A floating-point leaf keeps its dtype, whatever that of the number is (not so in Optax).

    >>> scale(jnp.float32(0.5), {"w": jnp.ones(2, jnp.bfloat16)})["w"]
    Array([0.5, 0.5], dtype=bfloat16)
    """
    return map(functools.partial(_times, scalar), tree)


def add_scale(tree_x: Tree, scalar: Any, tree_y: Tree) -> Tree:
    """The sum x + αy, where α is ``scalar``.

    >>> add_scale([1.0], 0.5, [4.0])
    [3.0]
    """
    return map(lambda x, y: x + _times(scalar, y), tree_x, tree_y)


def where(condition: Any, tree_x: Tree, tree_y: Tree) -> Tree:
    """Numbers of x where the condition, one array for all leaves, is True; of y elsewhere.

    >>> where(True, [jnp.array([1.0])], [jnp.array([2.0])])
    [Array([1.], dtype=float32)]
    """
    return map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def clip(tree: Tree, min_value: Any = None, max_value: Any = None) -> Tree:
    """Every number, brought into [``min_value``, ``max_value``]; None is no bound.

    >>> clip([jnp.array([-3.0, 0.5])], -1.0)
    [Array([-1. ,  0.5], dtype=float32)]
    """
    return map(lambda x: jnp.clip(x, _bound(min_value, x), _bound(max_value, x)), tree)


def conj(tree: Tree) -> Tree:
    """The complex conjugate.

    >>> conj([jnp.array([1 + 2j])])
    [Array([1.-2.j], dtype=complex64)]
    """
    return map(jnp.conj, tree)


def real(tree: Tree) -> Tree:
    """The real part.

    >>> real([jnp.array([1 + 2j])])
    [Array([1.], dtype=float32)]
    """
    return map(jnp.real, tree)


def _times(number: Any, x: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):  # an integer times a fraction, a real number times a complex one
        if isinstance(number, int | float | complex) or not hasattr(x, "dtype"):
            return number * x
        if not jnp.issubdtype(x.dtype, jnp.inexact) or (jnp.iscomplexobj(number) and not jnp.iscomplexobj(x)):
            return number * x
        number = jnp.asarray(number)
        number = number if jnp.iscomplexobj(number) else number.astype(real_dtype(x.dtype))
        return (number * wide(jnp.asarray(x))).astype(x.dtype)


def _bound(bound: Any, x: Any) -> Any:
    """A bound in the dtype of the numbers that it bounds."""
    typed = hasattr(bound, "dtype") and hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)
    return jnp.asarray(bound).astype(x.dtype) if typed else bound
