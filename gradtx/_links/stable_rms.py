"""Adam's denominator for gradients that jump: a leaf that is surprised takes a shorter step."""

import jax.numpy as jnp

from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, at_most_finite, divided, ewma, root
from gradtx._value.marks import Decay, NonNegative


@transformation
def scale_by_stable_rms(decay: Decay = 0.999, eps: NonNegative = 1e-8, weight_decay: NonNegative = 0.0) -> Rule:
    """Adam's denominator, and a shorter step for each leaf whose gradient is larger than its second moment says.

        νₜ = βνₜ₋₁ + (1 − β)|gₜ|²,   ν̂ = νₜ/(1 − βᵗ);   r = √mean(|gₜ|²/max(ν̂, ε²))
        u ← (uₜ/(√ν̂ + ε) + λθ)/max(1, r)

    β is ``decay``, ε ``eps``, λ ``weight_decay``, g the gradient that entered the chain; the mean is over the leaf. The
    decay stands here, since a shorter step decays less too. Source: Wortsman et al. 2023, Algorithm 2. State: ``nu``,
    real, shaped like the parameters. Raises `TransformationError`: no ``params``.

    >>> tx, x = scale_by_stable_rms(0.5, eps=0.0), jnp.zeros(1)
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(x), x)
    >>> tx.update(jnp.array([3.0]), state, x)[0].round(4)  # a number by itself: Adam's 1.19 becomes a sign
    Array([1.], dtype=float32)
    """

    def formula(u, nu, *, gradient, param, correction):
        nu = ewma(decay, nu, abs_sq(gradient))
        corrected = divided(nu, correction)
        seen = corrected > 0
        floor = jnp.where(seen, at_most_finite(jnp.maximum(corrected, eps**2)), 1)
        rms = root(jnp.mean(abs_sq(gradient) / floor)) if u.size else 1.0
        size = root(corrected) + eps
        u = jnp.where(size > 0, u / jnp.where(size > 0, size, 1), 0)
        return (u + weight_decay * param) / jnp.maximum(rms, 1), nu

    return per_leaf(formula, once={"correction": lambda t: 1 - decay**t}, nu=real_zeros)
