"""Weight decay that falls with the learning rate."""

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Late, Rule
from gradtx._rules.restrict import restrict
from gradtx._rules.transformation import transformation
from gradtx._value.marks import NonNegative, Static


@transformation
def add_corrected_decay(
    weight_decay, learning_rate: NonNegative, max_learning_rate: NonNegative, mask: Static = None
) -> Late | Rule:
    """The parameters, times a decay that falls with the learning rate, added to the update.

        u ← uₜ + λ(αₜ/αₘₐₓ)θₜ

    λ is ``weight_decay``, αₜ ``learning_rate`` (the schedule of the chain), αₘₐₓ ``max_learning_rate``, its peak.
    Before the learning rate the decay of a step is λαₜ²/αₘₐₓ: then weights whose scale does not matter, such as those
    before a normalization, keep the balance of gradient and decay when αₜ falls, and gradients do not grow at the end.
    ``mask`` is that of `gradtx.add_decayed_weights`. Source: Defazio 2025, Algorithm 1. State: none but the chain's
    count under a schedule. Raises `TransformationError`: no ``params``.

    >>> add_corrected_decay(0.5, 0.1, 0.2).update(jnp.array([1.0]), {}, jnp.array([4.0]))[0]  # 1 + 0.5·½·4
    Array([2.], dtype=float32)
    """

    def formula(u, *, param):
        share = learning_rate / max_learning_rate
        return u + weight_decay * share * param

    rule = per_leaf(formula, conditions=True)
    return rule if mask is None else restrict(rule, lambda tree: trees.mask(mask, tree))
