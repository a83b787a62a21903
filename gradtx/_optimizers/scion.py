"""Scion: every layer moves within the ball of a norm of its own."""

import functools
from typing import Any

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.lmo import scale_by_lmo
from gradtx._links.matrix_scaling import scale_by_shape
from gradtx._links.moments import scale_by_ewma
from gradtx._links.orthogonalize import orthogonalize
from gradtx._links.scaling import scale, scale_by_learning_rate
from gradtx._numeric.newton_schulz import Coefficients
from gradtx._optimizers.muon import by_axes
from gradtx._roles.roles import or_roles
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.groups import partition


@transformation
def scion(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = "simple",
    beta: Decay = 0.9,
    radius: NonNegative = 1.0,
    end_radius: NonNegative = 1.0,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    *,
    norms: Any = None,
    ns_steps: int | None = None,
    ns_dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Momentum, and a step of one length in the norm of each layer.

        mₜ = βmₜ₋₁ + (1 − β)gₜ;   θ ← θ − α (r · lmo(mₜ) + λθ)

    ``norms`` says which norm each leaf has, by a mapping from path patterns, a tree, or a function (as in `partition`):
    "spectral" (`orthogonalize` times √(n/m), for n outputs of m inputs), or "sign", "outputs", "inputs" or "rms" of
    `scale_by_lmo`. Without it matrices are spectral, and everything else is "rms". r is ``radius`` for these two,
    ``end_radius`` for the three others. With λ = ``weight_decay`` = 1 it is the constrained form, which stays in the
    ball of radius r; with ``beta=0`` it has no momentum. Source: Pethick et al. 2025, Algorithms 1 and 2.

    >>> tx, params = scion(0.5, eps=0.0), {"w": jnp.zeros((2, 2)), "b": jnp.zeros(2)}
    >>> gradients = {"w": jnp.eye(2), "b": jnp.array([4.0, -4.0])}
    >>> tx.update(gradients, tx.init(params), params)[0]["b"]
    Array([-0.5,  0.5], dtype=float32)
    """
    axes = or_roles(weight_dimension_numbers) if norms is None else weight_dimension_numbers
    spectral = (
        orthogonalize(ns_coeffs, 0.0, steps=ns_steps, dtype=ns_dtype, weight_dimension_numbers=axes),
        scale_by_shape(scaling="spectral", weight_dimension_numbers=axes),
    )
    balls = {"spectral": chain(*spectral, scale(radius)), "rms": chain(scale_by_lmo(eps), scale(radius))}
    for ball in ("sign", "outputs", "inputs"):
        balls[ball] = chain(scale_by_lmo(eps, ball=ball, weight_dimension_numbers=axes), scale(end_radius))
    step = partition(balls, functools.partial(_norms, axes) if norms is None else norms)
    return chain(scale_by_ewma(beta), step, add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate))


def _norms(axes: Any, params: Any) -> Any:
    """Which norm each leaf has, if nothing else is said."""
    return trees.map(lambda who: "spectral" if who == "muon" else "rms", by_axes(axes, params))
