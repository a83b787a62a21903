"""Any number of cases: what was drawn, what failed, and each failure shrunk to a call that can be pasted."""

import collections
import dataclasses
import gc
import time
from typing import Any

import jax
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.case import Case
from tests.fuzz.check import Disagreement, check
from tests.fuzz.draw import cases
from tests.memory import resident

BATCH = 50
COMPILED = 25  # one case of so many is compiled too
LIMIT = 1.5e9  # bytes of this process, from which on it forgets what is compiled


@dataclasses.dataclass
class Failure:
    """A case that fails, as small as it was found."""

    case: Case
    kind: str
    text: str

    def explains(self, case: Case, kind: str) -> bool:
        """Whether another failure is likely the same one: of its kind, with all that this one calls."""
        return kind == self.kind and set(self.case.tx.names()) <= set(case.tx.names())

    def __str__(self) -> str:
        return f"{self.text}\n\nfrom tests.fuzz import *\n\nreplay({self.case!r})\n"


@dataclasses.dataclass
class Log:
    """What a run of the fuzz has seen."""

    cases: int = 0
    steps: int = 0
    said: int = 0
    compiled: int = 0
    again: int = 0
    seconds: float = 0.0
    drawn: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    failures: list[Failure] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        drawn = ", ".join(f"{name} {n}" for name, n in self.drawn.most_common())
        lines = [
            f"{self.cases} cases, {self.steps} steps, of which {self.said} are well determined and compared; "
            f"{self.compiled} cases compiled; {self.cases / max(self.seconds, 1e-9):.1f} cases a second",
            f"{len(self.failures)} failures, and {self.again} that are likely the same",
            f"drawn: {drawn}",
        ]
        return "\n".join(lines)


def kind_of(error: Exception) -> str:
    """What tells one failure from another."""
    return error.contract if isinstance(error, Disagreement) else f"{type(error).__name__}"


def fuzz(
    many: int | None = None, minutes: float | None = None, start: int = 0, tell: Any = None, draw: Any = None
) -> Log:
    """Run ``many`` cases, or for some minutes; the same seed draws the same cases."""
    log, began, batch, told = Log(), time.perf_counter(), 0, (0.0, 0)

    def left() -> int:
        if minutes is not None and time.perf_counter() - began > 60 * minutes:
            return 0
        return BATCH if many is None else min(BATCH, many - log.cases)

    while left() > 0:
        one_batch(log, left(), start * 1_000_003 + batch, cases() if draw is None else draw)
        log.seconds = time.perf_counter() - began
        batch += 1
        if resident() > LIMIT:  # an hour of cases leaves much behind
            jax.clear_caches()
            gc.collect()
        news = log.seconds > told[0] + 60 or len(log.failures) > told[1]
        if tell is not None and (news or left() <= 0):
            tell(log)
            told = log.seconds, len(log.failures)
    return log


def one_batch(log: Log, size: int, number: int, draw: Any) -> None:
    """Some cases; at the first that fails, shrink it and leave the rest."""
    shrinking, smallest = False, None

    def one(case: Case) -> None:
        nonlocal shrinking, smallest
        compiled = not shrinking and log.cases % COMPILED == COMPILED - 1
        if not shrinking:
            log.cases += 1
            log.steps += len(case.steps)
            log.compiled += compiled
            log.drawn.update(case.tx.names())
        try:
            said = check(case, compiled=compiled or (smallest is not None and smallest.kind.startswith("compiled")))
            if not shrinking:
                log.said += said
        except Exception as error:
            kind = kind_of(error)
            if any(failure.explains(case, kind) for failure in log.failures):
                log.again += not shrinking
                return
            if smallest is not None and kind != smallest.kind:
                return
            shrinking, smallest = True, Failure(case, kind, str(error)[:600])
            raise

    quiet = settings(
        max_examples=size, database=None, deadline=None, report_multiple_bugs=False, print_blob=False,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        seed(number)(quiet(given(draw)(one)))()
    except Exception:
        if smallest is None:
            raise
        log.failures.append(smallest)
