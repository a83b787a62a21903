"""AdaHessian: Adam with the diagonal of the Hessian in place of the gradient's squares."""

from typing import Any

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
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, Link, NonNegative
from gradtx._wrappers.chain import chain

HUTCHINSON = hutchinson_estimator_diag_hessian()
Axes = int | tuple[int, ...] | None


@transformation
def scale_by_adahessian(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-4,
    hessian_power: NonNegative = 1.0,
    update_interval: NonNegative = 1,
    hessian_diagonal_fn: Link = HUTCHINSON,
    *,
    spatial_axes: Axes = None,
) -> Late:
    """The average of the updates over the root mean square of the diagonal of the Hessian.

        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   hₙ = β₂hₙ₋₁ + (1 − β₂)ĥ² at every k-th step, from the first
        u ← m̂/(ĥₙ^(p/2) + ε),   m̂ = mₜ/(1 − β₁ᵗ),   ĥₙ = hₙ/(1 − β₂ⁿ)

    k is ``update_interval``, p ``hessian_power``, ε ``eps``, ĥ what ``hessian_diagonal_fn`` makes, a transformation
    that is given all that ``update`` is: by default Hutchinson's estimate, for which ``update`` needs ``obj_fn``, the
    loss on the batch as a function of the parameters (or ``value_fn``, which `gradtx.fit` gives). Hutchinson's noise is
    less where |ĥ| is averaged over ``spatial_axes``, in leaves that have more axes than these: ``(0, 1)`` for the
    kernels of convolutions here. Source: Yao et al. 2021, Algorithm 1. State: ``inner``, of the estimate; ``mu`` (m),
    like the parameters; ``nu`` (h).

    >>> f, tx, x = lambda x: 2 * x**2, scale_by_adahessian(eps=0.0), jnp.array(0.5)
    >>> tx.update(4 * x, tx.init(x), x, obj_fn=f)[0].round(4)  # Newton's step, 2/4
    Array(0.5, dtype=float32)
    """
    axes = (spatial_axes,) if isinstance(spatial_axes, int) else spatial_axes or ()

    def init(params: Tree) -> Any:
        return {"mu": trees.map(zeros, params), "nu": trees.map(real_zeros, params)}

    def smoothed(h: Any) -> Any:
        if not axes or h.ndim <= len(axes):
            return h
        return jnp.broadcast_to(jnp.mean(jnp.abs(h), axis=axes, keepdims=True), h.shape)

    def update(step: Any, updates: Tree, state: Any, *, t: Any) -> Any:
        mu = trees.map(lambda m, u: ewma(b1, m, u), state["mu"], updates)
        interval = jnp.maximum(jnp.ceil(jnp.asarray(update_interval)), 1).astype(jnp.int32)

        def estimate() -> Any:
            diagonal, inner = step(updates)
            return trees.map(lambda h, new: ewma(b2, h, smoothed(jnp.real(new)) ** 2), state["nu"], diagonal), inner

        nu, inner = cond((t - 1) % interval == 0, estimate, lambda: (state["nu"], state["inner"]))
        of_mu, of_nu = 1 - b1**t, 1 - b2 ** ((t - 1) // interval + 1)

        def ratio(m: Any, h: Any) -> Any:
            h = h / like(of_nu, h)
            under = jnp.where(h > 0, jnp.where(h > 0, h, 1) ** like(hessian_power / 2, h), 0) + like(eps, h)
            return jnp.where(under > 0, m / like(of_mu, m) / jnp.where(under > 0, under, 1).astype(m.dtype), 0)

        return trees.map(ratio, mu, nu), {"inner": inner, "mu": mu, "nu": nu}

    return around(hessian_diagonal_fn, update, init=init)


@transformation
def adahessian(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-4,
    weight_decay: NonNegative = 0.0,
    hessian_power: NonNegative = 1.0,
    update_interval: NonNegative = 1,
    hessian_diagonal_fn: Link = HUTCHINSON,
    *,
    spatial_axes: Axes = None,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """Adam with the diagonal of the Hessian in place of the gradient.

        θ ← θ − α (m̂/(ĥₙ^(p/2) + ε) + λθ)

    α is ``learning_rate``, λ ``weight_decay``, p ``hessian_power``, ε ``eps``; ``update`` needs ``obj_fn``: see
    `scale_by_adahessian`. Source: Yao et al. 2021, Algorithm 1.

    >>> f, tx, x = lambda x: 2 * x**2, adahessian(1.0, eps=0.0), jnp.array(0.5)
    >>> tx.update(4 * x, tx.init(x), x, obj_fn=f)[0].round(4)
    Array(-0.5, dtype=float32)
    """
    numbers = (b1, b2, eps, hessian_power, update_interval, hessian_diagonal_fn)
    decay = add_decayed_weights(weight_decay, mask=weight_decay_mask)
    return chain(scale_by_adahessian(*numbers, spatial_axes=spatial_axes), decay, scale_by_learning_rate(learning_rate))
