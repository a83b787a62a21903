"""Updates whose size is relative to that of the parameters."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.norms import MATRIX, UNIT, norm_over, over
from gradtx._rules.matrices import as_units
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import NonNegative


@transformation
def scale_to_params(*, weight_dimension_numbers: Any = None) -> Rule:
    """The direction of the update, as long as the parameters: the learning rate is then the part that they change by.

        u ← uₜ ‖θ‖/‖uₜ‖;   0 where uₜ or θ is 0

    The norm is that of a leaf; with ``weight_dimension_numbers`` (as in `orthogonalize`) that of each matrix of a
    stack. It stands before the learning rate. `scale_by_trust_ratio` leaves the update as it is where θ is 0, so that
    zeros can move. Source: NVIDIA's Emerging-Optimizers, ``RelativeUpdateHook``. State: none. Raises
    `TransformationError`: no ``params``.

    >>> scale_to_params().update(jnp.array([0.0, 2.0]), {}, jnp.array([3.0, 4.0]))[0]
    Array([0., 5.], dtype=float32)
    """

    def relative(u: Any, theta: Any) -> Any:
        return over(norm_over(theta, MATRIX), norm_over(u, MATRIX)).astype(u.dtype) * u

    return _of_matrices(relative, weight_dimension_numbers)


@transformation
def row_floor(floor: NonNegative = 0.38, *, weight_dimension_numbers: Any = None) -> Rule:
    """The update of each unit, scaled up where it is small beside the weights of the unit.

        u ← uₜ max(1, ρ‖θ‖/‖uₜ‖)   for the weights into every unit;   0 where uₜ is 0

    ρ is ``floor``. A unit is an output of a matrix: the numbers along its inputs. ``weight_dimension_numbers`` (as in
    `orthogonalize`) says which these are; without, arrays of two axes are matrices with the inputs first, and any other
    leaf is one unit. It stands between a direction of fixed size, such as that of `orthogonalize`, and the learning
    rate α: so no unit changes by less than αρ of itself. Measures ``rate``, the share of units that were scaled up.
    Source: modded-nanogpt, track 3, row 46. State: none. Raises `TransformationError`: no ``params``.

    >>> tx, theta = row_floor(0.5), jnp.array([[4.0, 8.0], [0.0, 0.0]])
    >>> tx.update(jnp.array([[3.0, 0.0], [0.0, 1.0]]), {}, theta)[0]
    Array([[3., 0.],
           [0., 4.]], dtype=float32)
    """

    def raised(u: Any, theta: Any) -> Any:
        size = norm_over(theta, UNIT)
        return jnp.maximum(1, like(floor, size) * over(size, norm_over(u, UNIT))).astype(u.dtype) * u

    def rate(before: Tree, after: Tree) -> Any:
        units = [as_units(weight_dimension_numbers, tree)[0] for tree in (before, after)]
        raised = trees.map(lambda a, b: jnp.any(a != b, axis=UNIT), *units)
        return trees.sum(trees.map(jnp.sum, raised)) / max(trees.size(raised), 1)

    return _of_matrices(raised, weight_dimension_numbers, measure={"rate": rate})


def _of_matrices(of: Any, axes: Any, **options: Any) -> Rule:
    """The rule that is a function of the update and the parameters of every matrix."""

    def update(updates: Tree, state: dict[str, Tree], *, params: Tree) -> tuple[Tree, dict[str, Tree]]:
        own, back = as_units(axes, updates)
        return back(trees.map(of, own, as_units(axes, params)[0])), state

    return whole_tree(update, **options)
