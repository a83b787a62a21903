"""The arctangent in place of a division: Adam's direction without ε."""

import jax.numpy as jnp

from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, divided, ewma, root
from gradtx._value.marks import Decay, NonNegative


@transformation
def scale_by_atan2_rms(decay: Decay = 0.999, scale: NonNegative = 1.27, flatness: NonNegative = 1.0) -> Rule:
    """Adam's denominator inside an arctangent, which needs no ε and does not depend on the scale of the loss.

        νₜ = βνₜ₋₁ + (1 − β)|gₜ|²;   u ← a arctan2(uₜ, b√(νₜ/(1 − βᵗ)))

    β is ``decay``, a ``scale``, b ``flatness``, g the gradient that entered the chain. The update of a number is at
    most aπ/2 long, and 0 where all its gradients were; a = 1.27 ≈ 4/π makes it 1 where Adam's is. Of a complex number
    it is the size that is bounded. Source: Everett et al. 2024, section 4.4. State: ``nu``, real, shaped like the
    parameters.

    >>> tx = scale_by_atan2_rms(scale=2.0)
    >>> tx.update(jnp.array([-1e-15]), tx.init(jnp.zeros(1)))[0].round(4)  # −2·π/4, however small the gradient
    Array([-1.5708], dtype=float32)
    """

    def formula(u, nu, *, gradient, correction):
        nu = ewma(decay, nu, abs_sq(gradient))
        size = flatness * root(divided(nu, correction))
        return scale * _arctan2(u, size), nu

    return per_leaf(formula, once={"correction": lambda t: 1 - decay**t}, nu=real_zeros)


def _arctan2(u, size):
    """The arctangent of u/size, a complex u by its length; 0 where both are 0."""
    seen = (jnp.abs(u) > 0) | (size > 0)
    size = jnp.where(seen, size, 1)
    if jnp.iscomplexobj(u):
        return jnp.arctan2(jnp.abs(u), size) * jnp.sign(u)
    return jnp.arctan2(jnp.where(seen, u, 0), size)
