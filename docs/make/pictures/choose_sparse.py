"""Rare features: logistic regression on columns that are mostly zero, each at its best of 16 rates."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import lines, tuned

CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "AdaGrad": lambda learning_rate: gradtx.adagrad(learning_rate, 0.0),
    "RMSProp": gradtx.rmsprop,
    "Adam": gradtx.adam,
}


def words(rows=4000, features=200):
    """A word is in a document with a probability of 1/rank; all words say equally much of its class."""
    there, meaning, chance = jax.random.split(jax.random.key(0), 3)
    often = 1.0 / jnp.arange(1.0, features + 1)
    x = jax.random.bernoulli(there, often[None], (rows, features)).astype(jnp.float32)
    w = 2 * jax.random.normal(meaning, (features,))
    y = jax.random.uniform(chance, (rows,)) < jax.nn.sigmoid(x @ w)
    return {"x": x, "y": 2.0 * y.astype(jnp.float32) - 1.0}


def loss(w, batch):
    """Cross-entropy."""
    return jnp.mean(jnp.logaddexp(0.0, -batch["y"] * (batch["x"] @ w)))


def draw() -> Figure:
    """The loss on rows that were not trained on, of three seeds."""
    data = words()
    train, held_out = ({name: x[part] for name, x in data.items()} for part in (slice(3000), slice(3000, None)))
    curves = tuned(
        loss, jnp.zeros(200), train, CONTESTANTS, held_out=held_out,
        rates=np.geomspace(1e-3, 30.0, 16), steps=400, batch_size=16, seeds=3, every=20,
    )  # fmt: skip
    return lines(curves, beside="held-out loss")
