"""MADGRAD: dual averaging with the cube root of the sum of squares."""

import jax
import jax.numpy as jnp

from gradtx._links.decay import add_decayed_weights
from gradtx._rules.fields import copied, real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq
from gradtx._value.marks import NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_madgrad(learning_rate: NonNegative, momentum: NonNegative = 0.9, eps: NonNegative = 1e-6) -> Rule:
    """The step of MADGRAD: part of the way to what the sum of all updates suggests, from the first parameters.

        λ = (α + ε)√t;   νₜ = νₜ₋₁ + λ|gₜ|²;   sₜ = sₜ₋₁ + λuₜ;   z = θ₀ − sₜ/(∛νₜ + ε);   u ← (1 − μ)(z − θ)

    α is ``learning_rate``, μ ``momentum``, ε ``eps``, θ₀ the first parameters, g the gradient that entered the chain.
    The update is a whole step, sign and all: it stands last in its chain. Source: Defazio & Jelassi 2022, Algorithm 1.
    State, like the parameters: ``grad_sum_sq`` (ν), real; ``s``; ``x0`` (θ₀). Raises `TransformationError`: no
    ``params``.

    >>> tx, x = scale_by_madgrad(1.0, momentum=0.5, eps=0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([8.0]), tx.init(x), x)[0]  # half of −8/∛64
    Array([-1.], dtype=float32)
    """

    def formula(u, grad_sum_sq, s, x0, *, gradient, param, t):
        weight = (learning_rate + eps) * jnp.sqrt(t)
        grad_sum_sq = grad_sum_sq + weight * abs_sq(gradient)
        s = s + weight * u
        size = _cube_root(grad_sum_sq) + eps
        z = x0 - jnp.where(size > 0, s / jnp.where(size > 0, size, 1), 0)
        return (1 - momentum) * (z - param), grad_sum_sq, s, x0

    return per_leaf(formula, grad_sum_sq=real_zeros, s=zeros, x0=copied)


def _cube_root(x: jax.Array) -> jax.Array:
    """∛x of x ≥ 0, with derivative 0 at 0."""
    return jnp.where(x > 0, jnp.cbrt(jnp.where(x > 0, x, 1)), 0)


@transformation
def madgrad(
    learning_rate: NonNegative, momentum: NonNegative = 0.9, weight_decay: NonNegative = 0.0, eps: NonNegative = 1e-6
) -> GradientTransformation:
    """Momentumized, adaptive, dual averaged gradients: AdaGrad with a cube root, and momentum by averaging iterates.

        θ ← μθ + (1 − μ)(θ₀ − sₜ/(∛νₜ + ε))

    as in `scale_by_madgrad`, of the gradients gₜ + λθ. α is ``learning_rate``, μ ``momentum``, λ ``weight_decay``. The
    trap: the best rates and decays are other ones than Adam's or SGD's; decay often wants to be 0. Source: Defazio &
    Jelassi 2022, Algorithm 1.

    >>> tx, x = madgrad(1.0, momentum=0.5, eps=0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([8.0]), tx.init(x), x)[0]  # half of −8/∛64
    Array([-1.], dtype=float32)
    """
    return chain(add_decayed_weights(weight_decay), scale_by_madgrad(learning_rate, momentum, eps))
