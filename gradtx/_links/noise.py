"""Noise on gradients."""

import jax
import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.marks import NonNegative, Seed


@transformation
def add_noise(eta: NonNegative, gamma: NonNegative, seed: Seed = 0) -> Rule:
    """Gaussian noise on the gradient, whose variance falls with the step.

        u ← uₜ + √(η/tᵞ) nₜ,   nₜ ~ N(0, 1)

    η is ``eta``, γ ``gamma``. The draws follow from ``seed``, the step, the link and the leaf: they are the same on any
    devices, after a resume, and in a sweep; no two leaves and no two links share them. Source: Neelakantan et al. 2015,
    eq. 1. State: none but the chain's count and key.

    >>> tx = add_noise(0.0, 0.55)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([4.], dtype=float32)
    """

    def formula(u, *, key, t):
        deviation = jnp.sqrt(jnp.where(eta > 0, eta, 1.0) / t**gamma)
        return u + jnp.where(eta > 0, deviation, 0).astype(jnp.real(u).dtype) * jax.random.normal(key, u.shape, u.dtype)

    return per_leaf(formula, conditions=True, seed=seed)
