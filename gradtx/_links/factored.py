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
from gradtx._value.marks import Decay, NonNegative


@transformation
def scale_by_factored_rms(
    decay_rate: NonNegative = 0.8,
    step_offset=0.0,
    epsilon: NonNegative = 1e-30,
    decay: Decay | None = None,
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
    ``decay`` is a constant β in place of βₜ, and is not corrected for its start; ``decay_rate_fn(step, decay_rate)``
    replaces βₜ by a function, whose step is 0 at the first update. The trap: ε is added to the
    square, as in the paper, so zero gradients are divided by 10⁻¹⁵. Source: Shazeer & Stern 2018, Algorithm 4, without
    the clip of the update. State: ``nu``, like the parameters in float32 at least: an array, or a mapping with ``row``
    and ``col``.

    >>> tx = scale_by_factored_rms(min_dim_size_to_factor=2)
    >>> tx.update(jnp.array([[1.0, 2.0], [2.0, 4.0]]), tx.init(jnp.zeros((2, 2))))[0]  # of rank one: all signs
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    least = min_dim_size_to_factor if factored else None

    def weight(t: jax.Array) -> jax.Array:
        if decay_rate_fn is not None:
            return 1 - jnp.asarray(decay_rate_fn(t - 1 - step_offset, decay_rate))
        return (t - step_offset) ** -decay_rate

    def formula(u, nu, *, gradient, c):
        nu = factored_average(nu, abs_sq(gradient) + epsilon, c, least)
        return over_factored_root(u, nu, least), nu

    def start(param: Any) -> Any:
        return factored_zeros(param, least)

    if decay is None:
        return per_leaf(formula, once={"c": weight}, nu=start)
    constant = jnp.asarray(1 - decay)
    return per_leaf(lambda u, nu, *, gradient: formula(u, nu, gradient=gradient, c=constant), nu=start)


def factored_zeros(param: Any, least: int | None) -> Any:
    """The start of a second moment: two vectors where two axes have ``least`` entries; None factors nothing."""
    axes = _factored_axes(param.shape, least)
    if axes is None:
        return real_zeros(param)
    shorter, longer = axes
    return {"row": real_zeros(param.mean(longer)), "col": real_zeros(param.mean(shorter))}


def factored_average(nu: Any, square: jax.Array, c: jax.Array, least: int | None) -> Any:
    """(1 − c)ν + c · square, of all entries or of the means along two axes."""
    axes, c = _factored_axes(square.shape, least), c.astype(square.dtype)
    if axes is None:
        return (1 - c) * nu + c * square
    shorter, longer = axes
    means = {"row": square.mean(longer), "col": square.mean(shorter)}
    return {name: (1 - c) * nu[name] + c * means[name] for name in means}


def over_factored_root(u: jax.Array, nu: Any, least: int | None) -> jax.Array:
    """u/√ν."""
    axes = _factored_axes(u.shape, least)
    if axes is None:
        return u / root(nu)
    shorter, longer = axes
    of_row, of_col = jnp.expand_dims(nu["row"], longer), jnp.expand_dims(nu["col"], shorter)
    return u * (root(of_row.mean(shorter, keepdims=True)) / root(of_row)) / root(of_col)


def _factored_axes(shape: tuple[int, ...], least: int | None) -> tuple[int, int] | None:
    """The second longest and the longest axis, if both are long enough."""
    if least is None or len(shape) < 2:
        return None
    *_, shorter, longer = (int(axis) for axis in np.argsort(shape, kind="stable"))
    return (shorter, longer) if shape[shorter] >= least else None
