"""Trees of arrays as vectors: their products and sums, at one precision, wide enough for badly scaled numbers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Tree
from gradtx._value.floating import real_dtype, wide

matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def precision(*of: Tree) -> Any:
    """The real dtype to compute in: the widest of all leaves, float32 at least."""
    return real_dtype(*(x.dtype for x in jax.tree.leaves(of)))


def alike(params: Tree, *others: Tree) -> tuple[Tree, ...]:
    """The trees at the widest precision among them; every leaf in the dtype that its parameter then has."""
    real = precision(params, *others)
    params = trees.map(lambda x: wide(x, real), params)
    return params, *(trees.cast_like(other, params) for other in others)


def dot(a: Tree, b: Tree) -> jax.Array:
    """The real inner product of two trees, Re Σ a̅b: complex numbers are pairs of real ones.

    >>> float(dot({"x": jnp.array([1.0, 2.0])}, {"x": jnp.array([3.0, 4.0])}))
    11.0
    """
    real = precision(a, b)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    products = (jnp.vdot(wide(x, real), wide(y, real), precision=jax.lax.Precision.HIGHEST) for x, y in pairs)
    return sum((jnp.real(x) for x in products), start=jnp.zeros([], real))


def one_norm(tree: Tree) -> jax.Array:
    """The sum of the sizes of all numbers of a tree.

    >>> float(one_norm({"x": jnp.array([1.0, -2.0])}))
    3.0
    """
    real = precision(tree)
    return sum((jnp.sum(jnp.abs(wide(x, real))) for x in jax.tree.leaves(tree)), start=jnp.zeros([], real))


def step_along(params: Tree, size: Any, direction: Tree) -> Tree:
    """θ + αd, leaf by leaf, in the dtypes of θ."""
    return trees.map(lambda p, d: p + (jnp.asarray(size).astype(d.dtype) * d).astype(p.dtype), params, direction)


def scaled(size: Any, tree: Tree) -> Tree:
    """αd, leaf by leaf, in the dtypes of d."""
    return trees.map(lambda x: jnp.asarray(size).astype(x.dtype) * x, tree)


def raveled(tree: Tree) -> jax.Array:
    """All numbers of a tree as one vector, in float32 at least; complex if one of them is.

    >>> raveled({"a": jnp.ones((1, 2)), "b": 3.0})
    Array([1., 1., 3.], dtype=float32)
    """
    arrays = [jnp.asarray(x) for x in jax.tree.leaves(tree)]
    leaves = [wide(x, precision(arrays)).ravel() for x in arrays]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.concatenate(leaves) if leaves else jnp.zeros(0)


def unraveled(vector: jax.Array, like: Tree) -> Tree:
    """A vector as a tree with the structure, shapes and dtypes of ``like``: the way back from `raveled`.

    >>> unraveled(jnp.array([1.0, 2.0, 3.0]), {"a": jnp.zeros(2), "b": 0.0})
    {'a': Array([1., 2.], dtype=float32), 'b': Array(3., dtype=float32)}
    """
    leaves, treedef = jax.tree.flatten(like)
    parts = jax.lax.split(vector, [trees.size(leaf) for leaf in leaves]) if leaves else []
    real = [x if jnp.iscomplexobj(y) else jnp.real(x) for x, y in zip(parts, leaves, strict=True)]
    shaped = [x.reshape(jnp.shape(y)) for x, y in zip(real, leaves, strict=True)]
    return trees.cast_like(treedef.unflatten(shaped), like)


def like(x: Any, other: jax.Array) -> jax.Array:
    """A number in the dtype of an array."""
    return jnp.asarray(x).astype(other.dtype)


def normalized(tree: Tree) -> tuple[Tree, jax.Array]:
    """A tree whose largest number is in [1, 2), and the power of two that it was divided by: nothing is rounded.

    Products of such trees neither overflow nor vanish: in float32 the square of 1e-23 is 0, and that of 2e19 is ∞. A
    tree of zeros, or with a number that is not finite, is divided by 1.

    >>> tree, power = normalized(jnp.array([3e-30, 0.0]))
    >>> bool(tree[0] * power == 3e-30), bool(1 <= tree[0] < 2)
    (True, True)
    """
    largest = jnp.zeros([], precision(tree))
    for x in jax.tree.leaves(tree):
        largest = jnp.maximum(largest, jnp.max(jnp.abs(x), initial=0).astype(largest.dtype))
    power = power_of_two(largest)
    return trees.map(lambda x: x / power.astype(x.dtype), tree), power


def power_of_two(x: jax.Array) -> jax.Array:
    """The largest power of two that is no larger than |x|; 1 if x is 0 or not finite. It has no derivative.

    >>> float(power_of_two(jnp.array(-9.0))), float(power_of_two(jnp.array(0.0)))
    (8.0, 1.0)
    """
    x = jax.lax.stop_gradient(x)
    power = jnp.ldexp(jnp.ones_like(x), jnp.frexp(x)[1] - 1)
    return jnp.where((x != 0) & jnp.isfinite(x) & (power > 0), power, 1)
