"""Loss surfaces to look at: functions of one or two parameters, with a start and a window."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp


@dataclass(frozen=True)
class Surface:
    """A ``loss`` of one or two parameters, where paths ``start``, and the ``window`` to draw, (low, high) an axis.

    ``minima``: where the lowest points are, if they are known. ``rate``: a learning rate that suits gradient descent.
    """

    loss: Callable[[Any], Any]
    start: tuple[float, ...]
    window: tuple[tuple[float, float], ...]
    minima: tuple[tuple[float, ...], ...]
    rate: float
    formula: str


def beale(p):
    """Beale's function: flat, with steep walls; 0 at (3, ½)."""
    x, y = p[0], p[1]
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(p):
    """Rosenbrock's banana valley: easy to find, hard to follow; 0 at (1, 1)."""
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def saddle(p):
    """A saddle, x₁² − x₂²: no minimum, and a gradient that vanishes at the origin."""
    return p[0] ** 2 - p[1] ** 2


def ravine(p):
    """A long ravine ½(x² + 50y²): a quadratic of condition number 50."""
    return 0.5 * (p[0] ** 2 + 50 * p[1] ** 2)


def valleys(p):
    """L(θ) = sin 2θ · log θ², with a valley beside every hill."""
    return jnp.sin(2 * p[0]) * jnp.log(p[0] ** 2)


SURFACES = {
    "beale": Surface(beale, (0.5, 1.6), ((-1.0, 4.0), (-1.5, 2.5)), ((3.0, 0.5),), 5e-3, beale.__doc__ or ""),
    "rosenbrock": Surface(
        rosenbrock, (-1.2, 1.0), ((-2.0, 2.0), (-1.0, 3.0)), ((1.0, 1.0),), 1e-3, rosenbrock.__doc__ or ""
    ),
    "saddle": Surface(saddle, (-1.5, 1e-3), ((-2.0, 2.0), (-2.0, 2.0)), (), 0.05, saddle.__doc__ or ""),
    "ravine": Surface(ravine, (-9.0, 1.5), ((-10.0, 3.0), (-2.5, 2.5)), ((0.0, 0.0),), 0.035, ravine.__doc__ or ""),
    "valleys": Surface(valleys, (-5.0,), ((-6.5, -0.5),), (), 0.05, valleys.__doc__ or ""),
}
