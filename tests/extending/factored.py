"""A field of another shape: the second moment of Adafactor as rows and columns (Shazeer & Stern 2018, Algorithm 4)."""

import jax.numpy as jnp

from gradtx import NonNegative, abs_sq, ewma, per_leaf, real_zeros, root, transformation


def rows_and_columns(param):
    """Two vectors for a matrix; for anything else, as many numbers as it has."""
    v = real_zeros(param)
    return {"row": jnp.mean(v, 1), "column": jnp.mean(v, 0)} if param.ndim == 2 else {"all": v}


@transformation
def scale_by_factors(decay_rate: NonNegative = 0.8, eps: NonNegative = 1e-30):
    """The update over the root of its mean square, as far as row and column means tell it."""

    def formula(u, v, *, t):
        square, decay = abs_sq(u) + eps, 1 - t**-decay_rate
        if u.ndim != 2:
            v = {"all": ewma(decay, v["all"], square)}
            return u / root(v["all"]), v
        row, column = ewma(decay, v["row"], jnp.mean(square, 1)), ewma(decay, v["column"], jnp.mean(square, 0))
        u = u / root(row)[:, None] * root(jnp.mean(row)) / root(column)[None]
        return u, {"row": row, "column": column}

    return per_leaf(formula, v=rows_and_columns)
