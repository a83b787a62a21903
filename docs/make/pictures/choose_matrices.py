"""A transformer of one layer on the letters of Python's own sources, each at its best of 6 rates."""

import argparse
import functools
import inspect

import jax
import numpy as np
from matplotlib.figure import Figure

import gradtx
from docs.make.contest import lines, tuned
from examples.char_model import corpus, loss, rate, transformer

STEPS = 60


def others(learning_rate):
    """The rate of what is no matrix."""
    return 0.2 * rate(learning_rate, STEPS)


CONTESTANTS = {
    "AdamW": lambda learning_rate: gradtx.adamw(rate(learning_rate, STEPS), b2=0.99),
    "Muon": lambda learning_rate: gradtx.muon(rate(learning_rate, STEPS), adam_learning_rate=others(learning_rate)),
    "SOAP": lambda learning_rate: gradtx.soap(rate(learning_rate, STEPS)),
    "Lion": lambda learning_rate: gradtx.lion(rate(learning_rate, STEPS)),
    "momentum": lambda learning_rate: gradtx.sgd(rate(learning_rate, STEPS), 0.9),
}


def draw() -> Figure:
    """The held-out loss over the steps."""
    train, held_out = corpus([argparse, inspect], 20_000)
    curves = tuned(
        loss, functools.partial(transformer, layers=1), train, CONTESTANTS, held_out=held_out[:40],
        rates=np.geomspace(1e-3, 1.0, 6), steps=STEPS, batch_size=8, every=10,
    )  # fmt: skip
    return lines(curves, beside="held-out loss, nats a letter")
