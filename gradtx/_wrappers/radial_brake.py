"""A brake on the growth of parameters."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.norms import MATRIX, norm_over, over
from gradtx._rules.around import around
from gradtx._rules.matrices import as_units
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._value.marks import Link, NonNegative


@transformation
def radial_brake(
    inner: Link, outward: NonNegative = 0.5, inward: NonNegative = 1.0, *, weight_dimension_numbers: Any = None
) -> Late:
    """A step after which the norm of the parameters has changed by a part of what the step would change it by.

        w = θ + inner(uₜ);   θ ← w (‖θ‖ + s(‖w‖ − ‖θ‖))/‖w‖,   s = outward where ‖w‖ > ‖θ‖, else inward

    With 0 for both the norm stays (see `hyperball`), with 1 it does nothing. The norm is that of a leaf; with
    ``weight_dimension_numbers`` (as in `orthogonalize`) that of each matrix of a stack. It goes around a whole
    optimizer. Source: NVIDIA's Emerging-Optimizers, ``RadialBrakeHook``; modded-nanogpt, track 3. State: ``inner``.
    Raises `TransformationError`: no ``params``.

    >>> from gradtx import sgd
    >>> tx, theta = radial_brake(sgd(1.0)), jnp.array([3.0, 0.0])
    >>> u, _ = tx.update(jnp.array([0.0, -4.0]), tx.init(theta), theta)
    >>> [round(float(x), 4) for x in theta + u]  # to (3, 4), of norm 5, and back to norm 4
    [2.4, 3.2]
    """

    def update(step: Any, updates: Tree, state: State, *, params: Tree) -> Any:
        new, after = step(updates)
        matrices, back = as_units(weight_dimension_numbers, params)
        steps, _ = as_units(weight_dimension_numbers, new)

        def braked(theta: Any, u: Any) -> Any:
            before, there = norm_over(theta, MATRIX), norm_over(theta + u, MATRIX)
            kept = jnp.where(there > before, like(outward, before), like(inward, before))
            less = (1 - kept) * over(before - there, there)  # by how much of itself it grows, or shrinks
            return u + less.astype(u.dtype) * (theta + u)

        return back(trees.map(braked, matrices, steps)), {"inner": after}

    return around(inner, update, every_step=True)
