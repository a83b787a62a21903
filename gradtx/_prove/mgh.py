"""Moré, Garbow & Hillstrom: sums of squares whose minima they print, from their standard starts."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import gradtx
from gradtx._prove.nist import MODELS, problems
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import quickly

Array = Any


def freudenstein_roth(x: Array) -> Array:
    """Number 2."""
    return jnp.stack([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


def jennrich_sampson(x: Array) -> Array:
    """Number 6, of ten residuals."""
    i = jnp.arange(1.0, 11.0)
    return 2 + 2 * i - jnp.exp(i * x[0]) - jnp.exp(i * x[1])


def bard(x: Array) -> Array:
    """Number 8."""
    y = jnp.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
    u = jnp.arange(1.0, 16.0)
    return y - (x[0] + u / ((16 - u) * x[1] + jnp.minimum(u, 16 - u) * x[2]))


def gaussian(x: Array) -> Array:
    """Number 9."""
    half = jnp.array([0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521])
    y = jnp.concatenate([half, jnp.array([0.3989]), half[::-1]])
    t = (8 - jnp.arange(1.0, 16.0)) / 2
    return x[0] * jnp.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def of_nist(name: str) -> Callable[[Array], Array]:
    """A problem that is among NIST's too."""

    def residuals(x: Array) -> Array:
        columns = problems()[name].columns
        return MODELS[name](x, jnp.array(columns["x"])) - jnp.array(columns["y"])

    return residuals


def brown_dennis(x: Array) -> Array:
    """Number 16, of twenty residuals."""
    t = jnp.arange(1.0, 21.0) / 5
    return (x[0] + t * x[1] - jnp.exp(t)) ** 2 + (x[2] + x[3] * jnp.sin(t) - jnp.cos(t)) ** 2


def watson(x: Array) -> Array:
    """Number 20."""
    t, powers = jnp.arange(1.0, 30.0)[:, None] / 29, jnp.arange(float(len(x)))[None]
    slopes = (powers[:, 1:] * t ** (powers[:, 1:] - 1)) @ x[1:]
    sums = (t**powers) @ x
    return jnp.concatenate([slopes - sums**2 - 1, jnp.stack([x[0], x[1] - x[0] ** 2 - 1])])


def penalty(x: Array) -> Array:
    """Number 23."""
    return jnp.append(jnp.sqrt(1e-5) * (x - 1), jnp.sum(x**2) - 0.25)


def chebyquad(x: Array) -> Array:
    """Number 35: means of Chebyshev's polynomials, shifted to [0, 1], less their integrals."""
    before, now, means = jnp.ones_like(x), 2 * x - 1, []
    for n in range(1, len(x) + 1):
        means.append(jnp.mean(now) + (1 / (n**2 - 1) if n % 2 == 0 else 0.0))
        before, now = now, 2 * (2 * x - 1) * now - before
    return jnp.stack(means)


@functools.cache
def least(residuals: Callable[[Array], Array], start: tuple[float, ...]) -> float:
    """The sum of squares that a run of Newton's method with conjugate gradients ends at."""
    search = gradtx.scale_by_backtracking_linesearch(40, decrease_factor=0.5, increase_factor=jnp.inf, rtol=1e-13)

    @quickly
    def run(start: Array) -> Array:
        tx = gradtx.chain(gradtx.newton_cg(tol=1e-10, max_iterations=5 * len(start)), search)
        return gradtx.minimize(lambda x: jnp.sum(residuals(x) ** 2), start, tx, steps=600, tol=1e-12).final_loss

    return float(run(jnp.array(start)))


def row(name: str, published: str, residuals: Callable[[Array], Array], *start: float) -> Row:
    """A row of the table; the paper cuts digits off, and does not round."""
    setting = f"{name}, the least sum of squares, newton_cg"
    return Row(setting, published, lambda: least(residuals, start), truncated=True)


SOURCE = Source(
    "mgh",
    "Moré, Garbow & Hillstrom 1981, Testing Unconstrained Optimization Software",
    "ACM Transactions on Mathematical Software 7 (1), section 3: the minima of its functions",
    (
        row("2 Freudenstein & Roth", "48.9842", freudenstein_roth, 0.5, -2.0),
        row("6 Jennrich & Sampson, m = 10", "124.362", jennrich_sampson, 0.3, 0.4),
        row("8 Bard", "8.21487e-3", bard, 1.0, 1.0, 1.0),
        row("9 Gaussian", "1.12793e-8", gaussian, 0.4, 1.0, 0.0),
        row("15 Kowalik & Osborne", "3.07505e-4", of_nist("MGH09"), 0.25, 0.39, 0.415, 0.39),
        row("16 Brown & Dennis, m = 20", "85822.2", brown_dennis, 25.0, 5.0, -5.0, -1.0),
        row("20 Watson, n = 6", "2.28767e-3", watson, *([0.0] * 6)),
        row("20 Watson, n = 9", "1.39976e-6", watson, *([0.0] * 9)),
        row("23 penalty I, n = 4", "2.24997e-5", penalty, 1.0, 2.0, 3.0, 4.0),
        row("23 penalty I, n = 10", "7.08765e-5", penalty, *map(float, range(1, 11))),
        row("35 Chebyquad, n = 8", "3.51687e-3", chebyquad, *(n / 9 for n in range(1, 9))),
        row("35 Chebyquad, n = 10", "6.50395e-3", chebyquad, *(n / 11 for n in range(1, 11))),
    ),
)
