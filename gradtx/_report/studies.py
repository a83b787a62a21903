"""Pictures of studies: the loss over learning rates, and over the lengths of runs."""

from typing import Any

import numpy as np

from gradtx._report.canvas import pyplot


def _axes(title: str) -> Any:
    _, ax = pyplot().subplots(figsize=(7, 4), layout="constrained")
    ax.set_title(title)
    return ax


def learning_rates(found: Any) -> Any:
    """The loss over the rates of `gradtx.sweep.lr_finder`, with the pick and the limit."""
    ax = _axes(f"learning rate {found.learning_rate:.3g}")
    inside = np.isfinite(found.loss) & (found.loss <= found.start + 2 * abs(found.start))  # beyond, it only goes up
    ax.semilogx(found.rates[inside], found.loss[inside], marker=".")
    ax.axvline(found.learning_rate, color="black", label=f"the pick, {found.learning_rate:.3g}")
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
    ax.plot(steps, found.sweep.loss[-1], linewidth=1, color="silver", label=f"{found.lengths[-1]:,} steps, the trunk")
    for n, length in enumerate(found.lengths[:-1]):
        own = steps >= found.branches[n] - every
        ax.plot(steps[own], found.sweep.loss[n][own], linewidth=1.5, label=f"{length:,} steps")
    ax.plot(found.lengths, found.sweep.final_loss, "ko", markersize=4, label="final loss")
    if np.nanmin(found.sweep.loss) > 0 and np.min(found.sweep.final_loss) > 0:
        ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    ax.legend()
    return ax.figure
