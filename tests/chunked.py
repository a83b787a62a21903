"""A small sweep for workers, in a module that imports little: they load it by its name."""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx import sweep

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
DATA = {"x": X, "y": np.tanh(X @ np.array([1.0, -2.0, 0.5], np.float32))}


def ridge(params, batch, l2):
    """A loss with a number of its own."""
    miss = jnp.tanh(batch["x"] @ params["w"]) - batch["y"]
    return jnp.mean(miss**2) + l2 * jnp.sum(params["w"] ** 2)


def start(key):
    """Initial parameters."""
    return {"w": jax.random.normal(key, (3,))}


def lanes(rates=5):
    """Two structures, seeds, a number of the loss, and rates up to where training is chaotic."""
    axes = {"numbers": {"l2": [0.0, 0.1]}, "seeds": [0, 1]}
    return sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-3, 3.0, rates).tolist(), **axes) + sweep.grid(
        gradtx.sgd, learning_rate=[0.1, 30.0], **axes
    )


def run(folder=None, **options):
    """The sweep, of 28 lanes."""
    given = {"steps": 60, "batch_size": 7, "record_every": 2} | options
    loss, population = given.pop("loss", ridge), given.pop("population", None)
    return sweep.run(loss, start, population or lanes(), DATA, folder=folder, **given)
