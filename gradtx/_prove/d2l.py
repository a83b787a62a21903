"""Dive into Deep Learning: its chapters on optimization print where each method ends."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import gradtx
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import path_of


def bowl(x: Any) -> Any:
    """The book's ill-conditioned quadratic."""
    return 0.1 * x[0] ** 2 + 2 * x[1] ** 2


def rippled(x: Any) -> Any:
    """The book's function with many minima."""
    return jnp.sum(x * jnp.cos(0.15 * jnp.pi * x))


def square(x: Any) -> Any:
    """The book's first example."""
    return jnp.sum(x**2)


def end(loss: Callable[[Any], Any], start: tuple[float, ...], steps: int, tx: Callable[[], Any]) -> Callable[[], Any]:
    """Where a method is after some steps."""
    return lambda: path_of(tx(), jax.grad(loss), start, steps)[-1]


def from_ten(tx: Callable[[], Any], loss: Callable[[Any], Any] = square) -> Callable[[], Any]:
    """Ten steps from x = 10."""
    return end(loss, (10.0,), 10, tx)


def from_the_side(tx: Callable[[], Any]) -> Callable[[], Any]:
    """Twenty steps on the bowl from (−5, −2)."""
    return end(bowl, (-5.0, -2.0), 20, tx)


BOWL = ".1x₁² + 2x₂² from (−5, −2), 20 steps"
SOURCE = Source(
    "d2l",
    "Dive into Deep Learning (Zhang, Lipton, Li & Smola)",
    "d2l.ai, chapter Optimization Algorithms: gd, sgd, momentum, adagrad, rmsprop",
    (
        Row("gradient descent .2 on x² from 10, 10 steps", "0.060466", from_ten(lambda: gradtx.sgd(0.2))),
        Row("gradient descent .05 on x² from 10, 10 steps", "3.486784", from_ten(lambda: gradtx.sgd(0.05))),
        Row("gradient descent 1.1 on x² from 10, 10 steps", "61.917364", from_ten(lambda: gradtx.sgd(1.1))),
        Row(
            "gradient descent 2 on x cos .15πx from 10, 10 steps",
            "-1.528166",
            from_ten(lambda: gradtx.sgd(2.0), rippled),
        ),
        Row(
            f"gradient descent .4 on {BOWL}",
            "-0.943467 -0.000073",
            from_the_side(lambda: gradtx.sgd(0.4)),
        ),
        Row(
            f"gradient descent .6 on {BOWL}",
            "-0.387814 -1673.365109",
            from_the_side(lambda: gradtx.sgd(0.6)),
        ),
        Row(
            f"momentum .6, .5 on {BOWL}",
            "0.007188 0.002553",
            from_the_side(lambda: gradtx.sgd(0.6, momentum=0.5)),
        ),
        Row(
            f"momentum .6, .25 on {BOWL}",
            "-0.126340 -0.186632",
            from_the_side(lambda: gradtx.sgd(0.6, momentum=0.25)),
        ),
        Row(
            f"AdaGrad .4 on {BOWL}",
            "-2.382563 -0.158591",
            from_the_side(lambda: gradtx.adagrad(0.4, 0.0, 1e-6)),
        ),
        Row(
            f"AdaGrad 2 on {BOWL}",
            "-0.002295 -0.000000",
            from_the_side(lambda: gradtx.adagrad(2.0, 0.0, 1e-6)),
        ),
        Row(
            f"RMSProp .4, .9 on {BOWL}",
            "-0.010599 0.000000",
            from_the_side(lambda: gradtx.rmsprop(0.4, 0.9, 1e-6)),
        ),
    ),
)
