"""A long ravine: first-order methods on a quadratic of condition number 50, each at its best of 30 rates."""

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import tuned
from gradtx import plot
from gradtx._cli.race import trajectories
from gradtx._cli.surfaces import SURFACES

STEPS = 60
CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.8),
    "Nesterov": lambda learning_rate: gradtx.nesterov(learning_rate, 0.8),
    "Adam": gradtx.adam,
}


def draw() -> Figure:
    """Paths and losses."""
    ravine = SURFACES["ravine"]
    start, rates = jnp.asarray(ravine.start), np.geomspace(1e-3, 3.0, 30)
    best = tuned(
        lambda p, _: ravine.loss(p), start, jnp.zeros(1), CONTESTANTS, rates=rates, steps=STEPS, every=STEPS
    )
    runners = {f"{name}, {best[name].rate:.2g}": make(best[name].rate) for name, make in CONTESTANTS.items()}
    figure = plot.race(ravine, *trajectories(ravine, runners, STEPS))
    figure.set_size_inches(7.5, 3.8)
    return figure
