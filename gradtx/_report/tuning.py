"""Figures of tuning: the course of a descent, and a coordinate check (matplotlib, imported when used)."""

from typing import Any

import numpy as np

from gradtx._report.canvas import NEAT, ink, pyplot

NAMED = 12  # so many curves have a name in the legend


def course(tuned: Any) -> Any:
    """The loss of every training, the best so far in bold; beside it, the numbers relative to where they started."""
    plt, rows = pyplot(), tuned.history
    steps, losses = [row["step"] for row in rows], np.array([row["loss"] for row in rows])
    rejected = np.array([row["status"] == "rejected" for row in rows])
    best = np.minimum.accumulate(np.where(rejected, np.inf, losses))
    with plt.rc_context(NEAT):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.6), layout="constrained")
        left.plot(steps, np.where(rejected, np.nan, losses), "o", ms=4, color="tab:blue", label="accepted")
        left.plot(steps, np.where(rejected, losses, np.nan), "x", ms=5, color="0.6", label="rejected")
        left.plot(steps, best, color=ink(), lw=2, label="best so far")
        scale = "log" if np.all(losses[np.isfinite(losses)] > 0) else "linear"
        left.set(xlabel="training", ylabel="loss at the end", yscale=scale)
        left.legend(frameon=False)
        shades = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(tuned.best)))
        for n, (name, shade) in enumerate(zip(tuned.best, shades, strict=True)):
            values = np.array([row[name] for row in rows])
            right.plot(steps, values / values[0], color=shade, lw=1.3, label=name if n < NAMED else None)
        right.set(xlabel="training", ylabel="number, relative to its start", yscale="log")
        right.legend(frameon=False, fontsize=7)
    return figure


def coordinates(check: Any) -> Any:
    """One place a layer: the mean change of its activations against the width, one curve for each step."""
    plt, layers = pyplot(), list(check.changes)
    slopes = check.slopes()
    with plt.rc_context(NEAT):
        figure, places = plt.subplots(
            1, len(layers), figsize=(3.4 * len(layers) + 1, 3.6), squeeze=False, sharey=True, layout="constrained"
        )
        for ax, layer in zip(places[0], layers, strict=True):
            table = check.changes[layer]
            shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, table.shape[1]))
            for step in range(1, table.shape[1]):
                ax.plot(check.widths, table[:, step], "o-", ms=3, lw=1.2, color=shades[step], label=f"step {step}")
            ax.set_xscale("log", base=2)
            ax.set(xlabel="width", yscale="log", title=f"{layer}: power {slopes[layer][-1]:.2f}")
        places[0, 0].set_ylabel("mean |x − x₀|")
        places[0, -1].legend(frameon=False, fontsize=7)
    return figure
