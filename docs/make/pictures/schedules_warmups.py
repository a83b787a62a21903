"""Schedules that begin with a warm-up of 20 steps, in a run of 200."""

from matplotlib.figure import Figure

import gradtx
from gradtx import plot

SCHEDULES = {
    "warm-up, constant": gradtx.warmup_constant_schedule(0.0, 1.0, 20),
    "warm-up, cosine": gradtx.warmup_cosine_decay_schedule(0.0, 1.0, 20, 200),
    "warm-up, exponential": gradtx.warmup_exponential_decay_schedule(0.0, 1.0, 20, 60, 0.5),
    "inverse square root": gradtx.inverse_sqrt_schedule(0.0, 1.0, 20),
    "rectified, decay 0.99": gradtx.rectified_schedule(1.0, 0.99),
}


def draw() -> Figure:
    """As ``python -m gradtx schedule`` draws them."""
    figure = plot.schedules(SCHEDULES, 200)
    figure.set_size_inches(6, 3.7)
    return figure
