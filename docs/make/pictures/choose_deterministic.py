"""A small convex problem without noise: logistic regression on 569 cell nuclei, each at its best of 16 rates."""

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer

import gradtx
from docs.make.contest import Curve, lines, tuned

CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "Adam": gradtx.adam,
    "L-BFGS": lambda learning_rate: gradtx.lbfgs(learning_rate),
    "Newton": lambda learning_rate: gradtx.newton(learning_rate),
}
STEPS = 100


def data():
    """Standardised columns, and a column of ones."""
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return {"x": jnp.asarray(np.c_[x, np.ones(len(x))], jnp.float32), "y": jnp.asarray(2 * y - 1, jnp.float32)}


def loss(w, batch):
    """Cross-entropy, and a little of the squares."""
    return jnp.mean(jnp.logaddexp(0.0, -batch["y"] * (batch["x"] @ w))) + 0.005 * jnp.sum(w**2)


def draw() -> Figure:
    """How far above the lowest loss."""
    rows, start = data(), jnp.zeros(31)
    curves = tuned(
        loss, start, rows, CONTESTANTS, rates=np.geomspace(1e-3, 10.0, 16), steps=STEPS,
        without_rate=("L-BFGS", "Newton"),
    )  # fmt: skip
    least = min(float(curve.mean.min()) for curve in curves.values())
    above = {
        name: Curve(c.rate, c.steps, *(np.maximum(x - least, 1e-8) for x in (c.mean, c.least, c.most)))
        for name, c in curves.items()
    }
    return lines(above, beside="loss above the lowest", yscale="log", xscale="log", ylim=(1e-7, 1))
