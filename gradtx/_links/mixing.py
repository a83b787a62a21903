"""The update, mixed with the gradient that entered the chain."""

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation


@transformation
def mix_with_gradient(share=0.7) -> Rule:
    """A weighted mean of the update and the gradient that entered the chain; after an average it is quasi-hyperbolic.

        u ← νuₜ + (1 − ν)gₜ

    ν is ``share``, the part of the update: 1 leaves it alone, 0 leaves plain gradients. After `scale_by_ewma` of decay
    β, ν = β is Nesterov's momentum. Source: Ma & Yarats 2019, eq. 3. State: none.

    >>> from gradtx import chain, scale_by_ewma
    >>> tx = chain(scale_by_ewma(0.5), mix_with_gradient(0.5))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # half of 2, half of 4
    Array([3.], dtype=float32)
    """

    def formula(u, *, gradient):
        return share * u + (1 - share) * gradient

    return per_leaf(formula)
