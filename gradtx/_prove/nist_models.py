"""The models of NIST's nonlinear regressions: each a function of its parameters and of the predictors."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

Array = Any


def gauss(b: Array, x: Array) -> Array:
    """An exponential and two bells."""
    bells = b[2] * jnp.exp(-((x - b[3]) ** 2) / b[4] ** 2) + b[5] * jnp.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    return b[0] * jnp.exp(-b[1] * x) + bells


def three_exponentials(b: Array, x: Array) -> Array:
    """A sum of three exponentials."""
    return b[0] * jnp.exp(-b[1] * x) + b[2] * jnp.exp(-b[3] * x) + b[4] * jnp.exp(-b[5] * x)


def cubic_over_cubic(b: Array, x: Array) -> Array:
    """A rational function."""
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def oscillations(b: Array, x: Array) -> Array:
    """The year's cycle, and two whose lengths are parameters."""

    def wave(length: Array | float, cos: Array, sin: Array) -> Array:
        turn = 2 * jnp.pi * x / length
        return cos * jnp.cos(turn) + sin * jnp.sin(turn)

    return b[0] + wave(12.0, b[1], b[2]) + wave(b[3], b[4], b[5]) + wave(b[6], b[7], b[8])


def chwirut(b: Array, x: Array) -> Array:
    """A decay over a line."""
    return jnp.exp(-b[0] * x) / (b[1] + b[2] * x)


def saturation(b: Array, x: Array) -> Array:
    """Growth to a limit."""
    return b[0] * (1 - jnp.exp(-b[1] * x))


MODELS: dict[str, Callable[..., Array]] = {
    "Misra1a": saturation,
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "BoxBOD": saturation,
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "Lanczos1": three_exponentials,
    "Lanczos2": three_exponentials,
    "Lanczos3": three_exponentials,
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Hahn1": cubic_over_cubic,
    "Thurber": cubic_over_cubic,
    "Nelson": lambda b, x, z: b[0] - b[1] * x * jnp.exp(-b[2] * z),  # of log y
    "MGH17": lambda b, x: b[0] + b[1] * jnp.exp(-x * b[3]) + b[2] * jnp.exp(-x * b[4]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - jnp.arctan(b[2] / (x - b[3])) / jnp.pi,
    "ENSO": oscillations,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "Rat42": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "MGH10": lambda b, x: b[0] * jnp.exp(b[1] / (x + b[2])),
    "Eckerle4": lambda b, x: b[0] / b[1] * jnp.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
}
