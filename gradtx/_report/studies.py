"""Pictures of studies: the loss over learning rates and over the lengths of runs, and what numbers explain."""

from typing import Any

import numpy as np

from gradtx._report.canvas import ink, pyplot


def _axes(title: str) -> Any:
    _, ax = pyplot().subplots(figsize=(7, 4), layout="constrained")
    ax.set_title(title)
    return ax


def learning_rates(found: Any) -> Any:
    """The loss over the rates of `gradtx.sweep.lr_finder`, with the pick and the limit."""
    ax = _axes(f"learning rate {found.learning_rate:.3g}")
    inside = np.isfinite(found.loss) & (found.loss <= found.start + 2 * abs(found.start))  # beyond, it only goes up
    ax.semilogx(found.rates[inside], found.loss[inside], marker=".")
    ax.axvline(found.learning_rate, color=ink(), label=f"the pick, {found.learning_rate:.3g}")
    ax.axhline(found.start, color="gray", linestyle=":", label="where it began")
    if np.isfinite(found.limit):
        ax.axvspan(found.limit, found.rates[-1], color="tab:red", alpha=0.15, label=f"fails, from {found.limit:.3g} on")
    ax.set_xlim(found.rates[0], found.rates[-1])
    if (found.loss[inside] > 0).all() and found.start > 0:
        ax.set_yscale("log")
    ax.set_xlabel("learning rate")
    ax.set_ylabel("loss at the end of a short run")
    ax.legend()
    return ax.figure


def horizons(found: Any) -> Any:
    """The curves of `gradtx.sweep.horizons`, and the loss over the length."""
    ax = _axes(f"{found.steps_spent:,} steps in place of {found.steps_alone:,}")
    every = found.sweep.record_every
    steps = np.arange(found.sweep.loss.shape[1]) * every
    ax.plot(steps, found.sweep.loss[-1], linewidth=1, color="gray", label=f"{found.lengths[-1]:,} steps, the trunk")
    for n, length in enumerate(found.lengths[:-1]):
        own = steps >= found.branches[n] - every
        ax.plot(steps[own], found.sweep.loss[n][own], linewidth=1.5, label=f"{length:,} steps")
    ax.plot(found.lengths, found.sweep.final_loss, "o", color=ink(), markersize=4, label="final loss")
    if np.nanmin(found.sweep.loss) > 0 and np.min(found.sweep.final_loss) > 0:
        ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    ax.legend()
    return ax.figure


def importances(found: Any, most: int = 10) -> Any:
    """The shares of `gradtx.sweep.importance` as bars, the largest above, with their intervals where there are any."""
    rows = sorted(found.table(), key=lambda row: row["importance"])[-most:]
    ax = _axes(f"what explains the variance of {found.metric.replace('_', ' ')}")
    shares = np.asarray([row["importance"] for row in rows])
    ends = np.asarray([[row["low"], row["high"]] for row in rows])
    ax.barh([row["number"] for row in rows], 100 * shares, color="tab:blue")
    if np.isfinite(ends).all():
        ax.hlines(range(len(rows)), 100 * ends[:, 0], 100 * ends[:, 1], color=ink(), linewidth=2, label="90 % interval")
        ax.legend(loc="lower right")
    ax.set_xlabel("share of the variance, %")
    ax.set_xlim(left=0)
    return ax.figure
