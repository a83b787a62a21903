"""Diagonals of matrices of second derivatives, as vectors over all parameters."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._curvature.flat import Loss, Tree, prepare, product
from gradtx._rules.vectors import precision, raveled, unraveled

AT_ONCE = 64  # products in one batch: memory for so many copies of the parameters


def hessian_diag(loss: Loss, params: Tree, *args: Any) -> jax.Array:
    """The diagonal of the Hessian, exactly: one `hvp` for each parameter.

        d_i = ∂²loss/∂θᵢ²

    The vector is in the order of `gradtx.tree.paths`, each leaf row by row. The arguments of ``optax.hessian_diag``,
    (loss, params, inputs, targets), will do; the parameters may be any tree.

    Raises `TransformationError`: a loss that is no real scalar.

    >>> hessian_diag(lambda x: x["a"] ** 2 * x["b"], {"a": jnp.array(1.0), "b": jnp.array(3.0)})
    Array([6., 0.], dtype=float32)
    """
    params, args = prepare("hessian_diag", loss, params, args)
    return _hessian_diag(loss, params, args)


@functools.partial(jax.jit, static_argnames="loss")
def _hessian_diag(loss: Loss, params: Tree, args: Any) -> jax.Array:
    size, real = trees.size(params), precision(params)

    def entry(i: jax.Array) -> jax.Array:
        unit = (jnp.arange(size) == i).astype(real)
        return raveled(product(loss, params, unraveled(unit, params), args))[i]

    return jax.lax.map(entry, jnp.arange(size), batch_size=min(size, AT_ONCE))


def fisher_diag(negative_log_likelihood: Loss, params: Tree, *args: Any) -> jax.Array:
    """The diagonal of the observed Fisher information: the squares of the gradient.

        d_i = (∂loss/∂θᵢ)²

    The vector is ordered as that of `hessian_diag`, and so are the arguments. The trap: the square of the gradient of a
    mean over a batch is not the mean of the squares; map over single examples for that.

    Raises `TransformationError`: a loss that is no real scalar.

    >>> fisher_diag(lambda x: x[0] ** 2 - x[1], jnp.array([1.0, 3.0]))
    Array([4., 1.], dtype=float32)
    """
    params, args = prepare("fisher_diag", negative_log_likelihood, params, args)
    return raveled(jax.grad(negative_log_likelihood)(params, *args)) ** 2
