"""NovoGrad."""

import functools

import jax.numpy as jnp

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, ewma, fitted, plus, real_dtype, root
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_novograd(
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    *,
    mu_dtype: Dtype = None,
) -> Rule:
    """Momentum of normalised gradients: one second moment for each leaf, of the norm.

        νₜ = β₂νₜ₋₁ + (1 − β₂)‖uₜ‖²,   ν₁ = ‖u₁‖²;   mₜ = β₁mₜ₋₁ + uₜ/(√(νₜ + ε₀) + ε) + λθ;   u ← mₜ

    β₁ is ``b1``, β₂ ``b2``, ε ``eps``, ε₀ ``eps_root``, λ ``weight_decay``. The norm is accumulated in float32 at
    least. Source: Ginsburg et al. 2019, Algorithm 1. State: ``mu`` (m), like the parameters, in ``mu_dtype`` or in
    float32 at least; ``nu``, one number for each leaf. Raises `TransformationError`: no ``params``.

    >>> tx = scale_by_novograd(eps=0.0)
    >>> tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0]
    Array([0.6, 0.8], dtype=float32)
    """

    def formula(u, mu, nu, *, param, t):
        square = jnp.sum(abs_sq(u))
        nu = jnp.where(t == 1, square, ewma(b2, nu, square))
        mu = b1 * mu + (u / (root(plus(nu, eps_root)) + eps) + weight_decay * param)
        return mu, fitted(mu, mu_dtype), nu

    start = functools.partial(zeros, dtype=mu_dtype)
    return per_leaf(formula, mu=start, nu=lambda param: jnp.zeros([], real_dtype(param.dtype)))


@transformation
def novograd(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
) -> GradientTransformation:
    """Momentum of gradients that are normalised layer by layer.

        νₜ = β₂νₜ₋₁ + (1 − β₂)‖gₜ‖²;   mₜ = β₁mₜ₋₁ + gₜ/(√(νₜ + ε₀) + ε) + λθ;   θ ← θ − αmₜ

    α is ``learning_rate``, λ ``weight_decay`` (see `gradtx.scale_by_novograd`). Source: Ginsburg et al. 2019,
    Algorithm 1.

    >>> tx = novograd(0.5, eps=0.0)
    >>> tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0]
    Array([-0.3, -0.4], dtype=float32)
    """
    return chain(scale_by_novograd(b1, b2, eps, eps_root, weight_decay), scale_by_learning_rate(learning_rate))
