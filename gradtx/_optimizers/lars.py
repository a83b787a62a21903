"""LARS."""

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.trust_ratio import scale_by_trust_ratio
from gradtx._optimizers.sgd import momentum_links
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative, Static
from gradtx._wrappers.chain import chain
from gradtx._wrappers.groups import masked


@transformation
def lars(
    learning_rate: NonNegative,
    weight_decay: NonNegative = 0.0,
    weight_decay_mask: Static = True,
    trust_coefficient: NonNegative = 1e-3,
    eps: NonNegative = 0.0,
    trust_ratio_mask: Static = True,
    momentum: Decay = 0.9,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Momentum with a rate for each layer, proportional to the norm of its weights: for large batches.

        d = gₜ + λθ;   vₜ = μvₜ₋₁ + αη d ‖θ‖/(‖d‖ + ε);   θ ← θ − vₜ        (nesterov: as in `gradtx.sgd`)

    α is ``learning_rate``, λ ``weight_decay``, η ``trust_coefficient``, ε ``eps``, μ ``momentum``. The masks choose the
    leaves that decay, and those that are scaled; biases and norms are usually left out of both. Source: You, Gitman &
    Ginsburg 2017, Algorithm 1, with the norm of d in place of ‖g‖ + λ‖θ‖.

    >>> tx = lars(0.5, trust_coefficient=0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), jnp.array([8.0]))[0]  # 0.5·0.5·8
    Array([-2.], dtype=float32)
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(scale_by_trust_ratio(0.0, trust_coefficient, eps), trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        *momentum_links(momentum, nesterov),
    )
