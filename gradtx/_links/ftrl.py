"""FTRL-Proximal."""

import jax.numpy as jnp

from gradtx._rules.fields import full, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq
from gradtx._value.marks import NonNegative


@transformation
def ftrl(
    learning_rate: NonNegative,
    learning_rate_power=-0.5,
    initial_accumulator_value: NonNegative = 0.0,
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    beta: NonNegative = 1.0,
) -> Rule:
    """Follow the regularized leader: the best parameters for all gradients so far; with ``l1`` most are exactly 0.

        nₜ = nₜ₋₁ + |gₜ|²;   zₜ = zₜ₋₁ + gₜ − (nₜ^−p − nₜ₋₁^−p)θ/α
        θ ← −(zₜ − λ₁ sign zₜ)/((β + nₜ^−p)/α + λ₂) where |zₜ| > λ₁,   0 elsewhere

    α is ``learning_rate``, p ``learning_rate_power``, −½ in the paper, λ₁ ``l1``, λ₂ ``l2`` (in Keras twice as much),
    β ``beta``, n₀ ``initial_accumulator_value``. It is for sparse linear models, whose parameters start from 0. The
    update is a whole step, sign and all: it stands alone. Source: McMahan et al. 2013, Algorithm 1. State, like the
    parameters: ``n``, real; ``z``. Raises `TransformationError`: no ``params``.

    >>> tx, x = ftrl(1.0, l1=1.0, beta=0.0), jnp.zeros(2)
    >>> tx.update(jnp.array([4.0, 0.5]), tx.init(x), x)[0]  # −(4 − 1)/4, and 0.5 is too small to count
    Array([-0.75,  0.  ], dtype=float32)
    """

    def power(n):
        return jnp.where(n > 0, jnp.where(n > 0, n, 1) ** -learning_rate_power, 0)

    def formula(u, n, z, *, param):
        total = n + abs_sq(u)
        z = z + u - (power(total) - power(n)) / learning_rate * param
        size = (beta + power(total)) / learning_rate + l2
        counts = (jnp.abs(z) > l1) & (size > 0)
        leader = jnp.where(counts, (l1 * jnp.sign(z) - z) / jnp.where(counts, size, 1), 0)
        return leader - param, total, z

    def start(param):
        return full(jnp.real(param), initial_accumulator_value)

    return per_leaf(formula, n=start, z=zeros)
