"""Weight decay that does not depend on the learning rate: to zero, or to where the training began."""

from gradtx import tree as trees
from gradtx._rules.fields import copied
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Late, Rule
from gradtx._rules.restrict import restrict
from gradtx._rules.transformation import transformation
from gradtx._value.marks import NonNegative, Static


@transformation
def decay_params(rate: NonNegative, mask: Static = None) -> Late | Rule:
    """A part of the parameters that is taken off at every step, whatever the learning rate is.

        u ← uₜ − λθ,   so θ ← (1 − λ)θ + uₜ

    λ is ``rate``, a number or a function of the step. It stands last in its chain, behind the learning rate; with a
    constant rate α and λ = αλ' it is AdamW's decay. ``mask`` chooses leaves, as in `add_decayed_weights`. Source:
    Loshchilov & Hutter 2019, Algorithm 2 with its η. State: none. Raises `TransformationError`: no ``params``.

    >>> decay_params(0.25).update(jnp.array([1.0]), {}, jnp.array([4.0]))[0]
    Array([0.], dtype=float32)
    """
    return _on(mask, per_leaf(lambda u, *, param: u - rate * param))


@transformation
def decay_to_start(rate: NonNegative, mask: Static = None) -> Late | Rule:
    """A part of the way back to the first parameters, at every step, whatever the learning rate is.

        u ← uₜ − λ(θ − θ₀),   so θ ← (1 − λ)θ + λθ₀ + uₜ

    λ is ``rate``, a number or a function of the step, θ₀ the parameters that ``init`` got, such as those of a model
    that is tuned further. It stands last in its chain, behind the learning rate. ``mask`` is as in
    `add_decayed_weights`. Source: Li, Grandvalet & Davoine 2018, eq. 5, decoupled. State: ``start`` (θ₀), like the
    parameters. Raises `TransformationError`: no ``params``.

    >>> tx = decay_to_start(0.25)
    >>> state = tx.init(jnp.array([8.0]))
    >>> tx.update(jnp.array([0.0]), state, jnp.array([4.0]))[0]
    Array([1.], dtype=float32)
    """
    return _on(mask, per_leaf(lambda u, start, *, param: (u - rate * (param - start), start), start=copied))


def _on(mask, rule):
    return rule if mask is None else restrict(rule, lambda tree: trees.mask(mask, tree))
