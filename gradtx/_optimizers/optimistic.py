"""Optimism: the newest change of the gradient is expected to happen again."""

import jax.numpy as jnp

from gradtx._links.scaling import scale, scale_by_learning_rate
from gradtx._optimizers.adam import scale_by_adam
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_optimistic_gradient(alpha=1.0, beta=1.0) -> Rule:
    """The update, and its newest change once more.

        u ← αuₜ + β(uₜ − uₜ₋₁),   u₀ = u₁

    α is ``alpha``, β ``beta``. Source: Mokhtari, Ozdaglar & Pattathil 2020, the generalized method. State:
    ``previous_gradient``, like the parameters.

    >>> tx = scale_by_optimistic_gradient(1.0, 0.5)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([6.0]), state)[0]
    Array([7.], dtype=float32)
    """

    def formula(u, previous_gradient, *, t):
        return alpha * u + beta * jnp.where(t == 1, 0, u - previous_gradient), u

    return per_leaf(formula, previous_gradient=zeros)


@transformation
def optimistic_gradient_descent(learning_rate: NonNegative, alpha=1.0, beta=1.0) -> GradientTransformation:
    """Gradient descent that expects the newest change of the gradient once more: for games, where plain steps circle.

        θ ← θ − γ(αgₜ + β(gₜ − gₜ₋₁))

    γ is ``learning_rate``, α ``alpha``, β ``beta``. Source: Mokhtari, Ozdaglar & Pattathil 2020, the generalized
    method.

    >>> tx = optimistic_gradient_descent(0.5)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([6.0]), state)[0]
    Array([-4.], dtype=float32)
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


@transformation
def optimistic_adam(
    learning_rate: NonNegative,
    optimism: NonNegative = None,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Adam, or Nadam, that expects the newest change of its direction once more.

        θ ← θ − αuₜ − β(uₜ − uₜ₋₁),   uₜ = m̂/(√(ν̂ + ε₀) + ε)

    α is ``learning_rate``, β ``optimism`` (None: α too), ε ``eps``, ε₀ ``eps_root``; without ``nesterov``, m̂ is
    Adam's. Under a schedule prefer `optimistic_adam_v2`, whose optimism falls with the rate. Source: Daskalakis et al.
    2018, Algorithm 1.

    >>> tx = optimistic_adam(0.5, nesterov=False)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype=mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(learning_rate, learning_rate if optimism is None else optimism),
        scale(-1.0),
    )


@transformation
def optimistic_adam_v2(
    learning_rate: NonNegative,
    alpha=1.0,
    beta=1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Adam, or Nadam, that expects the newest change of its direction once more, as a share of the rate.

        θ ← θ − γ(αuₜ + β(uₜ − uₜ₋₁)),   uₜ = m̂/(√(ν̂ + ε₀) + ε)

    γ is ``learning_rate``, α ``alpha``, β ``beta``, ε ``eps``, ε₀ ``eps_root``; without ``nesterov``, m̂ is Adam's.
    Source: Daskalakis et al. 2018, Algorithm 1.

    >>> tx = optimistic_adam_v2(0.5, nesterov=False)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype=mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )
