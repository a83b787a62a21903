"""Normalization: updates of one length."""

from gradtx import tree as trees
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import NonNegative


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
