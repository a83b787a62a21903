"""MARS: variance reduction before any optimizer."""

from gradtx._links.variance_reduction import reduce_variance
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Limit, Link, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def mars(inner: Link, gamma: NonNegative = 0.025, b1: Decay = 0.95, max_norm: Limit = 1.0) -> GradientTransformation:
    """Any optimizer, on gradients of less variance.

        cₜ = gₜ + γ β₁/(1 − β₁) (gₜ − gₜ₋₁), each leaf clipped to ``max_norm``;   u ← inner(cₜ)

    γ is ``gamma``, β₁ ``b1``, which should be the decay of the first moment of ``inner``; see `gradtx.reduce_variance`.
    Around `adamw`, `lion` or `muon` it is MARS-AdamW, MARS-Lion and MARS-Muon; the paper gives vectors to AdamW alone,
    which `partition` does. With γ = 0 it is ``inner`` with a clip. Source: Yuan et al. 2024, Algorithm 2.

    >>> from gradtx import sgd
    >>> tx = mars(sgd(0.5), gamma=1.0, b1=0.5)
    >>> tx.update(jnp.array([0.25]), tx.init(jnp.zeros(1)))[0]  # 0.5·(0.25 + 0.25)
    Array([-0.25], dtype=float32)
    """
    return chain(reduce_variance(gamma, b1, max_norm), inner)
