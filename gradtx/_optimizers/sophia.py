"""Sophia: momentum over the diagonal of the Hessian, clipped."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.hessian_diagonal import hutchinson_estimator_diag_hessian
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.around import around
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import like
from gradtx._value.floating import at_most_finite, ewma, fitted
from gradtx._value.marks import Decay, Dtype, Limit, Link, NonNegative
from gradtx._wrappers.chain import chain

HUTCHINSON = hutchinson_estimator_diag_hessian()


@transformation
def scale_by_sophia(
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    gamma: NonNegative = 0.01,
    clip_threshold: Limit = 1.0,
    update_interval: NonNegative = 10,
    hessian_diagonal_fn: Link = HUTCHINSON,
    *,
    mu_dtype: Dtype = None,
    fresh_hessian: bool = False,
) -> Late:
    """The average of the updates over an average of the diagonal of the Hessian, each number clipped.

        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   u ← min(max(m̂/max(γh, ε), −ρ), ρ),   m̂ = mₜ/(1 − β₁ᵗ)
        h ← β₂h + (1 − β₂)ĥ at every k-th step, from the first

    k is ``update_interval``, ĥ what ``hessian_diagonal_fn`` makes, a transformation that is given all that ``update``
    is: by default Hutchinson's estimate, for which ``update`` needs ``obj_fn``, the loss on the batch as a function of
    the parameters (or ``value_fn``, which `gradtx.fit` gives). γ is ``gamma``, ε ``eps``, ρ ``clip_threshold`` (∞: no
    clip). As in Optax the step is taken with the h before, so the first has h = 0 and is a sign, and m is
    corrected; in the paper h comes first: ``fresh_hessian=True``. Measures ``win_rate``, the share of numbers that are
    not clipped, which Optax prints. The Hessian is of the batch that ``obj_fn`` closes over: never of squares of its
    mean gradient. Source: Liu et al. 2023, Algorithm 3. State: ``inner``, of the estimate; ``mu`` (m), like the
    parameters, in ``mu_dtype`` or in float32 at least; ``nu`` (h).

    >>> f, tx, x = lambda x: 2 * x**2, scale_by_sophia(0.0, 0.0, gamma=1.0, fresh_hessian=True), jnp.array(0.5)
    >>> tx.update(4 * x, tx.init(x), x, obj_fn=f)[0]  # Newton's step, 2/4
    Array(0.5, dtype=float32)
    """

    def init(params: Tree) -> Any:
        mu = trees.map(functools.partial(zeros, dtype=mu_dtype), params)
        return {"mu": mu, "nu": trees.map(real_zeros, params)}

    def update(step: Any, updates: Tree, state: Any, *, t: Any) -> Any:
        mu = trees.map(lambda m, u: ewma(b1, m, u), state["mu"], updates)
        correction = 1 - b1**t
        interval = jnp.maximum(jnp.ceil(jnp.asarray(update_interval)), 1).astype(jnp.int32)

        def estimate() -> Any:
            diagonal, inner = step(updates)
            return trees.map(lambda h, new: ewma(b2, h, jnp.real(new)), state["nu"], diagonal), inner

        nu, inner = cond((t - 1) % interval == 0, estimate, lambda: (state["nu"], state["inner"]))

        def ratio(m: jax.Array, h: jax.Array) -> jax.Array:
            under = jnp.maximum(like(gamma, h) * h, like(eps, h))
            u = m / like(correction, m) / jnp.where(under > 0, under, 1)
            top = at_most_finite(like(clip_threshold, m))
            return jnp.clip(jnp.where(under > 0, u, top * jnp.sign(m)), -top, top)

        u = trees.map(ratio, mu, nu if fresh_hessian else state["nu"])
        return u, {"inner": inner, "mu": trees.map(lambda m: fitted(m, mu_dtype), mu), "nu": nu}

    def win_rate(before: Tree, after: Tree) -> jax.Array:
        free = [jnp.sum(jnp.abs(u) < clip_threshold) for u in jax.tree.leaves(after)]
        return sum(free, start=jnp.zeros([], int)) / max(1, trees.size(after))

    return around(hessian_diagonal_fn, update, init=init, measure={"win_rate": win_rate})


@transformation
def sophia(
    learning_rate: NonNegative,
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 1e-4,
    gamma: NonNegative = 0.01,
    clip_threshold: Limit = 1.0,
    update_interval: NonNegative = 10,
    hessian_diagonal_fn: Link = HUTCHINSON,
    *,
    weight_decay_mask: Any = None,
    mu_dtype: Dtype = None,
    fresh_hessian: bool = False,
) -> GradientTransformation:
    """Momentum over the diagonal of the Hessian, clipped where that is small or negative.

        θ ← θ − α (clip(m̂/max(γh, ε), ρ) + λθ)

    α is ``learning_rate``, λ ``weight_decay``, ρ ``clip_threshold``; ``update`` needs ``obj_fn``: see
    `scale_by_sophia`. Source: Liu et al. 2023, Algorithm 3.

    >>> f, tx, x = lambda x: 2 * x**2, sophia(0.5, gamma=1.0, weight_decay=0.0), jnp.array(0.5)
    >>> tx.update(4 * x, tx.init(x), x, obj_fn=f)[0]  # at first a sign
    Array(-0.5, dtype=float32)
    """
    how = {"mu_dtype": mu_dtype, "fresh_hessian": fresh_hessian}
    direction = scale_by_sophia(b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, **how)
    decay = add_decayed_weights(weight_decay, mask=weight_decay_mask)
    return chain(direction, decay, scale_by_learning_rate(learning_rate))
