"""Optimizers on one problem, each at its best rate of a small sweep: what pictures of the manual race.

All of a contest have the same rates to choose from, the same steps, seeds and batches. The best rate is the one with
the lowest mean over the seeds of what the curve ends with. It must lie inside: at an edge a contestant had no choice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import gradtx
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

HELD_OUT = "held_out"


@dataclass(frozen=True)
class Curve:
    """What became of an optimizer at its best rate: the mean over the seeds at some steps, the least and the most."""

    rate: float | None
    steps: np.ndarray
    mean: np.ndarray
    least: np.ndarray
    most: np.ndarray


def tuned(
    loss: Callable[..., Any],
    params: Any,
    data: Any,
    contestants: Mapping[str, Callable[..., Any]],
    *,
    rates: Iterable[float],
    steps: int,
    batch_size: int | None = None,
    seeds: int = 1,
    held_out: Any = None,
    every: int = 1,
    without_rate: Iterable[str] = (),
) -> dict[str, Curve]:
    """The curve of each contestant, a function ``(learning_rate) -> transformation``; some have no rate to choose."""
    rates, found = [float(rate) for rate in rates], {}
    for name, make in contestants.items():
        own = [1.0] if name in without_rate else rates
        lanes = gradtx.sweep.grid(make, learning_rate=own, seeds=range(seeds))
        options: dict[str, Any] = {"record_every": every}
        if held_out is not None:
            options = {"evaluate": lambda params: {HELD_OUT: loss(params, held_out)}, "metric": HELD_OUT}
            options |= {"evaluate_every": every, "better": "lower"}
        run = gradtx.sweep.run(
            loss, params, lanes, data, steps=steps, batch_size=batch_size, progress=False, **options
        )
        values = run.loss if held_out is None else run.curves[HELD_OUT]
        at = np.arange(1, values.shape[1] + 1) * every if held_out is None else run.evaluated
        rows = values.reshape(len(own), seeds, -1)
        best = int(np.nanargmin(np.where(np.isfinite(rows[:, :, -1]).all(1), rows[:, :, -1].mean(1), np.nan)))
        if len(own) > 1 and best in (0, len(own) - 1):
            raise ValueError(f"{name}: the best rate, {own[best]:g}, is at the edge of the sweep: give more rates")
        rate = None if name in without_rate else own[best]
        found[name] = Curve(rate, np.asarray(at), rows[best].mean(0), rows[best].min(0), rows[best].max(0))
    return found


def lines(curves: Mapping[str, Curve], *, beside: str, below: str = "step", **axes: Any) -> Figure:
    """The curves as a figure, with the rate of each in its label; what lies between the seeds is shaded."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.9), layout="constrained")
        for (name, curve), dash in zip(curves.items(), cycle(DASHES), strict=False):
            label = name if curve.rate is None else f"{name}, {curve.rate:.2g}"
            (line,) = ax.plot(curve.steps, curve.mean, label=label, ls=dash, lw=1.6)
            ax.fill_between(curve.steps, curve.least, curve.most, color=line.get_color(), alpha=0.2, lw=0)
        ax.set(xlabel=below, ylabel=beside, **axes)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
