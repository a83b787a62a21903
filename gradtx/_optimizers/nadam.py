"""Adam with Nesterov's momentum."""

from gradtx._links.moments import nesterov_bias_correction, nesterov_momentum_decay, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def nadam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    momentum_decay: NonNegative = None,
    *,
    mu_dtype: Dtype = None,
) -> GradientTransformation:
    """Adam with Nesterov's momentum.

        m̂ = β₁mₜ/(1 − β₁ᵗ⁺¹) + (1 − β₁)gₜ/(1 − β₁ᵗ);   θ ← θ − α m̂/(√(ν̂ + ε₀) + ε)

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root``. The default keeps β₁ constant (Optax). With
    ``momentum_decay`` it warms up (see `gradtx.nesterov_momentum_decay`): 0.004 is PyTorch's, 1 is Keras'. Source:
    Dozat 2016, Algorithm 2.

    >>> tx = nadam(3.0, b1=0.5, b2=0.5, eps=0.0)
    >>> tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))[0]  # 3·(0.5·1.5/0.75 + 0.5·3/0.5)/3
    Array([-4.], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1, accumulator_dtype=mu_dtype),
        nesterov_bias_correction(b1) if momentum_decay is None else nesterov_momentum_decay(b1, momentum_decay),
        scale_by_rms(b2, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )
