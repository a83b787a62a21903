"""A small convex problem without noise: logistic regression on 569 cell nuclei, each at its best of 16 rates."""

import functools

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer

import gradtx
from docs.make.contest import Curve, Problem, lines, tuned

CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "Adam": gradtx.adam,
    "L-BFGS": lambda learning_rate: gradtx.lbfgs(learning_rate),
    "Newton": lambda learning_rate: gradtx.newton(learning_rate),
}


def rows():
    """Standardised columns, and a column of ones."""
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return {"x": jnp.asarray(np.c_[x, np.ones(len(x))], jnp.float32), "y": jnp.asarray(2 * y - 1, jnp.float32)}


def loss(w, batch):
    """Cross-entropy, and a little of the squares."""
    return jnp.mean(jnp.logaddexp(0.0, -batch["y"] * (batch["x"] @ w))) + 0.005 * jnp.sum(w**2)


@functools.cache
def curves():
    """How far above the lowest loss that any of them found."""
    problem = Problem(loss, lambda _: jnp.zeros(31), rows())
    without = ("L-BFGS", "Newton")
    found = tuned(problem, CONTESTANTS, rates=np.geomspace(1e-3, 10.0, 16), steps=100, without_rate=without)
    least = min(float(curve.mean.min()) for curve in found.values())
    above = {name: np.maximum(curve.mean - least, 1e-8) for name, curve in found.items()}
    return {name: Curve(curve.rate, curve.steps, *[above[name]] * 3) for name, curve in found.items()}


def draw() -> Figure:
    """Both axes logarithmic."""
    return lines(curves(), beside="loss above the lowest", yscale="log", xscale="log", ylim=(1e-7, 1))
