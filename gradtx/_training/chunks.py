"""Chunks of steps: each is one call of a compiled program, and between them the host shows the progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx._training.progress import progress
from gradtx._value.whole import whole_number

Tree = Any

CHUNKS = 50  # about so many in a run
RECORDS = 1000  # at most so many losses are kept


@dataclass(frozen=True)
class Clock:
    """How the steps of a run are counted: every ``every`` steps make a record of the loss.

    Chunks consist of whole records. Those of a sweep are called *strides*: they also end where a round of selection
    does.
    """

    steps: int
    every: int

    @classmethod
    def of(cls, who: str, steps: Any, record_every: Any = None) -> "Clock":
        """The clock of a run. Raises `TransformationError` unless both are whole numbers, 1 or more."""
        steps = whole_number(f"{who}: steps", steps)
        if record_every is None:
            return cls(steps, -(-steps // RECORDS))
        return cls(steps, whole_number(f"{who}: record_every", record_every))

    @property
    def records(self) -> int:
        """How many records the run has. The last one may be shorter."""
        return -(-self.steps // self.every)

    def chunks(self) -> list[tuple[int, int]]:
        """Where each chunk begins, and its length. All have one length if that is possible: one compilation.

        >>> Clock(steps=100, every=1).chunks()[:3]
        [(0, 2), (2, 2), (4, 2)]
        """
        wanted = max(1, self.records // CHUNKS)
        fitting = [n for n in range(wanted, 4 * wanted + 1) if self.steps % (n * self.every) == 0]
        length = (fitting[0] if fitting else wanted) * self.every
        return [(first, min(length, self.steps - first)) for first in range(0, self.steps, length)]

    @property
    def touched(self) -> int:
        """How many records one stride may touch: its own, and one more where a round begins inside a record."""
        return self._own + 1

    @property
    def _own(self) -> int:
        return max(1, self.steps // CHUNKS // self.every)

    def strides(self, first: int, last: int) -> list[tuple[int, int]]:
        """Where each stride of a round begins, and its length. Only the ends of a round cut a record.

        >>> Clock(steps=200, every=2).strides(0, 13)
        [(0, 4), (4, 4), (8, 4), (12, 1)]
        """
        found, length = [], self._own * self.every
        while first < last:
            end = min(last, first // self.every * self.every + length)
            found.append((first, end - first))
            first = end
        return found


def in_chunks(
    label: str,
    run: Callable[..., Any],
    carry: Tree,
    clock: Clock,
    show: bool | None,
    done: Callable[[Tree], bool] = lambda carry: False,
) -> tuple[Tree, jax.Array]:
    """The whole run, chunk by chunk, with a progress bar; ``done(carry)`` ends it early.

    ``run(carry, first, steps=n)`` returns the next carry and the records. Where anything is traced, such as the data or
    what the loss closes over, the run is one chunk.
    """
    start, values = carry, []
    with progress(label, clock.steps, show) as bar:
        for first, n in clock.chunks():
            carry, chunk = run(carry, jnp.asarray(first), steps=n)
            if any(isinstance(x, Tracer) for x in jax.tree.leaves((carry, chunk))):
                return run(start, jnp.asarray(0), steps=clock.steps)
            values.append(chunk)
            bar(n, float(np.min(chunk, initial=np.inf, where=np.isfinite(chunk))))
            if done(carry):
                break
    return carry, jnp.concatenate(values)
