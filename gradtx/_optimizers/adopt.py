"""ADOPT: Adam whose denominator does not contain the gradient that it divides."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, ewma, fitted, root
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


def fourth_root(step: jax.Array) -> jax.Array:
    """The limit of ADOPT's direction at a step, ``step**0.25``: it grows, so that in the end nothing is clipped.

    >>> float(fourth_root(jnp.array(16.0)))
    2.0
    """
    return step**0.25


@transformation
def scale_by_adopt(
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    *,
    mu_dtype: Dtype = None,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], jax.Array] = fourth_root,
) -> Rule:
    """The average of updates that are divided by the size of the gradients before them.

        cₜ = uₜ/max(√νₜ₋₁, ε), each number brought into ± clip_value_fn(t − 1);   mₜ = β₁mₜ₋₁ + (1 − β₁)cₜ;   u ← mₜ
        νₜ = β₂νₜ₋₁ + (1 − β₂)|gₜ|²,   ν₁ = |g₁|²

    ε is ``eps``, g the gradient that entered the chain. The first step only measures: it does not move. ``nesterov``
    averages cₜ once more, u ← β₁mₜ + (1 − β₁)cₜ. Source: Taniguchi et al. 2024, Algorithm 2. State: ``mu``, like the
    parameters, in ``mu_dtype`` or in float32 at least; ``nu``, real.

    >>> tx = scale_by_adopt(0.5, use_clipping=False)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([2.0]), state)[0]  # half of 2/4
    Array([0.25], dtype=float32)
    """

    def formula(u, mu, nu, *, gradient, first, limit):
        c = u / jnp.maximum(root(nu), eps)
        c = _within(c, limit.astype(jnp.real(c).dtype)) if use_clipping else c
        nu = jnp.where(first, abs_sq(gradient), ewma(b2, nu, abs_sq(gradient)))
        mu = jnp.where(first, 0, ewma(b1, mu, c))
        out = jnp.where(first, 0, ewma(b1, mu, c)) if nesterov else mu
        return out, fitted(mu, mu_dtype), nu

    once = {"first": lambda t: t == 1, "limit": lambda t: jnp.asarray(clip_value_fn(t - 1))}
    return per_leaf(formula, once=once, mu=functools.partial(zeros, dtype=mu_dtype), nu=real_zeros)


def _within(c: Any, limit: Any) -> Any:
    """Every real number, brought into ± the limit; of a complex one, both parts."""
    if jnp.iscomplexobj(c):
        return jax.lax.complex(jnp.clip(c.real, -limit, limit), jnp.clip(c.imag, -limit, limit))
    return jnp.clip(c, -limit, limit)


@transformation
def adopt(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    *,
    mu_dtype: Dtype = None,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], jax.Array] = fourth_root,
) -> GradientTransformation:
    """Adam that converges with any β₂: each gradient is divided by the size of those before it, then averaged.

        θ ← θ − α mₜ;   mₜ = β₁mₜ₋₁ + (1 − β₁) clip(gₜ/max(√νₜ₋₁, ε), t)

    α is ``learning_rate``; see `scale_by_adopt`. The first step does not move. Source: Taniguchi et al. 2024,
    Algorithm 2.

    >>> tx = adopt(0.5, b1=0.5)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([40.0]), state)[0]  # 40/4 is clipped to 1, of which half is averaged in
    Array([-0.25], dtype=float32)
    """
    how = {"nesterov": nesterov, "use_clipping": use_clipping, "clip_value_fn": clip_value_fn}
    return chain(scale_by_adopt(b1, b2, eps, mu_dtype=mu_dtype, **how), scale_by_learning_rate(learning_rate))
