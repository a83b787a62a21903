"""Trees of arrays with an axis of rows, on the host; among them keys of `jax.random`, which NumPy cannot hold."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Tree = Any


def is_key(x: Any) -> bool:
    """Whether an array holds keys of `jax.random`."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def as_keys(raw: Any, like: Any) -> jax.Array:
    """Keys from their raw numbers, of the kind that ``like`` has (an array, or the shape of one)."""
    kinds: list[Any] = []
    jax.eval_shape(lambda key: kinds.append(jax.random.key_impl(key)), like)
    return jax.random.wrap_key_data(jnp.asarray(raw), impl=kinds[0])


def to_host(tree: Tree) -> Tree:
    """The same tree in NumPy arrays; keys stay keys, all on one device."""
    return jax.tree.map(lambda x: jax.device_put(x, jax.local_devices()[0]) if is_key(x) else np.asarray(x), tree)


def at(tree: Tree, index: Any) -> Tree:
    """Rows by their numbers."""
    index = np.asarray(index, int) if isinstance(index, list) else index  # keys of JAX take no list
    return jax.tree.map(lambda x: x[index], tree)


def stack(rows: Sequence[Tree]) -> Tree:
    """Rows as one tree."""
    return jax.tree.map(lambda *xs: jnp.stack(xs) if is_key(xs[0]) else np.stack(xs), *rows)


def join(parts: Sequence[Tree]) -> Tree:
    """Trees of rows one after the other."""
    return jax.tree.map(lambda *xs: jnp.concatenate(xs) if is_key(xs[0]) else np.concatenate(xs), *parts)


def blank(shapes: Tree) -> Tree:
    """Arrays to be filled."""

    def one(x: Any) -> Any:
        if is_key(x):
            raw = jax.eval_shape(jax.random.key_data, x)
            return as_keys(np.zeros(raw.shape, raw.dtype), x)
        return np.zeros(x.shape, x.dtype)

    return jax.tree.map(one, shapes)


def put(x: Any, index: np.ndarray, y: Any) -> Any:
    """An array with some rows replaced, in place where possible; a scalar stays as it is."""
    if is_key(x):
        return x.at[index].set(y)
    if np.ndim(x):
        x[index] = y
    return x
