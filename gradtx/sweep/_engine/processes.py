"""What several processes of one sweep tell each other, between rounds. With one process there is nothing to tell."""

from typing import Any

import jax
import numpy as np

from gradtx.sweep._engine.rows import as_keys, is_key

Tree = Any


def agreed(mine: bool) -> bool:
    """What the first process says, returned in all of them."""
    return bool(_all(np.asarray(mine))[0])


def least(mine: int) -> int:
    """The smallest of what the processes say."""
    return int(np.min(_all(np.asarray(mine, np.int32))))


def total(mine: int) -> int:
    """The sum of what the processes say."""
    return sum(int(x) for x in _all(np.asarray([mine >> 31, mine & 0x7FFFFFFF], np.int32)) @ np.array([1 << 31, 1]))


def share(own: np.ndarray, tree: Tree) -> Tree:
    """Every row from a process that has it, bit for bit; ``own`` marks the rows of this process."""
    if jax.process_count() == 1:
        return tree
    owner = np.argmax(_all(np.asarray(own, np.bool_)), axis=0)

    def one(x: Any) -> Any:
        if is_key(x):
            return as_keys(one(np.asarray(jax.random.key_data(x))), x)
        if np.ndim(x) == 0:  # no row, the same everywhere
            return x
        x = np.ascontiguousarray(x)
        raw = x.reshape(len(x), -1).view(np.uint8) if x.size else np.zeros((len(x), 0), np.uint8)
        found = _all(raw)[owner, np.arange(len(x))]
        return np.ascontiguousarray(found).view(x.dtype).reshape(x.shape)

    return jax.tree.map(one, tree)


def anywhere(own: np.ndarray) -> np.ndarray:
    """The rows that any process has."""
    return np.any(_all(own), axis=0)


def _all(x: np.ndarray) -> np.ndarray:
    """The arrays of all processes, one row per process."""
    if jax.process_count() == 1:
        return x[None]
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(x))
