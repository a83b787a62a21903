"""Rosenbrock's valley: what the use of curvature does to the number of steps."""

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

OPTIMIZERS = {
    "gradient descent": gradtx.sgd(2e-3),
    "momentum": gradtx.sgd(1e-3, 0.9),
    "Adam": gradtx.adam(0.1),
    "L-BFGS": gradtx.lbfgs(),
    "Newton by conjugate gradients": gradtx.newton_cg(),
    "Newton": gradtx.newton(),
}


def rosenbrock(p):
    """A curved valley with its minimum at (1, 1)."""
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def draw() -> Figure:
    """The loss over the steps, both logarithmic."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.9), layout="constrained")
        for (name, tx), dash in zip(OPTIMIZERS.items(), DASHES, strict=True):
            run = gradtx.minimize(
                rosenbrock, jnp.array([-1.2, 1.0]), tx, steps=10_000, gradient_tol=1e-3, progress=False
            )
            losses = np.append(np.asarray(run.loss), float(run.final_loss))
            ax.plot(np.arange(1, len(losses) + 1), np.maximum(losses, 1e-9), label=name, ls=dash, lw=1.6)
        ax.set(xscale="log", yscale="log", xlabel="step", ylabel="loss", ylim=(1e-9, 1e4))
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
