"""Parameters of constant norm: steps on a sphere."""

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
def hyperball(inner: Link, learning_rate: NonNegative, *, weight_dimension_numbers: Any = None) -> Late:
    """A step in the direction of the update of ``inner``, of a length relative to the parameters, whose norm stays.

        w = θ + αR u/‖u‖,   u = inner(uₜ);   θ ← R w/‖w‖,   R = ‖θ₀‖

    α is ``learning_rate``: about the angle of a step. Of ``inner``, a whole optimizer, the direction alone counts, so
    its own rate does not matter, and weight decay has next to nothing to do. The norm is that of a leaf; with
    ``weight_dimension_numbers`` (as in `orthogonalize`) that of each matrix of a stack. A leaf, or a matrix, that
    starts at 0 has no sphere, and gets the update of ``inner`` as it is. Choose leaves with `masked` or `partition`;
    scales of layers are better left out. Source: NVIDIA's Emerging-Optimizers, ``MuonHyperball``; modded-nanogpt,
    track 3. State: ``inner``; ``radius`` (R), for every matrix. Raises `TransformationError`: no ``params``.

    >>> from gradtx import sgd
    >>> tx, theta = hyperball(sgd(1.0), 0.75), jnp.array([4.0, 0.0])
    >>> u, _ = tx.update(jnp.array([0.0, -0.1]), tx.init(theta), theta)
    >>> [round(float(x), 4) for x in theta + u]  # to (4, 3), and from there to 4/5 of it
    [3.2, 2.4]
    """

    def init(params: Tree) -> State:
        matrices, _ = as_units(weight_dimension_numbers, params)
        return {"radius": trees.map(lambda x: norm_over(x, MATRIX), matrices)}

    def update(step: Any, updates: Tree, state: State, *, params: Tree) -> Any:
        new, after = step(updates)
        matrices, back = as_units(weight_dimension_numbers, params)
        directions, _ = as_units(weight_dimension_numbers, new)

        def moved(theta: Any, u: Any, radius: Any) -> Any:
            length = like(learning_rate, radius) * over(radius, norm_over(u, MATRIX))
            beside = theta + length.astype(u.dtype) * u
            onto = over(radius, norm_over(beside, MATRIX))
            return jnp.where(radius > 0, onto.astype(u.dtype) * beside - theta, u)

        made = trees.map(moved, matrices, directions, state["radius"])
        return back(made), {"inner": after, "radius": state["radius"]}

    return around(inner, update, init=init, every_step=True)
