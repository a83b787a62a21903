"""SM3."""

import functools
from typing import Any

import jax.numpy as jnp

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative, Share
from gradtx._wrappers.chain import chain


@transformation
def scale_by_sm3(b1: Decay = 0.9, b2: Share = 1.0, eps: NonNegative = 1e-8) -> Rule:
    """AdaGrad in sublinear memory: one accumulator for each row and each column, in place of one for each entry.

        νₜ(i, j) = min(rₜ₋₁(i), cₜ₋₁(j)) + |uₜ(i, j)|²;   rₜ(i) = maxⱼ νₜ(i, j),   cₜ(j) = maxᵢ νₜ(i, j)
        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ/√(νₜ + ε);   u ← mₜ

    β₁ is ``b1``, ε ``eps``. Arrays of more axes have an accumulator for each of these, arrays of one or none have the
    full ν. With ``b2`` < 1 the sum is an average, b₂ min(r, c) + (1 − b₂)|u|². A coordinate whose gradients have all
    been zero does not move. Source: Anil et al. 2019, Algorithm SM3-II. State: ``mu`` (m), like the parameters; ``nu``,
    a tuple of accumulators, one for each axis. (In Optax the two names are exchanged.)

    >>> tx = scale_by_sm3(0.0, eps=0.0)
    >>> g = jnp.array([[3.0, 0.0], [0.0, 4.0]])
    >>> _, state = tx.update(g, tx.init(jnp.zeros((2, 2))))
    >>> state["nu"]
    (Array([ 9., 16.], dtype=float32), Array([ 9., 16.], dtype=float32))
    """

    def start(param: Any) -> Any:
        if param.ndim < 2:
            return (real_zeros(param),)
        return tuple(real_zeros(jnp.sum(param, axis=_other_axes(axis, param.ndim))) for axis in range(param.ndim))

    def formula(u, mu, nu):
        along = [jnp.expand_dims(v, _other_axes(axis, u.ndim)) for axis, v in enumerate(nu)] if u.ndim > 1 else nu
        square = b2 * functools.reduce(jnp.minimum, along) + jnp.where(b2 < 1, 1 - b2, 1) * abs_sq(u)
        seen = square > 0
        mu = ewma(b1, mu, jnp.where(seen, u / root(jnp.where(seen, square, 1) + eps), 0))
        if u.ndim < 2:
            return mu, mu, (square,)
        return mu, mu, tuple(jnp.max(square, _other_axes(axis, u.ndim), initial=0) for axis in range(u.ndim))

    return per_leaf(formula, mu=zeros, nu=start)


def _other_axes(axis: int, ndim: int) -> tuple[int, ...]:
    return tuple(other for other in range(ndim) if other != axis)


@transformation
def sm3(learning_rate: NonNegative, momentum: Decay = 0.9) -> GradientTransformation:
    """AdaGrad in sublinear memory.

        νₜ(i, j) = min(rₜ₋₁(i), cₜ₋₁(j)) + gₜ(i, j)²;   mₜ = βmₜ₋₁ + (1 − β)gₜ/√(νₜ + ε);   θ ← θ − αmₜ

    α is ``learning_rate``, β ``momentum``, ε = 10⁻⁸; r and c are the largest ν of each row and column (see
    `gradtx.scale_by_sm3`). Source: Anil et al. 2019, Algorithm SM3-II.

    >>> tx = sm3(1.0, momentum=0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))
