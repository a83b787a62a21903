"""Weight decay."""

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Late, Rule
from gradtx._rules.restrict import restrict
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Static


@transformation
def add_decayed_weights(weight_decay=0.0, mask: Static = None) -> Late | Rule:
    """The parameters, times a number, added to the update.

        u ← uₜ + λθₜ

    λ is ``weight_decay``, a number or a function of the step, θ the parameters. First in a chain it is L2
    regularisation, which every later link sees as part of the gradient; between a preconditioner and the learning
    rate it is decoupled decay (AdamW). ``mask`` chooses leaves: a path pattern (``"*.w"``) or several, a tree of
    bools, a function of the parameters that returns one. Source: Loshchilov & Hutter 2019, Algorithm 2. State: none.

    >>> add_decayed_weights(0.5).update(jnp.array([1.0]), {}, jnp.array([4.0]))[0]
    Array([3.], dtype=float32)
    """

    def formula(u, *, param):
        return u + weight_decay * param

    rule = per_leaf(formula, conditions=True)
    return rule if mask is None else restrict(rule, lambda tree: trees.mask(mask, tree))
