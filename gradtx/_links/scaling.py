"""Scaling: by a number, by a learning rate, by a schedule, to the sign."""

import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import scaled
from gradtx._value.marks import NonNegative


def _times(factor) -> Rule:
    def formula(u):
        return scaled(u, factor)

    return per_leaf(formula, conditions=True)


@transformation
def scale(step_size) -> Rule:
    """A constant factor.

        u ← step_size · uₜ

    State: none.

    >>> scale(-0.5).update(jnp.array([4.0]), {})[0]
    Array([-2.], dtype=float32)
    """
    return _times(step_size)


@transformation
def scale_by_learning_rate(learning_rate: NonNegative, *, flip_sign: bool = True) -> Rule:
    """The learning rate, with the minus sign that makes the update descend.

        u ← −α · uₜ

    α is ``learning_rate``, a number or a function of the step; ``flip_sign=False`` keeps the sign. State: none but the
    chain's count under a schedule.

    >>> scale_by_learning_rate(0.5).update(jnp.array([4.0]), {})[0]
    Array([-2.], dtype=float32)
    """
    return _times(-learning_rate if flip_sign else learning_rate)


@transformation
def scale_by_schedule(step_size_fn) -> Rule:
    """A factor that depends on the step.

        u ← step_size_fn(s) · uₜ,   s = 0 at the first update

    The trap: it does not flip the sign; `scale_by_learning_rate` does, and takes schedules too. State: the chain's
    count.

    >>> tx = scale_by_schedule(lambda step: jnp.where(step < 1, 1.0, 0.5))
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([4.0]), state)[0]
    Array([2.], dtype=float32)
    """
    return _times(step_size_fn)


@transformation
def scale_by_falling_rate(learning_rate: NonNegative, lambd: NonNegative, alpha: NonNegative = 0.75) -> Rule:
    """The rate of averaged gradient descent, which falls with the step; λ is the least curvature of the loss.

        u ← −αₜuₜ,   αₜ = α/(1 + λα(t − 1))^κ

    α is ``learning_rate``, λ ``lambd``, κ ``alpha``. Source: Bottou 2012, section 5.3. State: none but the chain's
    count.

    >>> scale_by_falling_rate(0.5, 0.0).update(jnp.array([4.0]), {"count": jnp.array(0)})[0]
    Array([-2.], dtype=float32)
    """

    def formula(u, *, t):
        return -learning_rate / (1 + lambd * learning_rate * (t - 1)) ** alpha * u

    return per_leaf(formula, conditions=True)


@transformation
def scale_by_sign() -> Rule:
    """The sign of every coordinate.

        u ← sign(uₜ)

    Source: Bernstein et al. 2018, Algorithm 1. State: none.

    >>> scale_by_sign().update(jnp.array([4.0, -0.1, 0.0]), {})[0]
    Array([ 1., -1.,  0.], dtype=float32)
    """
    return per_leaf(lambda u: jnp.sign(u), conditions=True)
