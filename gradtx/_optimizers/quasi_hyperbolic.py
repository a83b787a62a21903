"""Quasi-hyperbolic momentum and Adam: moments, mixed with the newest gradient."""

from gradtx._links.mixing import mix_with_gradient
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, divided, ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_mixed_rms(decay: Decay = 0.999, share: NonNegative = 1.0, eps: NonNegative = 1e-8) -> Rule:
    """Adam's denominator, mixed with the size of the newest gradient.

        νₜ = βνₜ₋₁ + (1 − β)|gₜ|²;   u ← uₜ/(√(s νₜ/(1 − βᵗ) + (1 − s)|gₜ|²) + ε)

    β is ``decay``, s ``share``, at most 1, ε ``eps``, g the gradient that entered the chain. With s = 1 it is
    `gradtx.scale_by_rms`. Source: Ma & Yarats 2019, eq. 10. State: ``nu``, real, shaped like the parameters.

    >>> tx = scale_by_mixed_rms(0.5, 0.0, eps=0.0)
    >>> tx.update(jnp.array([-4.0]), tx.init(jnp.zeros(1)))[0]  # the newest gradient alone
    Array([-1.], dtype=float32)
    """

    def formula(u, nu, *, gradient, correction):
        newest = abs_sq(gradient)
        nu = ewma(decay, nu, newest)
        return u / (root(share * divided(nu, correction) + (1 - share) * newest) + eps), nu

    return per_leaf(formula, once={"correction": lambda t: 1 - decay**t}, nu=real_zeros)


@transformation
def qhm(learning_rate: NonNegative, momentum: Decay = 0.999, nu: NonNegative = 0.7) -> GradientTransformation:
    """Quasi-hyperbolic momentum: a weighted mean of the average of the gradients and the newest.

        mₜ = βmₜ₋₁ + (1 − β)gₜ;   θ ← θ − α (νmₜ + (1 − ν)gₜ)

    α is ``learning_rate``, β ``momentum``, ν ``nu``: 0 is gradient descent, 1 momentum (an average, so at 1/(1 − β)
    times the rate of `gradtx.sgd`), β Nesterov's. Source: Ma & Yarats 2019, eqs. 2 and 3.

    >>> tx = qhm(0.5, 0.5, 0.5)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # 0.5·(half of 2, half of 4)
    Array([-1.5], dtype=float32)
    """
    return chain(scale_by_ewma(momentum), mix_with_gradient(nu), scale_by_learning_rate(learning_rate))


@transformation
def qhadam(
    learning_rate: NonNegative,
    b1: Decay = 0.995,
    b2: Decay = 0.999,
    nu1: NonNegative = 0.7,
    nu2: NonNegative = 1.0,
    eps: NonNegative = 1e-8,
) -> GradientTransformation:
    """Quasi-hyperbolic Adam: both moments are mixed with the newest gradient.

        θ ← θ − α (ν₁m̂ + (1 − ν₁)gₜ)/(√(ν₂ν̂ + (1 − ν₂)gₜ²) + ε)

    α is ``learning_rate``, ν₁ ``nu1``, ν₂ ``nu2``, ε ``eps``; m̂ and ν̂ are Adam's, of ``b1`` and ``b2``. ν₁ = ν₂ = 1 is
    Adam, and ν₁ = β₁, ν₂ = 1 is Nadam but for its correction. Source: Ma & Yarats 2019, Algorithm 2.

    >>> tx = qhadam(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        mix_with_gradient(nu1),
        scale_by_mixed_rms(b2, nu2, eps),
        scale_by_learning_rate(learning_rate),
    )
