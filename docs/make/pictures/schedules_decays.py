"""The usual decays, from 1 over 100 steps."""

from matplotlib.figure import Figure

import gradtx
from gradtx import plot

SCHEDULES = {
    "linear": gradtx.linear_schedule(1.0, 0.0, 100),
    "cosine": gradtx.cosine_decay_schedule(1.0, 100),
    "exponential": gradtx.exponential_decay(1.0, 20, 0.5),
    "inverse time": gradtx.inverse_time_decay(1.0, 10, 1.0),
    "polynomial, power 3": gradtx.polynomial_schedule(1.0, 0.0, 3, 100),
    "piecewise constant": gradtx.piecewise_constant_schedule(1.0, {40: 0.5, 75: 0.2}),
}


def draw() -> Figure:
    """As ``python -m gradtx schedule`` draws them."""
    figure = plot.schedules(SCHEDULES, 100)
    figure.set_size_inches(6, 3.7)
    return figure
