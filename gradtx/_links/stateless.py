"""Links from functions of the update and the parameters alone."""

from typing import Any

from gradtx import tree as trees
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import Static


@transformation
def stateless(f: Static) -> Rule:
    """A function of trees as a link.

        u ← f(uₜ, θ)

    ``f(updates, params)`` gets trees in float32 at least, and None for parameters that are not given. It conditions
    gradients (see `gradtx.chain`). State: none. Raises `TransformationError`: a function that returns another tree.

    >>> import jax
    >>> tx = stateless(lambda updates, params: jax.tree.map(lambda u: 2 * u, updates))
    >>> tx.update({"w": jnp.array([3.0])}, {})[0]
    {'w': Array([6.], dtype=float32)}
    """

    def update(updates: Tree, state: Any, *, params: Tree = None) -> Any:
        return f(updates, params), state

    return whole_tree(update, conditions=True)


@transformation
def stateless_with_tree_map(f: Static) -> Rule:
    """A function of one array as a link, applied leaf by leaf.

        u ← f(uₜ, θ)

    ``f(update, param)`` gets arrays in float32 at least, and None for a parameter that is not given. It conditions
    gradients (see `gradtx.chain`). State: none.

    >>> tx = stateless_with_tree_map(lambda u, param: u + 0.5 * param)
    >>> tx.update(jnp.array([3.0]), {}, jnp.array([4.0]))[0]
    Array([5.], dtype=float32)
    """

    def update(updates: Tree, state: Any, *, params: Tree = None) -> Any:
        if params is None:
            return trees.map(lambda u: f(u, None), updates), state
        return trees.map(f, updates, params), state

    return whole_tree(update, conditions=True)


def init_empty_state(params: Tree) -> dict[str, Any]:
    """The state of a link that keeps none.

    >>> init_empty_state(jnp.zeros(1))
    {}
    """
    del params
    return {}
