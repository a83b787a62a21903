"""The final loss of lanes, over so many rows at a time that it needs no more memory than training does."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Tree = Any
Loss = Callable[[Tree, Tree], Any]
BATCHES = 4  # a forward pass over so many batches takes about the memory of a training step
BYTES = 2**20  # or rows of so many bytes, where that is more
PROBE = 64  # rows that show whether a loss is a mean


def rows_at_once(loss: Loss, params: Tree, rows: Tree, batch_size: int | None) -> int | None:
    """How many rows to take at a time; None for all at once: they are few, or the loss is no mean over them."""
    leaves = jax.tree.leaves(rows)
    many = len(leaves[0])
    if batch_size is None:
        return None  # training sees all of them at every step
    wide = sum(x.nbytes for x in leaves) / many
    few = max(BATCHES * batch_size, int(BYTES / max(wide, 1)))
    return few if few < many and is_mean(loss, params, rows) else None


def is_mean(loss: Loss, params: Tree, rows: Tree) -> bool:
    """Whether the loss of some rows is the mean of the losses of their halves: not so for a sum, or pairs of rows.

    >>> mean, total = (lambda params, x: jnp.mean(params * x)), (lambda params, x: jnp.sum(params * x))
    >>> is_mean(mean, 2.0, jnp.arange(8.0)), is_mean(total, 2.0, jnp.arange(8.0))
    (True, False)
    """
    half = min(PROBE, len(jax.tree.leaves(rows)[0])) // 2

    @jax.jit
    def three(params: Tree, first: Tree, second: Tree) -> Any:
        both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
        return [loss(params, part) for part in (both, first, second)]

    first, second = (jax.tree.map(lambda x, n=n: x[n * half : (n + 1) * half], rows) for n in (0, 1))
    whole, *parts = (float(x) for x in three(params, first, second))
    return bool(np.isclose(whole, np.mean(parts), rtol=1e-4, atol=1e-7))


def over_rows(loss: Loss, params: Tree, rows: Tree, few: int | None) -> jax.Array:
    """The loss over all rows; with ``few``, the mean of the losses of so many after each other.

    The last part may be shorter; each counts by its rows.
    """
    many = len(jax.tree.leaves(rows)[0])
    if few is None or few >= many:
        return loss(params, rows)

    def one(first: Any) -> jax.Array:
        return loss(params, jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, few), rows))

    whole = many // few
    total = jnp.sum(jax.lax.map(one, few * jnp.arange(whole))) * few
    if many % few:
        total = total + loss(params, jax.tree.map(lambda x: x[whole * few :], rows)) * (many % few)
    return total / many
