"""Trees like a tree: filled, drawn at random, cast, with an axis more."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx._tree.paths import Tree, flatten, map, paths
from gradtx._value.errors import TransformationError


def zeros_like(tree: Tree, dtype: Any = None) -> Tree:
    """Zeros in place of all numbers.

    >>> zeros_like({"w": jnp.ones(2), "b": None})
    {'b': None, 'w': Array([0., 0.], dtype=float32)}
    """
    return map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: Tree, dtype: Any = None) -> Tree:
    """Ones in place of all numbers.

    >>> ones_like([jnp.zeros(2)], jnp.int32)
    [Array([1, 1], dtype=int32)]
    """
    return map(lambda x: jnp.ones_like(x, dtype=dtype), tree)


def full_like(tree: Tree, fill_value: Any, dtype: Any = None) -> Tree:
    """``fill_value`` in place of all numbers.

    >>> full_like([jnp.zeros(2)], 3.0)
    [Array([3., 3.], dtype=float32)]
    """
    return map(lambda x: jnp.full_like(x, fill_value, dtype=dtype), tree)


def batch_shape(tree: Tree, shape: tuple[int, ...] = ()) -> Tree:
    """Every leaf repeated along new axes of the given shape, in front of its own.

    >>> batch_shape([jnp.zeros(2)], (3,))[0].shape
    (3, 2)
    """
    return map(lambda x: jnp.broadcast_to(x, (*shape, *jnp.shape(x))), tree)


# Random numbers -------------------------------------------------------------------------------------------------------


def split_key_like(rng_key: Any, target_tree: Tree) -> Tree:
    """A random key for every leaf, split from one.

    >>> split_key_like(jax.random.key(0), {"a": 1.0, "b": 2.0})["a"].shape
    ()
    """
    treedef = jax.tree.structure(target_tree)
    return treedef.unflatten(jax.random.split(rng_key, treedef.num_leaves))


def random_like(
    rng_key: Any, target_tree: Tree, sampler: Callable[..., Any] = jax.random.normal, dtype: Any = None
) -> Tree:
    """Random numbers in place of all numbers: the draws of Optax.

    ``sampler(key, shape, dtype)`` draws those of a leaf; one that takes ``out_sharding`` gets that of the leaf, where
    the leaf has one in its type.

    >>> random_like(jax.random.key(0), [jnp.zeros((2, 3))], jax.random.uniform)[0].shape
    (2, 3)
    """
    placed = "out_sharding" in inspect.signature(sampler).parameters

    def drawn(leaf: Any, key: Any) -> Any:
        sharding = getattr(jax.typeof(leaf), "sharding", None) if placed and isinstance(leaf, jax.Array) else None
        where = {} if sharding is None or sharding.mesh.empty else {"out_sharding": sharding}
        return sampler(key, jnp.shape(leaf), jnp.result_type(leaf) if dtype is None else dtype, **where)

    return jax.tree.map(drawn, target_tree, split_key_like(rng_key, target_tree))


def unwrap_random_key_data(input_tree: Tree) -> Tree:
    """Random keys as the integers that they are made of, for checkpoints and comparisons; other leaves as they are.

    >>> unwrap_random_key_data([jax.random.key(7)])
    [Array([0, 7], dtype=uint32)]
    """
    return map(lambda x: jax.random.key_data(x) if _is_key(x) else x, input_tree)


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


# Dtypes ---------------------------------------------------------------------------------------------------------------


def cast(tree: Tree, dtype: Any) -> Tree:
    """Every floating-point leaf in ``dtype`` (None: as it is); other leaves as they are (Optax casts these too).

    >>> cast({"w": jnp.ones(2), "n": jnp.arange(2)}, jnp.bfloat16)["w"].dtype
    dtype(bfloat16)
    """
    if dtype is None:
        return tree
    return map(lambda x: x.astype(dtype) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating) else x, tree)


def cast_like(tree: Tree, other_tree: Tree) -> Tree:
    """Every leaf in the dtype of the leaf at its place in ``other_tree``.

    >>> cast_like([jnp.ones(2)], [jnp.zeros(2, jnp.bfloat16)])[0].dtype
    dtype(bfloat16)
    """
    return map(lambda x, y: jnp.asarray(x).astype(jnp.asarray(y).dtype), tree, other_tree)


def dtype(tree: Tree, mixed_dtype_handler: Literal["promote", "highest", "lowest"] | None = None) -> Any:
    """The dtype that all leaves share; that of new arrays if there are none.

    Where they differ: ``promote`` is the dtype that holds them all, ``highest`` and ``lowest`` the one among theirs to
    which all others can be promoted, or that can be promoted to all others.

    Raises `TransformationError`: dtypes that differ and no handler, or that cannot be ordered.

    >>> mixed = {"w": jnp.ones(2), "b": jnp.ones(2, jnp.float16)}
    >>> dtype(mixed, "promote"), dtype(mixed, "lowest")
    (dtype('float32'), dtype('float16'))
    """
    if mixed_dtype_handler not in (None, "promote", "highest", "lowest"):
        wanted = "None, 'promote', 'highest' or 'lowest'"
        raise TransformationError(f"dtype: mixed_dtype_handler: expected {wanted}, found {mixed_dtype_handler!r}")
    found = {path: jnp.asarray(x).dtype for path, x in zip(paths(tree), flatten(tree)[0], strict=True) if x is not None}
    if not found:
        return jnp.zeros([]).dtype
    first, *rest = found.values()
    if mixed_dtype_handler is None:
        for path, own in found.items():
            if own != first:
                raise TransformationError(f"dtype: leaf {path}: expected {first} as in the first leaf, found {own}")
        return first
    if mixed_dtype_handler == "promote":
        return functools.reduce(_wider, rest, first)
    return functools.reduce(functools.partial(_chosen, highest=mixed_dtype_handler == "highest"), rest, first)


def _wider(a: Any, b: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(a, b)


def _chosen(a: Any, b: Any, *, highest: bool) -> Any:
    wide = _wider(a, b)
    if wide not in (a, b):
        raise TransformationError(f"dtype: neither {a} nor {b} can be promoted to the other")
    return wide if highest else (b if wide == a else a)
