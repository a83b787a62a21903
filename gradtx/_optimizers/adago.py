"""AdaGO: orthogonal momentum with AdaGrad's falling rate, one for each matrix."""

from typing import Any, Literal

import jax.numpy as jnp

from gradtx._links.moments import scale_by_ewma
from gradtx._links.orthogonalize import orthogonalize
from gradtx._numeric.newton_schulz import Coefficients
from gradtx._optimizers.adamw import adamw
from gradtx._optimizers.muon import of_matrices
from gradtx._roles.roles import or_roles
from gradtx._rules.fields import full
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_norm_history(
    learning_rate: NonNegative,
    max_norm: NonNegative = 10.0,
    min_step: NonNegative = 5e-4,
    initial_accumulator_value: NonNegative = 1e-6,
    *,
    divide_by: Literal["root", "sum"] = "root",
) -> Rule:
    """A rate for each leaf: the norm of its gradient over the root of the sum of all squared norms.

        nₜ = min(‖gₜ‖, γ);   νₜ = νₜ₋₁ + nₜ²;   u ← −max(αnₜ/√νₜ, ε) uₜ        (divide_by="sum": αnₜ/νₜ)

    α is ``learning_rate``, γ ``max_norm``, ε ``min_step``, ν₀ ``initial_accumulator_value``, g the gradient that
    entered the chain. It flips the sign, as a learning rate does. Source: Zhang, Liu & Schaeffer 2025, Algorithm 1.
    State: ``nu``, one number per leaf.

    >>> tx = scale_by_norm_history(0.5, initial_accumulator_value=0.0)
    >>> tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))[0]
    Array([-1.5, -2. ], dtype=float32)
    """

    def formula(u, nu, *, gradient):
        norm = jnp.minimum(root(jnp.sum(abs_sq(gradient))), max_norm)
        nu = nu + norm**2
        under = root(nu) if divide_by == "root" else nu
        rate = jnp.maximum(learning_rate * norm / jnp.where(under > 0, under, 1), min_step)
        return -rate.astype(u.dtype) * u, nu

    return per_leaf(formula, nu=lambda param: full(jnp.sum(jnp.real(param)), initial_accumulator_value))


@transformation
def adago(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = "simple",
    beta: Decay = 0.95,
    max_norm: NonNegative = 10.0,
    min_step: NonNegative = 5e-4,
    initial_accumulator_value: NonNegative = 1e-6,
    adam_learning_rate: NonNegative = 3e-4,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.95,
    adam_eps: NonNegative = 1e-10,
    *,
    ns_steps: int | None = None,
    ns_dtype: Dtype = None,
    divide_by: Literal["root", "sum"] = "root",
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon with AdaGrad's step size.

        mₜ = βmₜ₋₁ + (1 − β)gₜ;   W ← W − max(α min(‖gₜ‖, γ)/√νₜ, ε) NS(mₜ)

    ν is the sum of squared norms in `scale_by_norm_history`, NS is `orthogonalize` with ``ns_coeffs``. (In
    `pytorch_optimizer` the norm is divided by ν itself: ``divide_by="sum"``.) ``weight_dimension_numbers``, and what it
    does not make matrices of, are as in `muon`; AdamW's numbers begin with ``adam_``. Source: Zhang, Liu & Schaeffer
    2025, Algorithm 1.

    >>> tx, params = adago(0.5, (2.0, -1.5, 0.5), ns_steps=12), {"w": jnp.zeros((2, 2))}
    >>> updates, _ = tx.update({"w": jnp.array([[2.0, 0.0], [0.0, -1.0]])}, tx.init(params), params)
    >>> jnp.diagonal(updates["w"]).round(4)
    Array([-0.5,  0.5], dtype=float32)
    """
    axes = or_roles(weight_dimension_numbers)
    orthogonal = orthogonalize(ns_coeffs, 0.0, steps=ns_steps, dtype=ns_dtype, weight_dimension_numbers=axes)
    rate = scale_by_norm_history(learning_rate, max_norm, min_step, initial_accumulator_value, divide_by=divide_by)
    others = adamw(adam_learning_rate, adam_b1, adam_b2, adam_eps, weight_decay=0.0)
    return of_matrices(chain(scale_by_ewma(beta), orthogonal, rate), others, axes)
