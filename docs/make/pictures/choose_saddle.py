"""Away from a saddle: the loss of x² − y² + y⁴/4 from a start almost on the ridge, each at its best of 24 rates."""

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import lines, tuned

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


def draw() -> Figure:
    """How far above the minimum, over 60 steps."""
    rates, start = np.geomspace(1e-3, 0.4, 24), jnp.array([-1.5, 1e-6])
    curves = tuned(loss, start, jnp.zeros(1), CONTESTANTS, rates=rates, steps=60)
    return lines(curves, beside="loss", xlim=(1, 60))
