"""A small network on handwritten digits in mini-batches: constant rates and cosines, each at its best of 9 rates."""

import functools

import jax
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import Problem, lines, tuned
from gradtx._cli.problems import cross_entropy, digits, layers_of, split

STEPS = 300


def falling(rate):
    """Half a cosine."""
    return gradtx.cosine_decay_schedule(rate, STEPS)


CONTESTANTS = {
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "momentum, cosine": lambda learning_rate: gradtx.sgd(falling(learning_rate), 0.9),
    "Adam, cosine": lambda learning_rate: gradtx.adam(falling(learning_rate)),
    "Muon, cosine": lambda learning_rate: gradtx.muon(
        falling(learning_rate), adam_learning_rate=0.1 * falling(learning_rate)
    ),
    "Schedule-Free Adam": lambda learning_rate: gradtx.schedule_free_adamw(learning_rate),
}


@functools.cache
def curves():
    """Of three seeds each."""
    data = digits().data
    x, x_held, y, y_held = jax.tree.map(jax.numpy.asarray, split(data["x"], data["y"], 0))
    start = functools.partial(layers_of, (64, 32, 10))
    problem = Problem(cross_entropy, start, {"x": x, "y": y}, 16, {"x": x_held, "y": y_held})
    return tuned(problem, CONTESTANTS, rates=np.geomspace(1e-3, 1.0, 9), steps=STEPS, every=20, seeds=3)


def draw() -> Figure:
    """The loss on images that were not trained on."""
    return lines(curves(), beside="held-out loss", yscale="log")
