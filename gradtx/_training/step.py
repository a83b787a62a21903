"""One step of training: the gradient of a loss, and what a transformation makes of it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.functions import apply_updates, gradient_params
from gradtx._rules.restrict import fill
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError, within

Tree = Any
Loss = Callable[..., Any]


def advance(loss: Loss, tx: GradientTransformation, params: Tree, state: Tree, *batch: Tree) -> Any:
    """One step: the new parameters and state, the loss and its gradient at the evaluation point, and the update.

    Leaves that are not in floating point stay as they are. The gradient of a complex leaf is the conjugate of what
    ``jax.grad`` returns, the direction of steepest ascent.
    """

    def value_fn(trained: Tree) -> Any:
        return loss(fill(trained, params), *batch)

    trained = moving(gradient_params(tx, params, state))
    value, gradient = jax.value_and_grad(value_fn)(trained)
    gradient = fill(trees.map(jnp.conj, gradient), trees.map(jnp.zeros_like, params))
    updates, state = tx.update(gradient, state, params, value=value, grad=gradient, value_fn=value_fn)
    return apply_updates(params, updates), state, value, gradient, updates


def moving(tree: Tree) -> Tree:
    """The leaves in floating point, which training moves; ``None`` for whole numbers and random keys."""
    return trees.map(lambda x: x if jnp.issubdtype(x.dtype, jnp.inexact) else None, tree)


# What a step is made of -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ValueOf:
    """A loss that returns (value, aux), as one that returns the value. Equal for equal losses, so it compiles once."""

    loss: Loss

    def __call__(self, *args: Any) -> Any:
        return self.loss(*args)[0]


def final_loss(loss: Loss, has_aux: bool, *args: Any) -> tuple[Any, Any]:
    """The loss at the end of a run, and its auxiliary output, None if it has none."""
    made = jax.jit(loss)(*args)
    return made if has_aux else (made, None)


def as_transformation(who: str, tx: Any) -> GradientTransformation:
    """The transformation; one of another library becomes a link. Raises `TransformationError` for anything else."""
    return within(f"{who}: tx", GradientTransformation._link)(tx)


def check_loss(who: str, loss: Loss, *args: Any, has_aux: bool) -> None:
    """Raise `TransformationError` unless the loss returns one real number, or (value, aux) with ``has_aux``."""
    try:
        hash(loss)
    except TypeError:
        raise TransformationError(f"{who}: loss: expected a function that hashes, found {loss!r}") from None
    check_arguments(who, loss, len(args))
    value = jax.eval_shape(loss, *args)
    if has_aux:
        if not isinstance(value, tuple) or len(value) != 2:
            found = f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
            raise TransformationError(f"{who}: loss: expected (value, aux), for has_aux=True, found {found}")
        value = value[0]
    elif isinstance(value, tuple):
        raise TransformationError(
            f"{who}: loss: expected one real number, found a tuple; has_aux=True takes (value, aux)"
        )
    if not hasattr(value, "shape") or value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        found = value if hasattr(value, "shape") else f"{type(value).__name__}"
        raise TransformationError(f"{who}: loss: expected one real number, found {found}")


def check_arguments(who: str, loss: Loss, many: int) -> None:
    """Raise `TransformationError` unless the loss can be called with so many arguments: parameters, and a batch."""
    try:
        signature = inspect.signature(loss)
    except (TypeError, ValueError):  # its signature is unknown
        return
    try:
        signature.bind(*[None] * many)
    except TypeError:
        wanted = ", ".join(("params", "batch")[:many])
        raise TransformationError(f"{who}: loss: expected loss({wanted}), found loss{signature}") from None
