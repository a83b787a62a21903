"""The momentum of Lion: what it takes the sign of."""

import functools

from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import ewma, fitted
from gradtx._value.marks import Decay, Dtype


@transformation
def lion_momentum(b1: Decay = 0.9, b2: Decay = 0.99, *, mu_dtype: Dtype = None) -> Rule:
    """What Lion takes the sign of: an interpolation between the average and the newest update.

        u ← β₁mₜ₋₁ + (1 − β₁)uₜ;   mₜ = β₂mₜ₋₁ + (1 − β₂)uₜ

    β₁ is ``b1``, β₂ ``b2``. `scale_by_sign` after it is Lion; another link that bounds its update makes another member
    of the family: with decoupled decay λ it minimizes the loss within the ball of radius 1/λ of the norm that is
    bounded (`scale_by_sign`: the largest number; `normalize`: the Euclidean norm; `orthogonalize`: the spectral).
    Source: Chen et al. 2024, eq. 2 (Lion-K). State: ``mu``, like the parameters, in ``mu_dtype`` or in float32 at
    least.

    >>> tx = lion_momentum(0.5, 0.75)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([8.0]), state)[0]  # 0.5·1 + 0.5·8
    Array([4.5], dtype=float32)
    """

    def formula(u, mu):
        return ewma(b1, mu, u), fitted(ewma(b2, mu, u), mu_dtype)

    return per_leaf(formula, mu=functools.partial(zeros, dtype=mu_dtype))
