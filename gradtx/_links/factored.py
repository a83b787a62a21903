"""Factored second moments: one number for each row and column of a matrix, in place of one for each entry."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.fields import real_zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import NonNegative


@transformation
def scale_by_factored_rms(
    decay_rate: NonNegative = 0.8,
    step_offset=0.0,
    epsilon: NonNegative = 1e-30,
    *,
    factored: bool = True,
    min_dim_size_to_factor: int = 128,
    decay_rate_fn: Callable[[Any, Any], Any] | None = None,
) -> Rule:
    """The update over the root of its mean square, which is kept only as means of rows and columns.

        rₜ = βₜrₜ₋₁ + (1 − βₜ) mean_cols(|g|² + ε),   cₜ = βₜcₜ₋₁ + (1 − βₜ) mean_rows(|g|² + ε)
        u ← uₜ / √(r cᵀ / mean(r)),   βₜ = 1 − (t − offset)^(−γ)

    γ is ``decay_rate``, ε ``epsilon``, the offset ``step_offset`` (for a run that continues one begun elsewhere). The
    average at the first step is the first square, so it needs no correction. An n × m matrix keeps n + m numbers. An
    array with more axes is factored along its two longest. An array is factored only where both axes have at least
    ``min_dim_size_to_factor`` entries; every other array keeps a second moment of each entry.
    ``decay_rate_fn(step, decay_rate)`` replaces βₜ; its step is 0 at the first update. The trap: ε is added to the
    square, as in the paper, so zero gradients are divided by 10⁻¹⁵. Source: Shazeer & Stern 2018, Algorithm 4, without
    the clip of the update. State: ``nu``, like the parameters in float32 at least: an array, or a mapping with ``row``
    and ``col``.

    >>> tx = scale_by_factored_rms(min_dim_size_to_factor=2)
    >>> tx.update(jnp.array([[1.0, 2.0], [2.0, 4.0]]), tx.init(jnp.zeros((2, 2))))[0]  # of rank one: all signs
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """

    def start(param: Any) -> Any:
        axes = _factored_axes(param.shape, min_dim_size_to_factor) if factored else None
        if axes is None:
            return real_zeros(param)
        shorter, longer = axes
        return {"row": real_zeros(param.mean(longer)), "col": real_zeros(param.mean(shorter))}

    def weight(t: jax.Array) -> jax.Array:
        if decay_rate_fn is not None:
            return 1 - jnp.asarray(decay_rate_fn(t - 1 - step_offset, decay_rate))
        return (t - step_offset) ** -decay_rate

    def formula(u, nu, *, gradient, c):
        square = abs_sq(gradient) + epsilon
        axes = _factored_axes(u.shape, min_dim_size_to_factor) if factored else None
        c = c.astype(square.dtype)
        if axes is None:
            nu = (1 - c) * nu + c * square
            return u / root(nu), nu
        shorter, longer = axes
        row = (1 - c) * nu["row"] + c * square.mean(longer)
        col = (1 - c) * nu["col"] + c * square.mean(shorter)
        of_row, of_col = jnp.expand_dims(row, longer), jnp.expand_dims(col, shorter)
        return u * (root(of_row.mean(shorter, keepdims=True)) / root(of_row)) / root(of_col), {"row": row, "col": col}

    return per_leaf(formula, once={"c": weight}, nu=start)


def _factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """The second longest and the longest axis, if both are long enough."""
    if len(shape) < 2:
        return None
    *_, shorter, longer = (int(axis) for axis in np.argsort(shape, kind="stable"))
    return (shorter, longer) if shape[shorter] >= least else None
