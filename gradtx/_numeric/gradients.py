"""Gradients on their way back: scaled, or taken from what a line search has already computed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.loops import cond
from gradtx._value.errors import TransformationError

Tree = Any


def scale_gradient(inputs: Tree, scale: Any) -> Tree:
    """The inputs as they are; the gradient with respect to them is multiplied by ``scale``.

    ``scale`` may be traced (not so in Optax), and has no gradient itself; 0 stops the gradient, also an infinite one.
    Source: Ganin & Lempitsky 2015, section 3 (−λ, gradient reversal).

    >>> jax.grad(lambda x: 3 * scale_gradient(x, -0.5))(1.0)
    Array(-1.5, dtype=float32, weak_type=True)
    """
    return trees.map(lambda x: _scaled(x, scale) if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else x, inputs)


@jax.custom_jvp
def _scaled(x: Any, scale: Any) -> Any:
    return x


@_scaled.defjvp
def _scaled_jvp(primals: Any, tangents: Any) -> Any:
    (x, scale), (dx, _) = primals, tangents
    zero = jnp.asarray(scale) == 0
    return x, jnp.where(zero, 0, trees.scale(scale, jnp.where(zero, 0, dx)))


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[jax.Array, Tree]]:
    """`jax.value_and_grad` that takes both from the state of a line search, where they are.

    The result is ``value_and_grad(params, *fn_args, state, **fn_kwargs)``. A line search (`gradtx.lbfgs`,
    `gradtx.scale_by_zoom_linesearch`, `gradtx.scale_by_backtracking_linesearch` with ``store_grad``, and those of
    Optax) ends with the value and the gradient at the new parameters, and keeps them at any depth of the state. They
    are computed anew before the first step, where the value is not finite, and where a search was about some of the
    parameters only. The trap: what is in the state belongs to the arguments of the last step, such as its batch, and
    to where the search ended: no later link may move the update.

    Raises `TransformationError`: a state without a value and a gradient side by side.

    >>> from gradtx import apply_updates, lbfgs
    >>> f = lambda x: jnp.sum(x**2)
    >>> tx, x = lbfgs(), jnp.array([2.0])
    >>> state = tx.init(x)
    >>> value, grad = value_and_grad_from_state(f)(x, state=state)
    >>> updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f)
    >>> x = apply_updates(x, updates)
    >>> value, grad = value_and_grad_from_state(f)(x, state=state)  # no evaluation of f
    >>> bool(value == f(x))
    True
    """

    def value_and_grad(params: Tree, *fn_args: Any, state: Any, **fn_kwargs: Any) -> tuple[jax.Array, Tree]:
        records = _records(state)
        if not records:
            raise TransformationError(
                "value_and_grad_from_state: the state has no 'value' beside a 'grad': it is that of no line search, or "
                "of one without store_grad"
            )

        def compute() -> tuple[jax.Array, Tree]:
            return jax.value_and_grad(value_fn)(params, *fn_args, **fn_kwargs)

        expected = jax.eval_shape(compute)
        whole = [record for record in records if jax.tree.structure(record[1]) == jax.tree.structure(params)]
        if len(whole) != 1:
            return compute()
        value, grad = jax.tree.map(lambda x, like: x.astype(like.dtype), whole[0], expected)
        return cond(jnp.isfinite(whole[0][0]), lambda: (value, grad), compute)

    return value_and_grad


def _records(state: Any) -> list[tuple[Any, Tree]]:
    """Every value that has a gradient beside it."""
    gradients = {path[:-1]: grad for path, grad in trees.get_all_with_path(state, "grad")}
    values = trees.get_all_with_path(state, "value")
    return [(value, gradients[path[:-1]]) for path, value in values if path and path[:-1] in gradients]
