"""Fromage."""

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.trust_ratio import scale_by_trust_ratio
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative
from gradtx._wrappers.chain import chain


@transformation
def fromage(learning_rate: NonNegative, min_norm: NonNegative = 1e-6) -> GradientTransformation:
    """Steps relative to the norm of each leaf, shrunk so that the leaf does not grow.

        θ ← (θ − α g max(‖θ‖, m)/max(‖g‖, m))/√(1 + α²)

    α is ``learning_rate``, m ``min_norm``. The shrinking, which Optax computes as a difference of numbers close to 1,
    is exact to rounding here. Source: Bernstein et al. 2020, Algorithm 1.

    >>> tx = fromage(0.75)
    >>> tx.update(jnp.array([2.0]), {}, jnp.array([5.0]))[0]  # (5 − 0.75·5)/1.25 − 5
    Array([-4.], dtype=float32)
    """
    length = (1 + learning_rate**2) ** 0.5
    return chain(
        scale_by_trust_ratio(min_norm),
        scale_by_learning_rate(learning_rate / length),
        add_decayed_weights(-(learning_rate**2) / (length * (1 + length))),  # 1/length − 1
    )
