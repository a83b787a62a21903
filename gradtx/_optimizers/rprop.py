"""Rprop."""

import jax.numpy as jnp

from gradtx._links.scaling import scale
from gradtx._rules.fields import full, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_rprop(
    learning_rate: NonNegative,
    eta_minus: NonNegative = 0.5,
    eta_plus: NonNegative = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
) -> Rule:
    """A step size for every coordinate, which grows while the sign of the gradient holds and shrinks where it flips.

        αₜ = clip(αₜ₋₁ · (eta_plus where uₜuₜ₋₁ > 0, eta_minus where < 0), min_step_size, max_step_size)
        u ← αₜ sign(uₜ),   and 0 where the sign has flipped

    α₀ is ``learning_rate``. A step whose sign flips is not taken, and the next one neither grows nor shrinks, as in
    PyTorch (Optax returns the previous update). The trap: it fails on mini-batches, whose signs are noise.
    Source: Riedmiller & Braun 1993. State: ``step_sizes``, ``previous``, like the parameters.

    >>> tx = scale_by_rprop(1.0)
    >>> u, state = tx.update(jnp.array([0.3]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([0.1]), state)[0], tx.update(jnp.array([-0.1]), state)[0]
    (Array([1.2], dtype=float32), Array([0.], dtype=float32))
    """

    def formula(u, step_sizes, previous):
        held = jnp.sign(u) * jnp.sign(previous)  # the product of the two themselves may underflow
        factor = jnp.where(held > 0, eta_plus, jnp.where(held < 0, eta_minus, 1.0)).astype(u.dtype)
        clipped = jnp.clip(step_sizes * factor, min_step_size, max_step_size)
        step_sizes = jnp.where(held == 0, step_sizes, clipped)
        taken = jnp.where(held < 0, 0, u)
        return step_sizes * jnp.sign(taken), step_sizes, taken

    return per_leaf(formula, step_sizes=lambda param: full(param, learning_rate), previous=zeros)


@transformation
def rprop(
    learning_rate: NonNegative,
    eta_minus: NonNegative = 0.5,
    eta_plus: NonNegative = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
) -> GradientTransformation:
    """Resilient backpropagation: steps by the sign of the gradient, of a size that each coordinate finds for itself.

        θ ← θ − αₜ sign(gₜ),   αₜ grows by eta_plus while the sign holds and shrinks by eta_minus where it flips

    α₀ is ``learning_rate``; see `gradtx.scale_by_rprop`. Source: Riedmiller & Braun 1993.

    >>> tx = rprop(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return chain(scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size), scale(-1.0))
