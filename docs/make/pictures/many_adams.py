"""A whole sweep as one program: 448 Adams in a curved valley."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import gradtx

RATES, B1 = np.geomspace(1e-3, 3.0, 28), np.linspace(0.0, 0.97, 16)
STEPS = 150


def loss(x: jax.Array) -> jax.Array:
    """A curved valley, 10 times as steep as it is long: Rosenbrock's, made milder."""
    return (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2


def trained(tx: gradtx.GradientTransformation) -> jax.Array:
    """The loss after some steps from one start."""

    def step(carry, _):
        x, state = carry
        updates, state = tx.update(jax.grad(loss)(x), state, x)
        return (gradtx.apply_updates(x, updates), state), None

    x = jnp.array([-1.2, 1.0])
    (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), length=STEPS)
    return loss(x)


def draw() -> Figure:
    """The loss at the end, for every learning rate and every decay of the momentum."""
    rates, decays = (jnp.asarray(a.ravel(), jnp.float32) for a in np.meshgrid(RATES, B1))
    ends = jax.jit(jax.vmap(trained))(jax.vmap(gradtx.adam)(rates, decays))
    figure, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
    shade = np.log10(np.maximum(np.asarray(ends), 1e-8)).reshape(B1.size, RATES.size)
    mesh = ax.pcolormesh(RATES, B1, shade, cmap="viridis_r", shading="gouraud", rasterized=True)
    ax.set(
        xscale="log", xlabel="learning_rate", ylabel="b1", title=f"{rates.size} Adams after {STEPS} steps, one program"
    )
    bar = figure.colorbar(mesh, ax=ax, label="log₁₀ of the loss")
    bar.outline.set_visible(False)
    return figure
