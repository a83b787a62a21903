"""Averages of the parameters themselves.

Where an average begins it is the parameters bit for bit. The sum ``a + (θ − a)`` is not, if they come from far away.
"""

import jax.numpy as jnp

from gradtx._rules.fields import copied
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, NonNegative, Share


@transformation
def average_params(t0: NonNegative = 1e6) -> Rule:
    """The average of the parameters since step ``t0``, for deployment; the update passes through.

        aₜ = aₜ₋₁ + μₜ(θₜ − aₜ₋₁),   θₜ = θₜ₋₁ + uₜ,   μₜ = 1/max(1, t − 1 − t0);   u ← uₜ

    It stands last in its chain; `gradtx.eval_params` returns aₜ. Before ``t0`` aₜ is the parameters themselves. Source:
    Polyak & Juditsky 1992 (the weights are those of PyTorch's ASGD). State: ``average``, like the parameters.

    >>> tx = average_params(0.0)
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> state["average"]
    Array([1.], dtype=float32)
    """

    def formula(u, average, *, param, t):
        theta, n = param + u, jnp.maximum(1, t - 1 - t0)
        return u, jnp.where(n > 1, average + (theta - average) / n, theta)

    return per_leaf(formula, eval_params=lambda param, average: average, average=copied)


@transformation
def ema_params(decay: Decay = 0.999, *, bias_correction: bool = False) -> Rule:
    """An exponentially weighted moving average of the parameters, for deployment; the update passes through.

        aₜ = βaₜ₋₁ + (1 − β)θₜ,   θₜ = θₜ₋₁ + uₜ,   a₀ = θ₀;   u ← uₜ

    β is ``decay``. With ``bias_correction`` the start has no weight: 1 − β is divided by 1 − βᵗ. It stands last in its
    chain; `gradtx.eval_params` returns aₜ. Source: Izmailov et al. 2018, section 3; Polyak & Juditsky 1992. State:
    ``average``, like the parameters. Raises `TransformationError`: no ``params``.

    >>> tx, x = ema_params(0.5), jnp.zeros(1)
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(x), x)
    >>> state["average"]
    Array([0.5], dtype=float32)
    """

    def formula(u, average, *, param):
        return u, ewma(decay, average, param + u)

    def corrected(u, average, *, param, weight):
        theta = param + u
        return u, jnp.where(weight < 1, average + (theta - average) * weight.astype(jnp.real(u).dtype), theta)

    if bias_correction:
        once = {"weight": lambda t: (1 - decay) / (1 - decay**t)}
        return per_leaf(corrected, once=once, eval_params=lambda param, average: average, average=copied)
    return per_leaf(formula, eval_params=lambda param, average: average, average=copied)


@transformation
def swa_params(start: NonNegative = 0.0, every: NonNegative = 1.0) -> Rule:
    """The equal average of the parameters at every k-th step, for deployment; the update passes through.

        aₙ = aₙ₋₁ + (θₜ − aₙ₋₁)/n  at t = s + nk, n = 1, 2 ...;   θₜ = θₜ₋₁ + uₜ;   before the first of them a is θₜ

    s is ``start``, k ``every``, such as the steps of an epoch, or of a cycle of the rate, both rounded up to whole
    numbers. It stands last in its chain; `gradtx.eval_params` returns a. Source: Izmailov et al. 2018, Algorithm 1.
    State: ``average``, like the parameters. Raises `TransformationError`: no ``params``.

    >>> tx, x = swa_params(every=2), jnp.zeros(1)
    >>> state = tx.init(x)
    >>> for _ in range(4):
    ...     u, state = tx.update(jnp.array([1.0]), state, x)
    ...     x = x + u
    >>> state["average"]  # of 2 and 4
    Array([3.], dtype=float32)
    """

    def formula(u, average, *, param, t):
        theta, past = param + u, t - jnp.ceil(start).astype(t.dtype)
        period = jnp.maximum(jnp.ceil(every).astype(t.dtype), 1)
        n = jnp.floor(past / period)
        due = (n >= 1) & (past == n * period)
        taken = jnp.where(due, average + (theta - average) / jnp.maximum(n, 2).astype(jnp.real(u).dtype), average)
        return u, jnp.where((n < 1) | (due & (n == 1)), theta, taken)

    return per_leaf(formula, eval_params=lambda param, average: average, average=copied)


@transformation
def tail_ema_params(start: NonNegative, decay: Decay = 0.99, share: Share = 1.0) -> Rule:
    """An average of the parameters over the end of a run, mixed with the last ones, for deployment.

        aₜ = θₜ up to step ``start``, βaₜ₋₁ + (1 − β)θₜ from there on;   θₜ = θₜ₋₁ + uₜ;   u ← uₜ

    `gradtx.eval_params` returns (1 − s)θₜ + saₜ, where s is ``share``, β ``decay``. Nothing of the time before
    ``start`` is in it, and the rate need not fall as far as without it. It stands last in its chain. For the equal
    average of the end of a run see `average_params`. Source: modded-nanogpt, track 3 (1/(1 − β) = 150 steps, s = 0.6).
    State: ``average``, like the parameters, and the chain's count. Raises `TransformationError`: no ``params``.

    >>> from gradtx import eval_params
    >>> tx, x = tail_ema_params(1, 0.5, share=0.5), jnp.zeros(1)
    >>> state = tx.init(x)
    >>> for _ in range(2):
    ...     u, state = tx.update(jnp.array([4.0]), state, x)
    ...     x = x + u
    >>> eval_params(tx, x, state)  # 4 and 8: an average of 6, and half of the way to it
    Array([7.], dtype=float32)
    """

    def formula(u, average, *, param, t):
        theta = param + u
        return u, jnp.where(t <= start, theta, ewma(decay, average, theta))

    def deployed(param, average):
        return param + share * (average - param)

    return per_leaf(formula, eval_params=deployed, average=copied)
