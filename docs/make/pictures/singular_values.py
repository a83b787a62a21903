"""Where a singular value ends, by the coefficients of `gradtx.orthogonalize`."""

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import gradtx
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

AXES = gradtx.MuonDimensionNumbers(1, 2)  # of a stack of matrices
NAMES = ("simple", "quintic", "polar_express", "cans", "deepseek_v4")


def draw() -> Figure:
    """The map of a singular value of a matrix of norm 1, from 0.001 to 1."""
    sizes = jnp.geomspace(1e-3, 1.0, 600)
    # beside each value stands a 1, so that the largest of a matrix is 1, and the value starts as it is
    pairs = jax.vmap(lambda size: jnp.diag(jnp.stack([size, jnp.ones([])])))(sizes)
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
        for name, dash in zip(NAMES, DASHES, strict=False):
            tx = gradtx.orthogonalize(name, preconditioning="spectral", weight_dimension_numbers=AXES)
            made, _ = tx.update(pairs, {})
            ax.plot(sizes, made[:, 0, 0], label=name, ls=dash, lw=1.5)
        ax.set(xscale="log", xlabel="singular value, the largest being 1", ylabel="after all steps", ylim=(0, 1.25))
        ax.legend(frameon=False, loc="lower right")
    return figure
