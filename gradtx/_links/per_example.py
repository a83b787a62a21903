"""Clipping example by example, as differential privacy needs it: functions of gradients with a leading axis."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide

Tree = Any


def per_example_global_norm_clip(grads: Tree, l2_norm_clip: Any) -> tuple[Tree, jax.Array]:
    """The sum of the gradients of all examples, each scaled down to ``l2_norm_clip`` where its norm is larger.

        Σᵢ gᵢ min(1, C/‖gᵢ‖)

    The leading axis of every leaf counts the examples, as `jax.vmap` of `jax.grad` returns them; the norm of an example
    is that of all its leaves. Returns the sum, in float32 at least, and how many were scaled down. Source: Abadi et al.
    2016, Algorithm 1. Raises `TransformationError`: leaves without a leading axis, or with different ones.

    >>> grads = {"a": jnp.array([[3.0], [0.0]]), "b": jnp.array([[4.0], [1.0]])}
    >>> total, clipped = per_example_global_norm_clip(grads, 1.0)
    >>> total["a"].round(3), int(clipped)  # 0.2·3, and the second has the norm 1
    (Array([0.6], dtype=float32), 1)
    """
    _check_examples(grads)
    norms = jax.vmap(trees.norm)(grads) if jax.tree.leaves(grads) else jnp.zeros(0)
    long = norms > l2_norm_clip
    factors = jnp.where(long, l2_norm_clip / jnp.where(long, norms, 1), 1)
    total = trees.map(lambda g: jnp.tensordot(factors.astype(wide(g).dtype), wide(g), axes=1), grads)
    return total, jnp.sum(long)


def per_example_layer_norm_clip(grads: Tree, global_l2_norm_clip: Any, uniform: bool = True) -> tuple[Tree, Tree]:
    """`per_example_global_norm_clip` for each leaf by itself, with bounds whose squares sum to that of the whole.

        Cₗ = C/√L   (uniform: L leaves alike);   Cₗ = C √(nₗ/n)   (by the nₗ of n numbers that a leaf holds)

    C is ``global_l2_norm_clip``. Returns a tree of sums and a tree of how many examples were scaled down. Source:
    McMahan et al. 2018, clipping layer by layer. Raises `TransformationError`: as `per_example_global_norm_clip`.

    >>> grads = {"a": jnp.array([[3.0], [0.0]]), "b": jnp.array([[4.0], [1.0]])}
    >>> total, clipped = per_example_layer_norm_clip(grads, 2.0**0.5)  # a bound of 1 for each
    >>> total["b"].round(3), int(clipped["a"]), int(clipped["b"])
    (Array([2.], dtype=float32), 1, 1)
    """
    _check_examples(grads)
    leaves, treedef = trees.flatten(grads)
    there = [g for g in leaves if g is not None]
    sizes = [1 if uniform else math.prod(g.shape[1:]) for g in there]
    bounds = iter([global_l2_norm_clip * math.sqrt(n / max(sum(sizes), 1)) for n in sizes])
    made = [(None, None) if g is None else per_example_global_norm_clip(g, next(bounds)) for g in leaves]
    return treedef.unflatten([total for total, _ in made]), treedef.unflatten([clipped for _, clipped in made])


def _check_examples(grads: Tree) -> None:
    counts = {jnp.shape(g)[:1] for g in jax.tree.leaves(grads)}
    if () in counts or len(counts) > 1:
        shapes = ", ".join(
            f"{path} {jnp.shape(g)}" for path, g in zip(trees.paths(grads), trees.flatten(grads)[0], strict=True)
        )
        raise TransformationError(f"expected gradients with one leading axis, that of the examples; found {shapes}")
