"""Updates scaled by the sides of a matrix, so that one rate serves all widths."""

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.marks import NonNegative


@transformation
def scale_by_mean_side(nonstandard_constant: NonNegative = 1e-3) -> Rule:
    """The update of a matrix over the mean of its two sides, and of any other array times a constant.

        u ← 2uₜ/(m + n)   of an m × n matrix;   u ← c uₜ   of other arrays, c ``nonstandard_constant``

    So one rate serves matrices of all widths, where updates are orthogonal or have entries ±1. Source: Frans, Levine &
    Abbeel 2025, section 4. State: none.

    >>> scale_by_mean_side().update(jnp.ones((1, 3)), {})[0]
    Array([[0.5, 0.5, 0.5]], dtype=float32)
    """

    def formula(u):
        return u * (2 / sum(u.shape)) if u.ndim == 2 and u.size else u * nonstandard_constant

    return per_leaf(formula, conditions=True)
