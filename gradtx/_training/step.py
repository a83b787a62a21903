"""One step of training: the gradient of a loss, and what a transformation makes of it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.functions import apply_updates, gradient_params
from gradtx._rules.restrict import fill
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import within
from gradtx._wrappers.loss_scale import loss_scales

Tree = Any
Loss = Callable[..., Any]


class Advanced(NamedTuple):
    """What one step makes: ``value`` and ``extras`` of the loss, its ``gradient`` and the ``updates``."""

    params: Tree
    state: Tree
    value: Any
    extras: Any
    gradient: Tree
    updates: Tree


def advance(loss: Loss, tx: GradientTransformation, params: Tree, state: Tree) -> Advanced:
    """One step with a loss that is a function of the parameters, and returns its value and extras.

    The loss and its gradient are taken at the evaluation point; a `dynamic_loss_scale` gets its gradient scaled. Leaves
    that are not in floating point stay as they are. The gradient of a complex leaf is the conjugate of what
    ``jax.grad`` returns, the direction of steepest ascent.
    """

    def both(trained: Tree) -> Any:
        return loss(fill(trained, params))

    def value_fn(trained: Tree) -> Any:
        return both(trained)[0]

    def scaled(trained: Tree) -> Any:
        value, extras = both(trained)
        by = [scale.astype(jnp.result_type(value)) for scale in loss_scales(state)]
        return math.prod(by, start=value), (value, extras)

    trained = moving(gradient_params(tx, params, state))
    (_, (value, extras)), gradient = jax.value_and_grad(scaled, has_aux=True)(trained)
    gradient = fill(trees.map(jnp.conj, gradient), trees.map(jnp.zeros_like, params))
    updates, state = tx.update(gradient, state, params, value=value, grad=gradient, value_fn=value_fn)
    return Advanced(apply_updates(params, updates), state, value, extras, gradient, updates)


def moving(tree: Tree) -> Tree:
    """The leaves in floating point, which training moves; ``None`` for whole numbers and random keys."""
    return trees.map(lambda x: x if jnp.issubdtype(x.dtype, jnp.inexact) else None, tree)


def as_transformation(who: str, tx: Any) -> GradientTransformation:
    """The transformation; one of another library becomes a link. Raises `TransformationError` for anything else."""
    return within(f"{who}: tx", GradientTransformation._link)(tx)
