"""Gradients of length one."""

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import scaled
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import NonNegative


@transformation
def normalize() -> Rule:
    """All leaves together, scaled to length 1.

        u ← uₜ/‖uₜ‖,   ‖u‖ = √Σ|u|² over all leaves;   0 where uₜ is 0

    The norm is accumulated in float32 at least. Where the gradient is 0, Optax divides 0 by 0. With `scale` it is the
    adversary of `sam`. Source: Foret et al. 2021, eq. 2 with p = 2. State: none.

    >>> normalize().update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, {})[0]
    {'a': Array([0.6], dtype=float32), 'b': Array([0.8], dtype=float32)}
    """

    def update(updates: Tree, state: dict[str, Tree]) -> tuple[Tree, dict[str, Tree]]:
        return scaled(_inverse(trees.norm(updates)), updates), state

    return whole_tree(update, conditions=True, packs=True)


@transformation
def normalize_by_size(eta: NonNegative = 0.01) -> Rule:
    """The direction of length 1 in which the loss rises fastest, if a step is measured relative to the parameters.

        u ← T²uₜ/‖Tuₜ‖,   T = |θ| + η, number by number;   0 where uₜ is 0

    η is ``eta``. It is what makes `sam` adaptive: see `asam`. Source: Kwon et al. 2021, Algorithm 1. State:
    none. Raises `TransformationError`: no ``params``.

    >>> normalize_by_size(0.0).update(jnp.array([3.0, 1.0]), {}, jnp.array([1.0, 4.0]))[0]  # T²u = 3, 16 over 5
    Array([0.6, 3.2], dtype=float32)
    """

    def update(updates: Tree, state: dict[str, Tree], *, params: Tree) -> tuple[Tree, dict[str, Tree]]:
        size = trees.map(lambda u, param: (jnp.abs(param) + eta).astype(jnp.real(u).dtype), updates, params)
        stretched = trees.map(lambda u, t: u * t.astype(u.dtype), updates, size)
        factor = _inverse(trees.norm(stretched))
        return trees.map(lambda u, t: u * (t * factor.astype(t.dtype)).astype(u.dtype), stretched, size), state

    return whole_tree(update, conditions=True, packs=True)


@transformation
def normalize_by_update_norm(scale_factor=1.0, eps: NonNegative = 1e-6) -> Rule:
    """All leaves together, over their norm.

        u ← s uₜ/(‖uₜ‖ + ε)

    s is ``scale_factor``, ε ``eps``. The norm is accumulated in float32 at least, over the leaves that are trained.
    Source: Hazan, Levy & Shalev-Shwartz 2015, Algorithm 1. State: none.

    >>> normalize_by_update_norm(eps=0.0).update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, {})[0]
    {'a': Array([0.6], dtype=float32), 'b': Array([0.8], dtype=float32)}
    """

    def update(updates, state):
        factor = scale_factor / (trees.norm(updates) + eps)
        return trees.map(lambda u: u * factor.astype(u.dtype), updates), state

    return whole_tree(update, conditions=True, packs=True)


def _inverse(norm):
    """1/norm; 0 where that is 0."""
    return jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0)
