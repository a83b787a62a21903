"""StableAdamW."""

from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.stable_rms import scale_by_stable_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def stable_adamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-2,
    *,
    mu_dtype: Dtype = None,
) -> GradientTransformation:
    """AdamW with the update clipping of Adafactor: no spikes where a leaf's gradients suddenly grow.

        θ ← θ − αₜ (m̂/(√ν̂ + ε) + λθ),   αₜ = α/max(1, √mean(gₜ²/max(ν̂, ε²)))   for each leaf

    α is ``learning_rate``, ε ``eps``, λ ``weight_decay``; see `gradtx.scale_by_stable_rms`. It takes the place of a
    clip of the gradient. Source: Wortsman et al. 2023, Algorithm 2.

    >>> tx = stable_adamw(0.5, weight_decay=0.25)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0].round(4)
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        bias_correction(b1),
        scale_by_stable_rms(b2, eps, weight_decay),
        scale_by_learning_rate(learning_rate),
    )
