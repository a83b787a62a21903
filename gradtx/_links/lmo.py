"""Steps to where a norm ball is lowest: linear minimization oracles of layers that are not orthogonalized."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.matrices import as_matrices, axes_of_leaves
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import within
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import NonNegative

Ball = Literal["sign", "outputs", "inputs", "rms"]


@transformation
def scale_by_lmo(eps: NonNegative = 1e-8, *, ball: Ball = "rms", weight_dimension_numbers: Any = None) -> Rule:
    """The direction in which the loss falls fastest, if the size of a step is measured by a norm of its layer.

        sign:     u ← sign(uₜ)/m                 every entry by as much (the last layer, one-hot inputs)
        outputs:  u ← uⱼ/(√m ‖uⱼ‖ + ε)           the weights into each output j by as much
        inputs:   u ← uᵢ/(‖uᵢ‖/√n + ε)           the weights out of each input i by as much (embeddings)
        rms:      u ← uₜ/(√mean|uₜ|² + ε)        a leaf that is no matrix, as one vector (biases, scales)

    ``ball`` is the norm, of an m × n matrix of m inputs and n outputs; ε is ``eps``; ``weight_dimension_numbers`` is as
    in `orthogonalize`, which with `scale_by_shape` is the same for the spectral norm. Source: Pethick et al. 2025
    (Scion), Tables 2 to 4. State: none. Raises `TransformationError`: a leaf that is no matrix, but for "rms".

    >>> scale_by_lmo(0.0).update(jnp.array([3.0, -3.0]), {})[0]
    Array([ 1., -1.], dtype=float32)
    >>> scale_by_lmo(ball="sign").update(jnp.array([[3.0], [-4.0]]), {})[0]
    Array([[ 0.5],
           [-0.5]], dtype=float32)
    """

    def over(x: jax.Array, size: jax.Array) -> jax.Array:
        under = size + jnp.asarray(eps).astype(size.dtype)
        return x * jnp.where(under > 0, 1 / jnp.where(under > 0, under, 1), 0).astype(x.dtype)

    def one(u: jax.Array, axes: Any) -> jax.Array:
        if ball == "rms":
            return over(u, root(jnp.mean(abs_sq(u))))
        x, restore = as_matrices(u, axes)
        m, n = x.shape[-2:]
        if ball == "sign":
            return restore(jnp.sign(x) / m)
        if ball == "outputs":
            return restore(over(x, root(abs_sq(x).sum(-2, keepdims=True)) * m**0.5))
        return restore(over(x, root(abs_sq(x).sum(-1, keepdims=True)) / n**0.5))

    def update(updates: Tree, state: Any) -> Any:
        leaves, treedef = trees.flatten(updates)
        axes = [None] * len(leaves) if ball == "rms" else axes_of_leaves(weight_dimension_numbers, updates)
        rows = zip(trees.paths(updates), leaves, axes, strict=True)
        made = [None if u is None else within(f"leaf {path}", one)(u, own) for path, u, own in rows]
        return treedef.unflatten(made), state

    return whole_tree(update)
