"""diffGrad."""

import jax
import jax.numpy as jnp

from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_change() -> Rule:
    """Half of the update where the gradient stays as it is, all of it where the gradient changes.

        u ← uₜ/(1 + exp(−|gₜ − gₜ₋₁|)),   g₀ = 0

    g is the gradient that entered the chain. The trap: what counts as a change depends on the scale of the loss.
    Source: Dubey et al. 2020, eqs. 8 and 9. State: ``previous`` (gₜ₋₁), like the parameters.

    >>> tx = scale_by_change()
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([4.0]), state)[0]
    Array([2.], dtype=float32)
    """

    def formula(u, previous, *, gradient):
        return u * jax.nn.sigmoid(jnp.abs(gradient - previous)), gradient

    return per_leaf(formula, previous=zeros)


@transformation
def diffgrad(
    learning_rate: NonNegative, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8
) -> GradientTransformation:
    """Adam with friction: short steps where the gradient does not change.

        θ ← θ − α ξ m̂/(√ν̂ + ε),   ξ = 1/(1 + exp(−|gₜ − gₜ₋₁|))

    α is ``learning_rate``, ε ``eps``; see `gradtx.scale_by_change`. Source: Dubey et al. 2020, Algorithm 1.

    >>> tx = diffgrad(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0].round(4)  # at first all is change
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        scale_by_change(),
        scale_by_rms(b2, eps),
        scale_by_learning_rate(learning_rate),
    )
