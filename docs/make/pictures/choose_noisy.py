"""A small network on handwritten digits in mini-batches: constant rates and cosines, each at its best of 12 rates."""

import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import lines, tuned
from gradtx._cli.problems import cross_entropy, digits, split

STEPS = 300


def falling(rate):
    """Half a cosine."""
    return gradtx.cosine_decay_schedule(rate, STEPS)


CONTESTANTS = {
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "momentum, cosine": lambda learning_rate: gradtx.sgd(falling(learning_rate), 0.9),
    "Adam": gradtx.adam,
    "Adam, cosine": lambda learning_rate: gradtx.adam(falling(learning_rate)),
    "Lion, cosine": lambda learning_rate: gradtx.lion(falling(learning_rate)),
    "Schedule-Free Adam": lambda learning_rate: gradtx.schedule_free_adamw(learning_rate),
}


def draw() -> Figure:
    """The held-out loss, of three seeds each."""
    problem = digits(hidden=(32,))
    x, x_held, y, y_held = split(problem.data["x"], problem.data["y"], 0)
    curves = tuned(
        cross_entropy, problem.init, {"x": x, "y": y}, CONTESTANTS, held_out={"x": x_held, "y": y_held},
        rates=np.geomspace(1e-4, 3.0, 12), steps=STEPS, batch_size=16, seeds=3, every=20,
    )  # fmt: skip
    return lines(curves, beside="held-out loss", yscale="log")
