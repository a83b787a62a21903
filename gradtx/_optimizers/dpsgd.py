"""Differentially private gradient descent."""

from gradtx._links.moments import nesterov_lookahead, trace
from gradtx._links.privacy import differentially_private_aggregate
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Limit, NonNegative, Seed
from gradtx._wrappers.chain import chain


@transformation
def dpsgd(
    learning_rate: NonNegative,
    l2_norm_clip: Limit,
    noise_multiplier: NonNegative,
    seed: Seed,
    momentum: Decay = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Gradient descent that keeps each example private.

        θ ← θ − α (Σᵢ gᵢ min(1, C/‖gᵢ‖) + Cσn)/B,   n ~ N(0, 1)

    α is ``learning_rate``; C, σ, the draws and the axis of examples are those of `differentially_private_aggregate`,
    ``momentum`` and ``nesterov`` those of `sgd`. Source: Abadi et al. 2016, Algorithm 1.

    >>> tx = dpsgd(0.5, 1.0, 0.0, seed=0)
    >>> tx.update(jnp.array([[3.0, 4.0], [0.2, 0.0]]), tx.init(jnp.zeros(2)))[0]  # half of the clipped mean
    Array([-0.2, -0.2], dtype=float32)
    """
    heavy = () if momentum is None else (trace(momentum),)
    ahead = (nesterov_lookahead(momentum),) if nesterov and momentum is not None else ()
    mean = differentially_private_aggregate(l2_norm_clip, noise_multiplier, seed)
    return chain(mean, *heavy, *ahead, scale_by_learning_rate(learning_rate))
