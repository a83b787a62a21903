"""MoMo: momentum whose step length comes from a model of the loss."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, precision
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative


@transformation
def momo(
    learning_rate: NonNegative = 1.0,
    beta: Decay = 0.9,
    lower_bound=0.0,
    weight_decay: NonNegative = 0.0,
    *,
    adapt_lower_bound: bool = False,
) -> Rule:
    """Momentum with the longest step that a model of the loss supports: averages of losses and gradients, a bound.

        d = βd + (1 − β)gₜ,   F = βF + (1 − β)fₜ,   γ = βγ + (1 − β)⟨gₜ, θ⟩;   at first d = g₁, F = f₁, γ = ⟨g₁, θ⟩
        τ = min(α, max((1 + αλ)(F − f* − γ) + ⟨d, θ⟩, 0)/‖d‖²);   u ← −τd − αλ/(1 + αλ) θ

    fₜ is the loss, given to ``update`` as ``value``; α is ``learning_rate``, an upper bound of the step, β ``beta``, λ
    ``weight_decay``. f* is ``lower_bound`` of the loss; with ``adapt_lower_bound`` it is estimated, from there up. The
    trap: a bound above the true one makes steps of length 0. Source: Schaipp et al. 2024, MoMo.
    State: ``exp_avg`` (d), like the parameters; ``barf`` (F), ``gamma`` (γ), ``lb`` (f*). Raises `TransformationError`:
    no ``params`` or ``value``.

    >>> tx, x = momo(), jnp.array([2.0])  # f = x², down to its bound along the tangent
    >>> tx.update(2 * x, tx.init(x), x, value=x[0] ** 2)[0]
    Array([-1.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        return _started(params, lower_bound) | {"exp_avg": trees.map(zeros, params)}

    def update(g: Tree, state: Any, *, params: Tree, value: Any, t: Any) -> Any:
        first = t == 1
        new = {"exp_avg": g, "barf": like(value, state["barf"]), "gamma": dot(g, params)}
        after = {name: jax.tree.map(lambda a, x: _average(first, beta, a, x), state[name], new[name]) for name in new}
        d, one = after["exp_avg"], jnp.ones_like(state["lb"])
        model = _Model(after["barf"], after["gamma"], dot(d, params), dot(d, d), learning_rate, weight_decay, one)
        bound = model.bound(state["lb"], lower_bound) if adapt_lower_bound else state["lb"]
        tau = model.step(bound, one)
        if adapt_lower_bound:
            after["lb"] = model.next_bound(tau, lower_bound)
        shrink = learning_rate * weight_decay / (1 + learning_rate * weight_decay)
        u = trees.map(lambda d, p: -like(tau, d) * d - like(shrink, p) * p, d, params)
        return u, trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True)


@transformation
def momo_adam(
    learning_rate: NonNegative = 1e-2,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    lower_bound=0.0,
    weight_decay: NonNegative = 0.0,
    *,
    adapt_lower_bound: bool = False,
) -> Rule:
    """Adam with the longest step that a model of the loss supports: `momo`, measured by Adam's denominators.

        d = β₁d + (1 − β₁)gₜ,   F = β₁F + (1 − β₁)fₜ,   γ = β₁γ + (1 − β₁)⟨gₜ, θ⟩;   D = ε + √(νₜ/(1 − β₂ᵗ))
        τ = min(α/c, max((1 + αλ)(F − c f* − γ) + ⟨d, θ⟩, 0)/⟨d, d/D⟩),   c = 1 − β₁ᵗ;   u ← −τd/D − αλ/(1 + αλ) θ

    νₜ is the average of gₜ² with β₂; fₜ is the loss, given to ``update`` as ``value``; α is ``learning_rate``, an upper
    bound of the step, λ ``weight_decay``, ε ``eps``. f* is ``lower_bound`` of the loss; with ``adapt_lower_bound`` it
    is estimated, from there up. Source: Schaipp et al. 2024, MoMo-Adam. State: ``exp_avg`` (d), ``exp_avg_sq``
    (ν), like the parameters, the second real; ``barf`` (F), ``gamma`` (γ), ``lb`` (f*). Raises `TransformationError`:
    no ``params`` or ``value``.

    >>> tx, x = momo_adam(10.0, b1=0.0, eps=0.0), jnp.array([2.0])  # f = x², down to its bound along the tangent
    >>> tx.update(2 * x, tx.init(x), x, value=x[0] ** 2)[0]
    Array([-1.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        moments = {"exp_avg": trees.map(zeros, params), "exp_avg_sq": trees.map(real_zeros, params)}
        return _started(params, lower_bound) | moments

    def update(g: Tree, state: Any, *, params: Tree, value: Any, t: Any) -> Any:
        new = {"exp_avg": g, "barf": like(value, state["barf"]), "gamma": dot(g, params)}
        after = {name: jax.tree.map(lambda a, x: ewma(b1, a, x), state[name], new[name]) for name in new}
        after["exp_avg_sq"] = trees.map(lambda v, g: ewma(b2, v, abs_sq(g)), state["exp_avg_sq"], g)
        c, correction = (like(1 - b**t, state["lb"]) for b in (b1, b2))
        size = trees.map(lambda v: root(v / like(correction, v)) + eps, after["exp_avg_sq"])
        d, one = after["exp_avg"], jnp.ones_like(state["lb"])
        direction = trees.map(_over, d, size)
        along, norm = dot(d, params), dot(d, direction)
        model = _Model(after["barf"], after["gamma"], along, norm, learning_rate, weight_decay, c)
        bound = model.bound(state["lb"], lower_bound) if adapt_lower_bound else state["lb"]
        tau = model.step(bound, one / c)
        if adapt_lower_bound:
            after["lb"] = model.next_bound(tau, lower_bound)
        shrink = learning_rate * weight_decay / (1 + learning_rate * weight_decay)
        u = trees.map(lambda d, p: -like(tau, d) * d - like(shrink, p) * p, direction, params)
        return u, trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True)


class _Model:
    """The model of the loss along a direction: averages, and the correction of those that start from zero."""

    def __init__(self, loss: Any, at: Any, along: Any, norm: Any, rate: Any, decay: Any, correction: Any):
        self.loss, self.at, self.along, self.norm = loss, at, along, norm
        self.rate, self.grow, self.correction = rate, 1 + rate * decay, correction

    def step(self, bound: Any, longest: Any) -> jax.Array:
        """How far to go: down to the bound, and no farther than the learning rate times ``longest``."""
        above = jnp.maximum(self.grow * (self.loss - self.correction * bound - self.at) + self.along, 0)
        length = jnp.where(self.norm > 0, above / jnp.where(self.norm > 0, self.norm, 1), 0)
        return jnp.minimum(self.rate * longest, length)

    def bound(self, bound: Any, least: Any) -> jax.Array:
        """The bound for this step: lower, where the model goes below it."""
        top = self.grow * (self.loss - self.at) + self.along
        scale = self.grow * self.correction
        return jnp.where(top < scale * bound, jnp.maximum(top / (2 * scale), least), bound)

    def next_bound(self, tau: Any, least: Any) -> jax.Array:
        """The bound for the next step: what the model says of this one."""
        return jnp.maximum((self.loss + self.along - self.at - tau * self.norm / 2) / self.correction, least)


def _started(params: Tree, lower_bound: Any) -> dict[str, jax.Array]:
    real = precision(params)
    return {"barf": jnp.zeros([], real), "gamma": jnp.zeros([], real), "lb": jnp.asarray(lower_bound).astype(real)}


def _average(first: Any, beta: Any, average: Any, x: Any) -> Any:
    return jnp.where(first, x, ewma(beta, average, x))


def _over(x: Any, size: Any) -> Any:
    """x/size; 0 where the size is 0."""
    return jnp.where(size > 0, x / like(jnp.where(size > 0, size, 1), x), 0)
