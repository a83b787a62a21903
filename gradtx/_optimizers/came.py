"""CAME: Adafactor with momentum, whose steps are shorter where momentum and update disagree."""

from typing import Any

import jax.numpy as jnp

from gradtx._links.clipping import clip_by_block_rms
from gradtx._links.decay import add_decayed_weights
from gradtx._links.factored import factored_average, factored_zeros, over_factored_root, scale_by_factored_rms
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, ewma
from gradtx._value.marks import Decay, Limit, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_confidence(b1: Decay = 0.9, b3: Decay = 0.9999, eps: NonNegative = 1e-16) -> Rule:
    """Momentum over the root of how far the updates stray from it, which is kept as means of rows and columns.

        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   Sₜ = β₃Sₜ₋₁ + (1 − β₃)(|uₜ − mₜ|² + ε);   u ← mₜ/√Sₜ

    S is factored as in `scale_by_factored_rms`, whatever the lengths of its axes, and is not corrected for its start.
    Arrays with fewer than two axes take mₜ itself. β₁ is ``b1``, β₃ ``b3``, ε ``eps``. Source: Luo et al. 2023,
    Algorithm 2, lines 8 to 11. State: ``mu``, like the parameters; ``instability``, a mapping with ``row`` and ``col``,
    or zero numbers for vectors.

    >>> tx = scale_by_confidence(0.0, 0.75, 0.25)
    >>> tx.update(jnp.array([[2.0]]), tx.init(jnp.zeros((1, 1))))[0]  # no disagreement: over the root of 0.25 · 0.25
    Array([[8.]], dtype=float32)
    """

    def start(param: Any) -> Any:
        return factored_zeros(param, 1) if param.ndim > 1 else ()

    def formula(u, mu, instability):
        mu = ewma(b1, mu, u)
        if u.ndim < 2:
            return mu, mu, instability
        strays = abs_sq(u - mu)
        instability = factored_average(instability, strays + jnp.asarray(eps, strays.dtype), jnp.asarray(1 - b3), 1)
        return over_factored_root(mu, instability, 1), mu, instability

    return per_leaf(formula, mu=zeros, instability=start)


@transformation
def came(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    eps: NonNegative = 1e-30,
    eps2: NonNegative = 1e-16,
    clipping_threshold: Limit = 1.0,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Adafactor's update, averaged, and divided by how far it strays from its average.

        d = gₜ/√νₜ;   d ← d/max(1, RMS(d)/c);   θ ← θ − α (mₜ/√Sₜ + λθ)

    ν is that of `scale_by_factored_rms` with the constant decay β₂ and ``eps`` added to the squares; m and S are those
    of `scale_by_confidence`, of d, with β₁, β₃ and ``eps2``. c is ``clipping_threshold``, α ``learning_rate`` (2e-4 in
    the authors' code), λ ``weight_decay``. Source: Luo et al. 2023, Algorithm 2.

    >>> tx, w = came(0.5), jnp.zeros((1, 1))
    >>> tx.update(jnp.array([[4.0]]), tx.init(w), w)[0].round(3)  # d = 1, m = 0.1, S = 0.0001 · 0.9²
    Array([[-5.556]], dtype=float32)
    """
    return chain(
        scale_by_factored_rms(epsilon=eps, decay=b2, min_dim_size_to_factor=1),
        clip_by_block_rms(clipping_threshold),
        scale_by_confidence(b1, b3, eps2),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
