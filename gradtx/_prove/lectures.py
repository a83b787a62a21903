"""What lectures on optimizers work out on the board."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx import curvature
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import path_of, updates_of

SERIES = (3.0, 5.0, 6.0, 2.0, 4.0, 8.0)


def square(rate: float) -> Callable[[], Any]:
    """Three steps of gradient descent on x² from 10."""
    return lambda: path_of(gradtx.sgd(rate), jax.grad(lambda x: jnp.sum(x**2)), [10.0], 3)[1:]


def averages(tx: Callable[[], Any]) -> Callable[[], Any]:
    """A moving average of the series, after each of its numbers."""
    return lambda: updates_of(tx(), np.array(SERIES)[:, None])


def two_lines(theta: Any) -> Any:
    """The loss of a line through two points."""
    return (20 - 5 * theta) ** 2 + (41 - 12 * theta) ** 2


def hills(theta: Any) -> Any:
    """A loss of one parameter with many valleys."""
    return jnp.sin(2 * theta) * jnp.log(theta**2)


def minimum_of_two_lines() -> Any:
    """One step of Newton's method, from afar."""
    return gradtx.minimize(two_lines, 100.0, gradtx.newton(), steps=1).params


def without_correction() -> Any:
    """Adam's first step without the correction of its bias, in learning rates."""
    links = gradtx.scale_by_ewma(0.9), gradtx.scale_by_rms(0.999, bias_correction=False)
    return updates_of(gradtx.chain(*links), [[1.0]])


def kinds() -> Any:
    """The curvatures of the saddle x₁² − x₂² at its critical point."""
    return curvature.spectrum(lambda x: x[0] ** 2 - x[1] ** 2, jnp.zeros(2)).eigenvalues


LOGARITHM = "the lecture took log₁₀ for the logarithm in one term of the derivative"
SOURCE = Source(
    "lectures",
    "Lectures on optimizers for deep learning",
    "worked examples of DS 4440, CS 480/680 (lecture 17) and other courses; Ng: his second course",
    (
        Row("gradient descent .2 on x² from 10", "6 3.6 2.16", square(0.2), decimals=9),
        Row("gradient descent .05 on x² from 10", "9 8.1 7.29", square(0.05), decimals=9),
        Row(
            "momentum .5 under a constant gradient of .1, steps in learning rates",
            "0.1 0.15 0.175 0.1875",
            lambda: -updates_of(gradtx.sgd(1.0, momentum=0.5), np.full((4, 1), 0.1)),
            decimals=9,
        ),
        Row(
            "momentum .5, the speed that it tends to",
            "0.2",
            lambda: -updates_of(gradtx.sgd(1.0, momentum=0.5), np.full((60, 1), 0.1))[-1],
            decimals=9,
        ),
        Row(
            "moving average, β = .5, of 3, 5, 6, 2, 4, 8",
            "1.5 3.25 4.625 3.3125 3.65625 5.828125",
            averages(lambda: gradtx.scale_by_ewma(0.5)),
            decimals=9,
        ),
        Row(
            "moving average, β = .9, of the same",
            "0.3 0.77 1.293 1.3637 1.62733 2.264597",
            averages(lambda: gradtx.scale_by_ewma(0.9)),
            decimals=9,
        ),
        Row(
            "what such an average remembers, β = .9, .98, .5 (Ng)",
            "10 50 2",
            lambda: [gradtx.effective_window(decay) for decay in (0.9, 0.98, 0.5)],
        ),
        Row(
            "the weight of what lies ten steps back, β = .9, in the newest's (Ng)",
            "0.35",
            lambda: gradtx.ewma_weights(0.9, 11)[10] / gradtx.ewma_weights(0.9, 11)[0],
        ),
        Row("Adam without correction of its bias, the first step in learning rates", "3.162", without_correction),
        Row("Newton's method on (20 − 5θ)² + (41 − 12θ)², one step from 100", "3.50", minimum_of_two_lines),
        Row("curvatures of x₁² − x₂² at 0", "-2 2", lambda: np.sort(kinds())),
        Row(
            "the slope of sin 2θ · log θ² at −5",
            "-2.56",
            lambda: jax.grad(hills)(-5.0),
            reason=LOGARITHM,
        ),
    ),
)
