"""How large activations are after each of twenty layers, by how the weights began."""

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from gradtx import initializers
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

WIDTH, DEPTH = 256, 20
STARTS = {
    "normal, deviation 0.01": (initializers.normal(0.01), jnp.tanh),
    "Xavier": (initializers.xavier_normal(), jnp.tanh),
    "Xavier, gain for tanh": (initializers.xavier_normal(initializers.gain("tanh")), jnp.tanh),
    "ReLU, Xavier": (initializers.xavier_normal(), jax.nn.relu),
    "ReLU, He": (initializers.he_normal(), jax.nn.relu),
}


def draw() -> Figure:
    """Root mean squares of activations over depth."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.9), layout="constrained")
        for (name, (init, activation)), dash in zip(STARTS.items(), DASHES, strict=False):
            x, sizes = jax.random.normal(jax.random.key(0), (64, WIDTH)), []
            for key in jax.random.split(jax.random.key(1), DEPTH):
                x = activation(x @ init(key, (WIDTH, WIDTH)))
                sizes.append(float(jnp.sqrt(jnp.mean(x**2))))
            ax.plot(range(1, DEPTH + 1), sizes, label=name, ls=dash, lw=1.6)
        ax.set(xlabel="layer", ylabel="size of activations", yscale="log", ylim=(1e-4, 3))
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
