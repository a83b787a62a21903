"""How many lanes this machine has room for, asked before any of them is made."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx._value.errors import TransformationError

MEMINFO = Path("/proc/meminfo")
POINT = 2_000  # bytes that the point of a lane and its transformation take
RECORDS = 1_000  # losses that are kept of a lane
COPIES = 5  # parameters, gradients, state, and what a result holds of them
UNKNOWN = 16e9  # bytes, where the system does not say what is free


def bytes_of_lane(params: Any) -> int:
    """What a lane with these parameters takes, as an estimate."""
    own = sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(lambda: params)))
    return POINT + 8 * RECORDS + COPIES * own


def free_memory() -> int | None:
    """The bytes of memory that are free; None where the system does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text())
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])


def check_room(who: str, lanes: int, each: int = POINT) -> None:
    """Raise `TransformationError` where so many lanes of ``each`` bytes do not fit into the free memory."""
    free = free_memory() or UNKNOWN
    if lanes * each > free:
        raise TransformationError(
            f"{who}: {lanes:,} lanes do not fit into memory: {short(free)} are free, and a lane takes about "
            f"{short(each)}, so up to {rounded(int(free / each)):,} would"
        )


def rounded(many: int) -> int:
    """A number of two digits, rounded down.

    >>> rounded(123456)
    120000
    """
    size = 10 ** max(len(str(many)) - 2, 0)
    return many // size * size


def short(many: float) -> str:
    """A size in words.

    >>> short(2000), short(2.345e9)
    ('2 kB', '2.3 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if many >= unit:
            return f"{many / unit:.2g} {name}" if many < 100 * unit else f"{many / unit:.0f} {name}"
    return f"{many:.0f} bytes"
