"""Mini-batches: which rows a step sees. That depends on the seed and the step alone, also where a run resumes."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

Tree = Any


def order_of(key: Any, epoch: Any, rows: int) -> jax.Array:
    """The order in which an epoch sees the rows."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows)


def next_order(order: jax.Array, key: Any, step: Any, rows: int, batch_size: int) -> jax.Array:
    """The order at a step: a new one where an epoch begins."""
    per_epoch = rows // batch_size
    begins = step % per_epoch == 0
    return jax.lax.cond(begins, lambda: order_of(key, step // per_epoch, rows), lambda: order)


def batch_rows(order: jax.Array, step: Any, batch_size: int) -> jax.Array:
    """The rows in the batch of a step."""
    per_epoch = len(order) // batch_size
    return jax.lax.dynamic_slice_in_dim(order, step % per_epoch * batch_size, batch_size)


def check_data(who: str, data: Tree, batch_size: int | None, what: str = "data") -> Tree:
    """The data as JAX arrays. Raises `TransformationError` where they are no rows, or too few for a batch."""
    leaves = {path: x for path, x in zip(trees.paths(data), trees.flatten(data)[0], strict=True) if x is not None}
    if not leaves:
        raise TransformationError(f"{who}: {what}: expected a tree of arrays, found {data!r}")
    for path, x in leaves.items():
        where = f"leaf {path}: " if path else ""
        if not hasattr(x, "__len__") or isinstance(x, str | bytes) or jnp.ndim(x) == 0:
            found = "a scalar" if hasattr(x, "dtype") or isinstance(x, int | float) else repr(x)
            raise TransformationError(f"{who}: {what}: {where}expected a leading axis of rows, found {found}")
        if getattr(getattr(x, "dtype", None), "kind", "f") in "OUSMm":
            raise TransformationError(f"{who}: {what}: {where}expected numbers, found {x.dtype}")
    first, size = next((path, len(x)) for path, x in leaves.items())
    for path, x in leaves.items():
        if len(x) != size:
            raise TransformationError(
                f"{who}: {what}: leaf {path}: expected {size} rows, like leaf {first}, found {len(x)}"
            )
    if size < 1:
        raise TransformationError(f"{who}: {what}: expected at least one row, found none")
    if batch_size is not None and whole_number(f"{who}: batch_size", batch_size) > size:
        raise TransformationError(
            f"{who}: batch_size: expected at most {size}, the rows of the data, found {batch_size}"
        )
    return jax.tree.map(jnp.asarray, data)


def first_rows(data: Tree, batch_size: int | None) -> Tree:
    """The shapes of a batch."""
    return jax.eval_shape(lambda tree: jax.tree.map(lambda x: x[:batch_size], tree), data)
