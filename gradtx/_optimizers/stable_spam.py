"""Stable-SPAM: Adam for gradients with spikes, such as those of training in 4 bits."""

from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.norm_history import clip_spikes, steady_norm
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.restart import restart


@transformation
def stable_spam(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    gamma1: Decay = 0.7,
    gamma2: Decay = 0.9,
    theta: Decay = 0.999,
    update_interval: NonNegative = 1000,
) -> GradientTransformation:
    """Adam on gradients without spikes and of a steady norm, which forgets its moments now and then.

        g' = steady_norm(clip_spikes(gₜ));   θ ← θ − α (m̂/(√ν̂ + ε) + λθ),   m̂ and ν̂ of g', made anew at every k-th
        step

    α is ``learning_rate``, ε ``eps``, λ ``weight_decay``, k ``update_interval``; θ of `gradtx.clip_spikes` is
    ``theta``, and the decays of `gradtx.steady_norm` are ``gamma1`` and ``gamma2``. Any rule may stand behind these two
    links, and inside `gradtx.restart`. Source: Huang et al. 2025, Algorithm 1.

    >>> tx = stable_spam(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)
    Array([-0.5], dtype=float32)
    """
    moments = chain(scale_by_ewma(b1), bias_correction(b1), scale_by_rms(b2, eps))
    return chain(
        clip_spikes(theta),
        steady_norm(gamma1, gamma2, eps),
        restart(moments, update_interval),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(learning_rate),
    )
