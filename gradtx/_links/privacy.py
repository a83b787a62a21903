"""Differential privacy: no example moves the update far, and noise hides how far."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Limit, NonNegative, Seed


@transformation
def differentially_private_aggregate(
    l2_norm_clip: Limit, noise_multiplier: NonNegative, key: Seed = None, seed: Seed = None
) -> Rule:
    """The mean of the gradients of examples, each clipped to a norm, plus noise.

        u ← (Σᵢ gᵢ min(1, C/‖gᵢ‖) + Cσn)/B,   n ~ N(0, 1)

    Each gradient comes with an axis of the B examples in front, as ``jax.vmap(jax.grad(loss), (None, 0))`` makes it;
    ‖gᵢ‖ is over all leaves. C is ``l2_norm_clip``, σ ``noise_multiplier``. The draws follow from ``key`` (or ``seed``,
    its older name in Optax; 0 if neither is given), a whole number, as those of `add_noise` do. Measures ``rate``, the
    share of examples that were clipped, which is not private. The trap: it stands first in its chain, and what wraps it
    does not know of examples; put wrappers behind it. Source: Abadi et al. 2016, Algorithm 1. State: none but the
    chain's count and key. Raises `TransformationError`: leaves without that axis, or of different lengths.

    >>> tx = differentially_private_aggregate(1.0, 0.0)
    >>> tx.update(jnp.array([[3.0, 4.0], [0.2, 0.0]]), tx.init(jnp.zeros(2)))[0]  # of (0.6, 0.8), (0.2, 0)
    Array([0.4, 0.4], dtype=float32)
    """
    chosen = seed if key is None else key

    def update(updates: Tree, state: Any, *, key: Any) -> Any:
        factor = _factors(updates, l2_norm_clip)
        deviation = l2_norm_clip * noise_multiplier
        leaves, treedef = trees.flatten(updates)

        def mean(n: int, g: jax.Array) -> jax.Array:
            clipped = jnp.tensordot(factor.astype(g.dtype), g, 1, precision=jax.lax.Precision.HIGHEST)
            noise = jax.random.normal(jax.random.fold_in(key, n), clipped.shape, clipped.dtype)
            return (clipped + like(deviation, clipped) * noise) / len(g)

        return treedef.unflatten([None if g is None else mean(n, g) for n, g in enumerate(leaves)]), state

    measure = {"rate": lambda before, after: jnp.mean(_factors(before, l2_norm_clip) < 1)}
    return whole_tree(update, conditions=True, examples=True, seed=chosen, measure=measure)


def _factors(updates: Tree, longest: Any) -> jax.Array:
    """What to multiply the gradient of each example by: 1, or less where its norm is larger."""
    squares = [abs_sq(g).sum(tuple(range(1, g.ndim))) for g in jax.tree.leaves(updates)]
    norm = root(sum(squares[1:], start=squares[0])) if squares else jnp.zeros(1)
    long = norm > longest
    return jnp.where(long, longest / jnp.where(long, norm, 1), 1)
