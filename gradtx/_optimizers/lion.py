"""Lion."""

import functools
from typing import Any, Literal

import jax.numpy as jnp

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import ewma, fitted
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_lion(
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    smooth_beta: NonNegative = 1.0,
    *,
    mu_dtype: Dtype = None,
    mode: Literal["hard", "smooth", "refined"] = "hard",
) -> Rule:
    """Lion's direction: the sign of an interpolation between the average and the newest update.

        cₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   u ← sign(cₜ);   mₜ = β₂mₜ₋₁ + (1 − β₂)uₜ

    Two modes, as in Optax, do not jump at 0: ``mode="smooth"``, tanh(κcₜ) with κ = ``smooth_beta``, and ``"refined"``,
    cₜ where |cₜ| < 1 and sign(cₜ) beyond. The trap: where cₜ is small both are proportional to it, so they depend on
    the scale of the loss. Source: Chen et al. 2023, Algorithm 2. State: ``mu``, like the parameters, in ``mu_dtype`` or
    in float32 at least.

    >>> tx = scale_by_lion(0.5)
    >>> tx.update(jnp.array([0.5, -3.0]), tx.init(jnp.zeros(2)))[0]
    Array([ 1., -1.], dtype=float32)
    >>> tx = scale_by_lion(0.5, mode="refined")
    >>> tx.update(jnp.array([0.5, -3.0]), tx.init(jnp.zeros(2)))[0]
    Array([ 0.25, -1.  ], dtype=float32)
    """

    def sign(c):
        if mode == "smooth":
            return jnp.tanh(smooth_beta * c)
        return jnp.where(jnp.abs(c) < 1, c, jnp.sign(c)) if mode == "refined" else jnp.sign(c)

    def formula(u, mu):
        return sign(ewma(b1, mu, u)), fitted(ewma(b2, mu, u), mu_dtype)

    return per_leaf(formula, mu=functools.partial(zeros, dtype=mu_dtype))


@transformation
def lion(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    weight_decay: NonNegative = 1e-3,
    *,
    mu_dtype: Dtype = None,
    mask: Any = None,
) -> GradientTransformation:
    """Evolved sign momentum.

        θ ← θ − α (sign(β₁mₜ₋₁ + (1 − β₁)gₜ) + λθ);   mₜ = β₂mₜ₋₁ + (1 − β₂)gₜ

    α is ``learning_rate``, λ ``weight_decay``. Source: Chen et al. 2023, Algorithm 2.

    >>> tx = lion(0.5, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype=mu_dtype),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
