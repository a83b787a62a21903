"""Constraints on parameters: each step ends in a set, by a projection."""

from typing import Any

from gradtx import tree as trees
from gradtx._rules.checks import check_like
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import within
from gradtx._value.marks import Static


@transformation
def project_params(projection: Static, scale=None) -> Rule:
    """The update that leads to the projection of where the parameters would be: projected gradient descent.

        u ← P(θ + uₜ) − θ

    P is ``projection``, a function of a tree of parameters such as those of `gradtx.projections`; ``scale`` is its
    second argument, if it is given, and as a number it can be swept and scheduled. It stands last in its chain, behind
    the learning rate. The trap: θ + u is rounded, so a parameter may be outside of the set by one rounding. Source:
    Goldstein 1964; Levitin & Polyak 1966. State: none. Raises `TransformationError`: no ``params``, or a projection
    that returns another tree.

    >>> from gradtx import chain, projections, sgd
    >>> tx, x = chain(sgd(1.0), project_params(projections.projection_non_negative)), jnp.array([1.0, 3.0])
    >>> x + tx.update(jnp.array([2.0, 2.0]), tx.init(x), x)[0]
    Array([0., 1.], dtype=float32)
    """

    def update(updates: Tree, state: Any, *, params: Tree) -> Any:
        moved = trees.map(lambda p, u: p + u.astype(p.dtype), params, updates)
        nearest = projection(moved) if scale is None else projection(moved, scale)
        within("projection", check_like)(nearest, params)
        return trees.map(lambda p, x, u: (x - p).astype(u.dtype), params, nearest, updates), state

    return whole_tree(update)
