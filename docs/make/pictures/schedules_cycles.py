"""Schedules that go up and down, over 100 steps."""

from matplotlib.figure import Figure

import gradtx
from gradtx import plot

CYCLE = {"init_value": 0.1, "peak_value": 1.0, "warmup_steps": 0}
SCHEDULES = {
    "one cycle, cosines": gradtx.cosine_onecycle_schedule(100, 1.0),
    "one cycle, lines": gradtx.linear_onecycle_schedule(100, 1.0),
    "triangles, halved": gradtx.cyclic_schedule(0.1, 1.0, 12.5, mode="triangular2"),
    "warm restarts": gradtx.sgdr_schedule([CYCLE | {"decay_steps": 20}, CYCLE | {"decay_steps": 80}]),
}


def draw() -> Figure:
    """As ``python -m gradtx schedule`` draws them."""
    figure = plot.schedules(SCHEDULES, 100)
    figure.set_size_inches(6, 3.5)
    return figure
