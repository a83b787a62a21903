"""Rare words: a table of which letter follows which in Python's own sources, each at its best of 9 rates."""

import argparse
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import Problem, lines, tuned

RATES = np.geomspace(0.01, 100.0, 9)
CONTESTANTS = {
    "gradient descent": gradtx.sgd,
    "momentum": lambda learning_rate: gradtx.sgd(learning_rate, 0.9),
    "AdaGrad": lambda learning_rate: gradtx.adagrad(learning_rate, 0.0),
    "RMSProp": gradtx.rmsprop,
    "Adam": gradtx.adam,
}


def pairs():
    """A letter and the next one, as numbers below 97; every thirtieth pair is held out."""
    text = inspect.getsource(argparse).encode("ascii", "replace")
    letters = jnp.asarray(np.clip(np.frombuffer(text, np.uint8).astype(np.int32) - 31, 0, 96))
    both = {"before": letters[:-1], "after": letters[1:]}
    held_out = np.arange(len(letters) - 1) % 30 == 29
    return ({name: x[part] for name, x in both.items()} for part in (~held_out, held_out))


def loss(table, batch):
    """Cross-entropy of the next letter."""
    scores = jax.nn.log_softmax(table[batch["before"]])
    return -jnp.mean(jnp.take_along_axis(scores, batch["after"][:, None], 1))


@functools.cache
def curves():
    """Of two seeds each."""
    train, held_out = pairs()
    problem = Problem(loss, lambda _: jnp.zeros((97, 97)), train, 64, held_out)
    return tuned(problem, CONTESTANTS, rates=RATES, steps=200, every=25, seeds=2)


def draw() -> Figure:
    """The loss on pairs that were not trained on."""
    return lines(curves(), beside="held-out loss, nats")
