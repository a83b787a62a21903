"""Positive-negative momentum."""

import jax.numpy as jnp

from gradtx._links.moments import bias_correction
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_max_rms
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_pnm(decay: Decay = 0.9, beta0: NonNegative = 1.0) -> Rule:
    """The difference of two momenta, one of the even steps and one of the odd: it keeps noise, at any batch size.

        mₜ = β²mₜ₋₂ + (1 − β²)uₜ;   u ← ((1 + β₀)mₜ − β₀mₜ₋₁)/√((1 + β₀)² + β₀²)

    β is ``decay``, β₀ ``beta0``: 0 is momentum of every second update. Source: Xie et al. 2021, Algorithm 1. State:
    ``newer``, ``older`` (mₜ, mₜ₋₁), like the parameters.

    >>> tx = scale_by_pnm(0.5, 1.0)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([8.0]), state)[0].round(4)  # (2·6 − 3)/√5
    Array([4.0249], dtype=float32)
    """

    def formula(u, newer, older):
        now = ewma(decay * decay, older, u)
        size = root((1 + beta0) ** 2 + beta0**2)
        return ((1 + beta0) * now - beta0 * newer) / size.astype(jnp.real(u).dtype), now, newer

    return per_leaf(formula, newer=zeros, older=zeros)


@transformation
def pnm(learning_rate: NonNegative, momentum: Decay = 0.9, beta0: NonNegative = 1.0) -> GradientTransformation:
    """Gradient descent with positive-negative momentum, for better generalization.

        θ ← θ − α ((1 + β₀)mₜ − β₀mₜ₋₁)/√((1 + β₀)² + β₀²)

    α is ``learning_rate``, β₀ ``beta0``; m is that of `gradtx.scale_by_pnm` with ``momentum``. Source: Xie et al. 2021,
    Algorithm 1.

    >>> tx = pnm(0.5, 0.5, 0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # 0.5·(1 − 0.25)·4
    Array([-1.5], dtype=float32)
    """
    return chain(scale_by_pnm(momentum, beta0), scale_by_learning_rate(learning_rate))


@transformation
def adapnm(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    beta0: NonNegative = 1.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
) -> GradientTransformation:
    """AMSGrad with positive-negative momentum.

        θ ← θ − α p/((1 − β₁ᵗ)(√(ν̄ + ε₀) + ε)),   p as in `gradtx.scale_by_pnm`

    α is ``learning_rate``, β₁ ``b1``; ν̄ is the largest second moment so far, corrected as in PyTorch, of decay ``b2``
    (see `gradtx.scale_by_max_rms`); ε ``eps``, ε₀ ``eps_root``. Source: Xie et al. 2021, Algorithm 2.

    >>> tx = adapnm(1.0, 0.5, 0.5, 0.0, eps=0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # 3/(0.5·4)
    Array([-1.5], dtype=float32)
    """
    return chain(
        scale_by_pnm(b1, beta0),
        bias_correction(b1),
        scale_by_max_rms(b2, eps, eps_root, maximum="raw"),
        scale_by_learning_rate(learning_rate),
    )
