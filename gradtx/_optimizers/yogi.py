"""Yogi."""

import jax.numpy as jnp

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import full
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, divided, ewma, plus, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_yogi(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-3,
    eps_root: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 1e-6,
) -> Rule:
    """Adam's direction, whose second moment changes by an amount that does not depend on its own size.

        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   νₜ = νₜ₋₁ − (1 − β₂) sign(νₜ₋₁ − |uₜ|²) |uₜ|²,   m₀ = ν₀ = a
        u ← m̂/(√(ν̂ + ε₀) + ε),   m̂ = mₜ/(1 − β₁ᵗ),   ν̂ = νₜ/(1 − β₂ᵗ)

    β₁ is ``b1``, β₂ ``b2``, ε ``eps``, ε₀ ``eps_root``, a ``initial_accumulator_value``. The trap: both averages start
    from a and are corrected as if from 0, so a coordinate without gradients moves a little. Source: Zaheer et al. 2018,
    Algorithm 2. State: ``mu``, ``nu``, like the parameters, the second real.

    >>> tx = scale_by_yogi(0.5, 0.5, eps=0.0, initial_accumulator_value=0.0)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> state["nu"], tx.update(jnp.array([2.0]), state)[1]["nu"]  # 0 + 0.5·16, then 8 − 0.5·4
    (Array([8.], dtype=float32), Array([6.], dtype=float32))
    """

    def formula(u, mu, nu, *, of_mu, of_nu):
        square = abs_sq(u)
        mu, nu = ewma(b1, mu, u), nu - (1 - b2) * jnp.sign(nu - square) * square
        return divided(mu, of_mu) / (root(plus(divided(nu, of_nu), eps_root)) + eps), mu, nu

    return per_leaf(
        formula,
        once={"of_mu": lambda t: 1 - b1**t, "of_nu": lambda t: 1 - b2**t},
        mu=lambda param: full(param, initial_accumulator_value),
        nu=lambda param: full(jnp.real(param), initial_accumulator_value),
    )


@transformation
def yogi(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-3
) -> GradientTransformation:
    """Adam whose rate does not rise quickly when gradients become small.

        νₜ = νₜ₋₁ − (1 − β₂) sign(νₜ₋₁ − gₜ²) gₜ²;   θ ← θ − α m̂/(√ν̂ + ε)

    α is ``learning_rate``, β₂ ``b2``, ε ``eps``; the averages start at 10⁻⁶ (see `gradtx.scale_by_yogi`). Source:
    Zaheer et al. 2018, Algorithm 2.

    >>> tx = yogi(0.5, b2=0.0, eps=0.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))
