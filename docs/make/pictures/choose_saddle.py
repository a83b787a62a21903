"""Away from a saddle: x² − y² + y⁴/4 from a start almost on the ridge, each at the fastest of 32 rates."""

import functools

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import Problem, lines, tuned

CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "RMSProp": gradtx.rmsprop,
    "Adam": gradtx.adam,
    "Lion": lambda learning_rate: gradtx.lion(learning_rate, weight_decay=0.0),
}


def loss(p, _):
    """A saddle at the origin between two minima of −1."""
    return p[0] ** 2 - p[1] ** 2 + p[1] ** 4 / 4


@functools.cache
def curves():
    """Of 60 steps; the best is the lowest on average over them."""
    problem = Problem(loss, lambda _: jnp.array([-1.5, 1e-6]))
    return tuned(problem, CONTESTANTS, rates=np.geomspace(1e-3, 10.0, 32), steps=60, by="mean")


def draw() -> Figure:
    """The loss over the steps."""
    return lines(curves(), beside="loss", xlim=(1, 60))
