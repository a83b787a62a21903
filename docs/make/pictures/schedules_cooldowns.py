"""A warm-up of 10 steps, and the cool-downs of the last 40 of 100."""

from matplotlib.figure import Figure

import gradtx
from gradtx import plot

WARM = gradtx.warmup_constant_schedule(0.0, 1.0, 10)
SCHEDULES = {
    "linear": gradtx.warmup_stable_decay_schedule(0.0, 1.0, 10, 50, 40),
    "cosine": gradtx.warmup_stable_decay_schedule(0.0, 1.0, 10, 50, 40, cooldown="cosine"),
    "square": gradtx.warmup_stable_decay_schedule(0.0, 1.0, 10, 50, 40, cooldown="square"),
    "one minus the root": WARM * gradtx.sqrt_cooldown_schedule(1.0, 100, 40),
    "power 1.2": WARM * gradtx.power_cooldown_schedule(1.0, 100, 40),
}


def draw() -> Figure:
    """As ``python -m gradtx schedule`` draws them."""
    figure = plot.schedules(SCHEDULES, 100)
    figure.set_size_inches(6, 3.7)
    return figure
