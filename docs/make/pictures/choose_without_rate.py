"""Digits: what becomes of an optimizer whose rate is off by a factor, from what it usually is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import Problem, in_one_program
from gradtx._cli.problems import cross_entropy, digits, layers_of
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

STEPS, FACTORS = 300, np.geomspace(1e-3, 1e3, 13)
USUAL = {  # what multiplies the factor
    "Adam, 0.001": lambda factor: gradtx.adam(1e-3 * factor),
    "SGD, 0.1": lambda factor: gradtx.sgd(0.1 * factor),
    "Prodigy, 1": lambda factor: gradtx.prodigy(factor),
    "DoWG, 1": lambda factor: gradtx.dowg(factor),
    "COCOB": lambda factor: gradtx.cocob(factor),
    "Mechanic of SGD, 0.1": lambda factor: gradtx.mechanize(gradtx.sgd(0.1 * factor)),
}


@functools.cache
def losses():
    """The training loss at the end, the mean of two seeds, for each factor."""
    rows = jax.tree.map(jnp.asarray, digits().data)
    problem = Problem(cross_entropy, functools.partial(layers_of, (64, 32, 10)), rows, 32)
    drawn = problem.drawn(STEPS, STEPS, 2)
    train = in_one_program(problem)
    populations = {name: gradtx.sweep.grid(make, factor=FACTORS.tolist()) for name, make in USUAL.items()}
    return {name: np.asarray(train(lanes.tx, *drawn))[:, :, -1].mean(1) for name, lanes in populations.items()}


def draw() -> Figure:
    """The training loss at the end, over the factors."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.9), layout="constrained")
        for (name, values), dash in zip(losses().items(), DASHES, strict=True):
            ax.plot(FACTORS, np.minimum(np.nan_to_num(values, nan=1e3), 1e3), label=name, ls=dash, lw=1.6)
        ax.set(xscale="log", yscale="log", xlabel="times the usual rate", ylabel="training loss", ylim=(0.01, 10))
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
