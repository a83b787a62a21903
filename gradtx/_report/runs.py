"""The lanes of a sweep as runs of a tracker: what every one of them is told."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gradtx._report.axes import word_of

TRAINING = "loss/training"


@dataclass(frozen=True)
class Run:
    """A lane: its ``name``, ``point``, ``losses`` (step, loss) at the end of each record, ``curves``, how it ended."""

    name: str
    point: dict[str, Any]
    losses: list[tuple[int, float]]
    curves: dict[str, list[tuple[int, float]]]
    ended: dict[str, float]
    steps: int
    status: str


def runs(result: Any) -> Iterator[Run]:
    """One run a lane, such as ``lane-0007``; its losses as far as it went."""
    width = max(4, len(str(len(result.points) - 1)))
    columns = {"final_loss": result.final_loss, **result.metrics}
    for n, point in enumerate(result.points):
        steps, losses = int(result.steps[n]), []
        for k, loss in enumerate(result.loss[n]):
            end = min((k + 1) * result.record_every, steps)
            if not math.isnan(loss) or end > k * result.record_every:
                losses.append((end, float(loss)))
        held = {
            name: [
                (int(step), float(x)) for step, x in zip(result.evaluated, rows[n], strict=True) if not math.isnan(x)
            ]
            for name, rows in result.curves.items()
        }
        ended = {key: float(column[n]) for key, column in columns.items()}
        own = {key: plain(x) for key, x in point.items()}
        yield Run(f"lane-{n:0{width}}", own, losses, held, ended, steps, result.status[n])


def plain(x: Any) -> Any:
    """What a tracker takes as a hyperparameter: numbers, bools and words."""
    return x if isinstance(x, bool | int | float | str) else word_of(x)
