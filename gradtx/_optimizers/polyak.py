"""Polyak's step size."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import Limit, NonNegative
from gradtx._value.norm import sum_of_squares
from gradtx._wrappers.chain import chain


@transformation
def scale_by_polyak(
    f_min=0.0,
    max_learning_rate: Limit = 1.0,
    eps: NonNegative = 0.0,
    *,
    variant: Literal["sps", "sps+"] = "sps",
) -> Rule:
    """The update times the step that would end at the least loss, if the loss were linear.

        u ← uₜ min((f − f*)/(‖uₜ‖² + ε), αₘₐₓ)        (variant="sps+": max(f − f*, 0) in place of f − f*)

    f is the loss, the keyword ``value`` of ``update``; f* its least value, ``f_min``; αₘₐₓ ``max_learning_rate``; ε
    ``eps``. Where all gradients are zero there is no step. The trap: with "sps" a loss below f* makes it ascend.
    Source: Polyak 1987, section 5.3; Loizou et al. 2021, SPS with a largest rate; Garrigos, Gower & Schaipp 2023, SPS₊.
    State: none. Raises `TransformationError`: no ``value``.

    >>> tx = scale_by_polyak(max_learning_rate=10.0)
    >>> tx.update(jnp.array([2.0]), {}, value=jnp.array(8.0))[0]  # 2·8/4
    Array([4.], dtype=float32)
    """

    def update(updates: Any, state: Any, *, value: Any) -> Any:
        square = sum_of_squares(jax.tree.leaves(updates))
        gap = (jnp.asarray(value) - f_min).astype(square.dtype)
        gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
        steep = square > 0
        step = jnp.where(steep, jnp.minimum(gap / (jnp.where(steep, square, 1) + eps), max_learning_rate), 0)
        return trees.map(lambda u: u * step.astype(u.dtype), updates), state

    return whole_tree(update, conditions=True, packs=True)


@transformation
def polyak_sgd(
    max_learning_rate: Limit = 1.0,
    scaling: NonNegative = 1.0,
    f_min=0.0,
    eps: NonNegative = 0.0,
    *,
    variant: Literal["sps", "sps+"] = "sps",
) -> GradientTransformation:
    """Gradient descent with Polyak's step size.

        θ ← θ − s min((f − f*)/(‖g‖² + ε), αₘₐₓ) g

    f is the loss, the keyword ``value`` of ``update``; f* ``f_min``, αₘₐₓ ``max_learning_rate``, s ``scaling``, ε
    ``eps``. In Optax the norm is of sg, so that s acts as 1/s. Source: Loizou et al. 2021, SPS with a largest rate.

    >>> tx = polyak_sgd(10.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), value=jnp.array(8.0))[0]
    Array([-4.], dtype=float32)
    """
    return chain(scale_by_polyak(f_min, max_learning_rate, eps, variant=variant), scale_by_learning_rate(scaling))
