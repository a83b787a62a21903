"""What a study keeps of the lanes of its trials, so that a search has tables, curves and a report as a sweep has."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradtx.sweep._population import Population
from gradtx.sweep._result import Sweep

LANES = "lanes"  # the attribute of a trial
POINTS = 100  # of a curve


def kept(result: Sweep, lanes: Sequence[int]) -> dict[str, Any]:
    """Lanes of a result as JSON: how they ended, and their losses as at most so many means."""
    wide = -(-result.loss.shape[1] // POINTS)
    padded = np.pad(
        result.loss.astype(np.float64), ((0, 0), (0, -result.loss.shape[1] % wide)), constant_values=math.nan
    )
    parts = padded.reshape(len(padded), -1, wide)
    there = ~np.isnan(parts)
    counts = np.maximum(there.sum(axis=2), 1)
    loss = np.where(there.any(axis=2), np.where(there, parts, 0.0).sum(axis=2) / counts, math.nan)
    return {
        "record_every": result.record_every * wide,
        "loss": [[float(f"{x:.7g}") for x in loss[lane]] for lane in lanes],
        "final_loss": [float(result.final_loss[lane]) for lane in lanes],
        "steps": [int(result.steps[lane]) for lane in lanes],
        "status": [result.status[lane] for lane in lanes],
        "metrics": {name: [float(column[lane]) for lane in lanes] for name, column in result.metrics.items()},
    }


def as_sweep(
    trials: Sequence[tuple[Any, Mapping[str, Any]]], make: Callable[[Sequence[Any]], Population], **asked: Any
) -> Sweep | None:
    """Trials, each with its point, as a sweep without parameters; None where the study kept none of their lanes."""
    own = [(trial.user_attrs[LANES], point) for trial, point in trials if LANES in trial.user_attrs]
    if not own:
        return None
    found = [lanes for lanes, _ in own]

    def column(name: str) -> np.ndarray:
        return np.asarray([x for lanes in found for x in lanes[name]])

    longest = max(len(x) for lanes in found for x in lanes["loss"])
    loss = np.full((sum(len(lanes["loss"]) for lanes in found), longest), math.nan)
    for n, x in enumerate(x for lanes in found for x in lanes["loss"]):
        loss[n, : len(x)] = x
    names = found[0]["metrics"]
    return Sweep(
        population=make([point for _, point in own]),
        loss=loss,
        final_loss=column("final_loss"),
        params=None,
        states=(),
        metrics={name: np.asarray([x for lanes in found for x in lanes["metrics"][name]]) for name in names},
        record_every=found[0]["record_every"],
        steps=column("steps").astype(np.int64),
        steps_spent=int(column("steps").sum()),
        status=[x for lanes in found for x in lanes["status"]],
        **asked,
    )
