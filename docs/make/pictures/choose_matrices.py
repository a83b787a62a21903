"""Rules of matrices on one linear layer whose inputs are correlated, each at its best of 10 rates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import Problem, lines, tuned

STEPS, WIDE = 120, 24


def falling(rate):
    """A line to zero."""
    return gradtx.linear_schedule(rate, 0.0, STEPS)


CONTESTANTS = {  # decays of 0.9 and 0.99, but for one
    "Adam": lambda learning_rate: gradtx.adam(falling(learning_rate), 0.9, 0.99),
    "Muon": lambda learning_rate: gradtx.muon(falling(learning_rate), beta=0.9),
    "Shampoo": lambda learning_rate: gradtx.shampoo(falling(learning_rate), 0.9, 0.99),
    "SOAP": lambda learning_rate: gradtx.soap(falling(learning_rate), 0.9, 0.99, weight_decay=0.0),
    "SOAP, decays 0.95": lambda learning_rate: gradtx.soap(falling(learning_rate), 0.95, 0.95, weight_decay=0.0),
}


def rows(count=2000):
    """Inputs that are long in some directions and short in others, which are not those of the axes."""
    basis, weights = (jax.random.normal(key, (WIDE, WIDE)) for key in jax.random.split(jax.random.key(1)))
    turn, _ = jnp.linalg.qr(basis)
    x = jax.random.normal(jax.random.key(2), (count, WIDE)) * jnp.geomspace(1.0, 0.03, WIDE)[None] @ turn
    return {"x": x, "y": x @ weights}


def loss(params, batch):
    """Squares."""
    return jnp.mean((batch["x"] @ params["kernel"] - batch["y"]) ** 2)


@functools.cache
def curves():
    """Of two seeds each."""
    data = rows()
    train, held_out = ({name: x[part] for name, x in data.items()} for part in (slice(1500), slice(1500, None)))
    problem = Problem(loss, lambda _: {"kernel": jnp.zeros((WIDE, WIDE))}, train, 64, held_out)
    return tuned(problem, CONTESTANTS, rates=np.geomspace(1e-2, 10.0, 10), steps=STEPS, every=5, seeds=2)


def draw() -> Figure:
    """The loss on rows that were not trained on."""
    return lines(curves(), beside="held-out loss", yscale="log")
