"""Chunks of steps: each is one call of a compiled program, and between them the host shows the progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx._training.progress import progress
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

Tree = Any

CHUNKS = 50  # about so many in a run
RECORDS = 1000  # at most so many losses are kept


@dataclass(frozen=True)
class Clock:
    """How the steps of a run are counted: every ``every`` steps make a record of the loss.

    Chunks consist of whole records. Those of a sweep are called *strides*: they also end where a round of selection
    does. Both end where there is an evaluation, every ``evaluate_every`` steps, and are no longer than ``longest``.
    """

    steps: int
    every: int
    evaluate_every: int | None = None
    longest: int | None = None

    @classmethod
    def of(cls, who: str, steps: Any, record_every: Any = None, evaluate_every: Any = None) -> "Clock":
        """The clock of a run. Raises `TransformationError` unless all are whole numbers, 1 or more, that fit."""
        steps = whole_number(f"{who}: steps", steps)
        between = None if evaluate_every is None else whole_number(f"{who}: evaluate_every", evaluate_every)
        if record_every is not None:
            every = whole_number(f"{who}: record_every", record_every)
            if between is not None and between % every:
                raise TransformationError(
                    f"{who}: evaluate_every: expected a multiple of record_every={every}, found {between}"
                )
            return cls(steps, every, between)
        least = -(-steps // RECORDS)
        if between is not None:
            least = next((n for n in range(least, between) if between % n == 0), between)
        return cls(steps, least, between)

    @property
    def records(self) -> int:
        """How many records the run has. The last one may be shorter."""
        return -(-self.steps // self.every)

    @property
    def evaluations(self) -> list[int]:
        """After which steps there is an evaluation, the last step among them; none without ``evaluate_every``.

        >>> Clock(steps=10, every=1, evaluate_every=4).evaluations
        [4, 8, 10]
        """
        if self.evaluate_every is None:
            return []
        return sorted({*range(self.evaluate_every, self.steps + 1, self.evaluate_every), self.steps})

    def chunks(self) -> list[tuple[int, int]]:
        """Where each chunk begins, and its length. All have one length if that is possible: one compilation.

        >>> Clock(steps=100, every=1).chunks()[:3]
        [(0, 2), (2, 2), (4, 2)]
        """
        whole = self.steps if self.evaluate_every is None else min(self.steps, self.evaluate_every)
        wanted = self._at_most(max(1, self.records // CHUNKS))
        fitting = [n for n in range(wanted, 4 * wanted + 1) if whole % (n * self.every) == 0]
        length = (fitting[0] if fitting and self.longest is None else wanted) * self.every
        found, first = [], 0
        while first < self.steps:
            end = self._until_evaluation(first, min(first + length, self.steps))
            found.append((first, end - first))
            first = end
        return found

    @property
    def touched(self) -> int:
        """How many records one stride may touch: its own, and one more where a round begins inside a record."""
        return self._own + 1

    @property
    def stride(self) -> int:
        """The most steps of a stride."""
        return self._own * self.every

    @property
    def _own(self) -> int:
        return self._at_most(max(1, self.steps // CHUNKS // self.every))

    def _at_most(self, records: int) -> int:
        """So many records, or fewer where that is longer than a chunk may be."""
        return records if self.longest is None else max(1, min(records, self.longest // self.every))

    def _until_evaluation(self, first: int, end: int) -> int:
        return (
            end if self.evaluate_every is None else min(end, (first // self.evaluate_every + 1) * self.evaluate_every)
        )

    def strides(self, first: int, last: int) -> list[tuple[int, int]]:
        """Where each stride of a round begins, and its length. Only the ends of a round cut a record.

        >>> Clock(steps=200, every=2).strides(0, 13)
        [(0, 4), (4, 4), (8, 4), (12, 1)]
        """
        found = []
        while first < last:
            end = self._until_evaluation(first, min(last, first // self.every * self.every + self.stride))
            found.append((first, end - first))
            first = end
        return found


def in_chunks(
    label: str,
    run: Callable[..., Any],
    carry: Tree,
    clock: Clock,
    show: bool | None,
    done: Callable[[Tree, int, list[jax.Array]], bool] = lambda carry, step, records: False,
) -> tuple[Tree, jax.Array]:
    """The whole run, chunk by chunk, with a progress bar; ``done(carry, step, records)`` ends it early.

    ``run(carry, first, steps=n)`` returns the next carry and the records. Where anything is traced, such as the data or
    what the loss closes over, the run is one chunk, or as many as there are evaluations.
    """
    start, values = carry, []
    with progress(label, clock.steps, show) as bar:
        for first, n in clock.chunks():
            carry, chunk = run(carry, jnp.asarray(first), steps=n)
            traced = any(isinstance(x, Tracer) for x in jax.tree.leaves((carry, chunk)))
            if traced and clock.evaluate_every is None:
                return run(start, jnp.asarray(0), steps=clock.steps)
            values.append(chunk)
            if not traced:
                bar(n, float(np.min(chunk, initial=np.inf, where=np.isfinite(chunk))))
            if done(carry, first + n, values):
                break
    return carry, jnp.concatenate(values)
