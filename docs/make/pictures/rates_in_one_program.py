"""The loss after a short training with gradient descent, over 64 learning rates that train in one program."""

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import gradtx
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES


def loss(params, batch):
    """The least squares of the first steps."""
    return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)


def draw() -> Figure:
    """The valley of the learning rate, at three lengths of the training."""
    x = jax.random.normal(jax.random.key(0), (100, 3))
    data, rates = {"x": x, "y": x @ jnp.array([1.0, -2.0, 3.0])}, jnp.geomspace(1e-3, 2.0, 64)
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
        for steps, dash in zip((5, 10, 20), DASHES, strict=False):

            def final_loss(tx, steps=steps):
                return gradtx.fit(loss, {"w": jnp.zeros(3)}, tx, data, steps=steps).final_loss

            losses = jax.jit(jax.vmap(final_loss))(jax.vmap(gradtx.sgd)(rates))
            ax.plot(rates, losses, label=f"after {steps} steps", ls=dash)
        ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss", ylim=(1e-9, 1e3))
        ax.legend(frameon=False, loc="lower left")
    return figure
