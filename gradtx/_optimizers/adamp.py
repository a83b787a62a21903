"""AdamP and SGDP: momentum does not make those weights longer whose length does not matter."""

from gradtx._links.moments import bias_correction, nesterov_bias_correction, scale_by_ewma
from gradtx._links.projection import remove_radial
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._optimizers.sgd import momentum_links
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def adamp(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    delta: NonNegative = 0.1,
    wd_ratio: NonNegative = 0.1,
    *,
    nesterov: bool = False,
    axis: int = -1,
) -> GradientTransformation:
    """AdamW without the steps that only change the length of weights before a normalization.

        θ ← θ − α (d − ŵ⟨ŵ, d⟩ + λrθ) where gₜ is at right angles to θ,   θ − α (d + λθ) elsewhere;   d = m̂/(√ν̂ + ε)

    α is ``learning_rate``, λ ``weight_decay``, r ``wd_ratio``; when, with ``delta`` and ``axis``, says
    `gradtx.remove_radial`. Without such weights it is AdamW. Source: Heo et al. 2021, Algorithm 2.

    >>> tx = adamp(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0].round(4)  # a vector: Adam
    Array([-0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        nesterov_bias_correction(b1) if nesterov else bias_correction(b1),
        scale_by_rms(b2, eps),
        remove_radial(delta, weight_decay, wd_ratio, eps, axis=axis),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def sgdp(
    learning_rate: NonNegative,
    momentum: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
    delta: NonNegative = 0.1,
    wd_ratio: NonNegative = 0.1,
    eps: NonNegative = 1e-8,
    *,
    nesterov: bool = False,
    axis: int = -1,
) -> GradientTransformation:
    """Momentum without the steps that only change the length of weights before a normalization.

        vₜ = μvₜ₋₁ + gₜ;   θ ← θ − α (vₜ − ŵ⟨ŵ, vₜ⟩ + λrθ/(1 − μ))   where gₜ is at right angles to θ

    α is ``learning_rate``, μ ``momentum``, λ ``weight_decay``, r ``wd_ratio``; elsewhere nothing is taken away, and r
    is 1: see `gradtx.remove_radial`. Source: Heo et al. 2021, Algorithm 1.

    >>> tx = sgdp(0.5)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]  # a vector: momentum
    Array([-1.], dtype=float32)
    """
    return chain(
        *momentum_links(momentum, nesterov),
        remove_radial(delta, weight_decay / (1 - momentum), wd_ratio, eps, axis=axis),
        scale_by_learning_rate(learning_rate),
    )
