"""Gradients held to the history of their own norm: each leaf keeps an average, and is scaled by it."""

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import divided, ewma, root
from gradtx._value.marks import Decay, NonNegative


def _number(param):
    """One real number for a leaf, at first 0."""
    return jnp.zeros_like(trees.norm(param))


@transformation
def lengthen_to_average(decay: Decay = 0.95) -> Rule:
    """Every leaf, scaled up to the average norm of its past where its own is smaller.

        eₜ = βeₜ₋₁ + (1 − β)‖uₜ‖,   e₀ = 0;   u ← uₜ max(1, eₜ/‖uₜ‖)

    β is ``decay``. Before a first moment it is AdaNorm: late in training, when gradients shrink, they keep their
    history. It changes the update alone, so second moments see the gradient as it is. Source: Dubey et al. 2022, eqs. 9
    and 10 (AdaNorm). State: ``norm`` (e), one number for each leaf.

    >>> tx = lengthen_to_average(0.5)
    >>> _, state = tx.update(jnp.array([6.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([1.0]), state)[0]  # 0.5·3 + 0.5·1
    Array([2.], dtype=float32)
    """

    def formula(u, norm):
        size = trees.norm(u)
        norm = ewma(decay, norm, size)
        short = (size > 0) & (norm > size)
        return u * jnp.where(short, norm / jnp.where(short, size, 1), 1), norm

    return per_leaf(formula, norm=_number)


@transformation
def clip_spikes(decay: Decay = 0.999) -> Rule:
    """Every number, clipped to the average of the largest of its leaf.

        mₜ = θmₜ₋₁ + (1 − θ) max|uₜ|,   m̂ = mₜ/(1 − θᵗ);   u ← m̂ uₜ/max|uₜ| where |uₜ| > m̂,   uₜ elsewhere

    θ is ``decay``. A spike of one number is cut, the others stay. It conditions gradients (see `gradtx.chain`).
    Measures ``rate``, the share that was cut. Source: Huang et al. 2025, AdaClip of Stable-SPAM. State: ``largest``
    (m), one number for each leaf, and the chain's count.

    >>> tx = clip_spikes(0.5)
    >>> _, state = tx.update(jnp.array([2.0, 1.0]), tx.init(jnp.zeros(2)))
    >>> tx.update(jnp.array([8.0, 1.0]), state)[0]  # m̂ = (0.5·1 + 0.5·8)/0.75
    Array([6., 1.], dtype=float32)
    """

    def formula(u, largest, *, correction):
        if not u.size:
            return u, largest
        size = jnp.abs(u)
        top = jnp.max(size)
        largest = ewma(decay, largest, top)
        limit = divided(largest, correction)
        return jnp.where(size > limit, u / jnp.where(top > 0, top, 1) * limit, u), largest

    def rate(before, after):
        return jnp.mean(before != after) if before.size else jnp.zeros([])

    once = {"correction": lambda t: 1 - decay**t}
    return per_leaf(formula, conditions=True, once=once, largest=_number, measure={"rate": rate})


@transformation
def steady_norm(b1: Decay = 0.7, b2: Decay = 0.9, eps: NonNegative = 1e-8) -> Rule:
    """Every leaf, scaled to the average of its norms over their root mean square: about 1, and less after a jump.

        mₜ = β₁mₜ₋₁ + (1 − β₁)‖uₜ‖;   vₜ = β₂vₜ₋₁ + (1 − β₂)‖uₜ‖²;   u ← m̂/(√v̂ + ε) uₜ/‖uₜ‖

    β₁ is ``b1``, β₂ ``b2``, ε ``eps``; a hat divides by 1 − βᵗ. It is Adam's rule, for the norm of a leaf. A leaf of
    zeros changes nothing. It conditions gradients (see `gradtx.chain`). Source: Huang et al. 2025, AdaGN of
    Stable-SPAM. State: ``m``, ``v``, one number for each leaf, and the chain's count.

    >>> tx = steady_norm(0.5, 0.0, eps=0.0)
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([4.0]), state)[0].round(4)  # m̂ = (0.5·0.5 + 0.5·4)/0.75, over √16
    Array([0.75], dtype=float32)
    """

    def formula(u, m, v, *, of_m, of_v):
        norm = trees.norm(u)
        seen = norm > 0
        m, v = jnp.where(seen, ewma(b1, m, norm), m), jnp.where(seen, ewma(b2, v, norm**2), v)
        size = (root(divided(v, of_v)) + eps) * norm
        return u * jnp.where(size > 0, divided(m, of_m) / jnp.where(size > 0, size, 1), 0), m, v

    once = {"of_m": lambda t: 1 - b1**t, "of_v": lambda t: 1 - b2**t}
    return per_leaf(formula, conditions=True, once=once, m=_number, v=_number)
