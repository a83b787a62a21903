"""A long ravine: first-order methods on a quadratic of condition number 50, each at its best of 30 rates."""

import functools

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import Problem, tuned
from gradtx import plot
from gradtx._cli.race import trajectories
from gradtx._cli.surfaces import SURFACES

STEPS = 60
RAVINE = SURFACES["ravine"]
CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.8),
    "Nesterov": lambda learning_rate: gradtx.nesterov(learning_rate, 0.8),
    "Adam": gradtx.adam,
}


@functools.cache
def race():
    """Paths and losses of each at its best."""
    problem = Problem(lambda p, _: RAVINE.loss(p), lambda _: jnp.asarray(RAVINE.start))
    best = tuned(problem, CONTESTANTS, rates=np.geomspace(1e-3, 3.0, 30), steps=STEPS)
    runners = {f"{name}, {best[name].rate:.2g}": make(best[name].rate) for name, make in CONTESTANTS.items()}
    return trajectories(RAVINE, runners, STEPS)


def draw() -> Figure:
    """Paths and losses."""
    figure = plot.race(RAVINE, *race())
    figure.set_size_inches(7, 3.6)
    return figure
