"""Prodigy: Adam that finds its learning rate from the distance to the start."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import copied, real_zeros, zeros
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, one_norm, precision
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, Decays, NonNegative


@transformation
def prodigy(
    learning_rate: NonNegative = 1.0,
    betas: Decays = (0.9, 0.999),
    beta3: Decay = None,
    eps: NonNegative = 1e-8,
    estim_lr0: NonNegative = 1e-6,
    estim_lr_coef: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
    growth_rate: NonNegative = None,
    *,
    safeguard_warmup: bool = False,
    bias_correction: bool = True,
) -> Rule:
    """Adam whose rate is an estimate of the distance from the start to the solution.

        γ = dα√(1 − β₂ᵗ)/(1 − β₁ᵗ);   m = β₁m + (1 − β₁)d gₜ;   v = β₂v + (1 − β₂)d²|gₜ|²
        s = β₃s + (d/d₀)γ gₜ;   r = β₃r + (d/d₀)γ⟨gₜ, θ₁ − θ⟩;   d ← max(d, c r/‖s‖₁)
        u ← −γ(m/(√v + dε) + λθ)

    α is ``learning_rate``, which only scales the estimate; β₁, β₂ are ``betas``, β₃ ``beta3`` (√β₂ if not given), d₀
    ``estim_lr0``, c ``estim_lr_coef``, λ ``weight_decay``, θ₁ the first parameters. The d beside ε is the new one, the
    others are the old one. ``safeguard_warmup`` puts d in the place of γ in s, so that a warm-up of α does not raise d.
    As in Optax γ has both corrections; the authors' default is γ = dα: ``bias_correction=False``. With
    ``growth_rate`` d grows by this factor a step at most, once it has left d₀. Measures ``estim_lr``, d. The trap:
    ``init`` must get the parameters themselves. Source: Mishchenko & Defazio 2024, Algorithm 4.

    State: ``exp_avg`` (m), ``exp_avg_sq`` (v), ``grad_sum`` (s), ``params0`` (θ₁), like the parameters; ``estim_lr``
    (d), ``numerator_weighted`` (r), with ``growth_rate`` also ``estim_lr_max``. Raises `TransformationError`: no
    ``params``.

    >>> tx, x = prodigy(betas=(0.0, 0.0), estim_lr0=0.5, eps=0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # a step of length d
    Array([-0.5], dtype=float32)
    """
    b1, b2 = betas
    b3 = b2**0.5 if beta3 is None else beta3

    def init(params: Tree) -> Any:
        real = precision(params)
        first = jnp.asarray(estim_lr0).astype(real)
        most = {} if growth_rate is None else {"estim_lr_max": first}
        return most | {
            "exp_avg": trees.map(zeros, params),
            "exp_avg_sq": trees.map(real_zeros, params),
            "grad_sum": trees.map(zeros, params),
            "params0": trees.map(copied, params),
            "estim_lr": first,
            "numerator_weighted": jnp.zeros([], real),
        }

    def grown(d: Any, estimate: Any, state: Any) -> dict[str, jax.Array]:
        if growth_rate is None:
            return {"estim_lr": jnp.maximum(d, estimate)}
        top = jnp.maximum(state["estim_lr_max"], estimate)
        left = jnp.where(d == jnp.asarray(estim_lr0).astype(d.dtype), jnp.maximum(d, estimate), d)
        return {"estim_lr_max": top, "estim_lr": jnp.minimum(top, left * growth_rate)}

    def update(g: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        d = state["estim_lr"]
        rate = d * learning_rate * (jnp.sqrt(1 - b2**t) / (1 - b1**t) if bias_correction else 1)
        ratio = d / jnp.asarray(estim_lr0).astype(d.dtype)
        m = trees.map(lambda m, g: ewma(b1, m, like(d, g) * g), state["exp_avg"], g)
        v = trees.map(lambda v, g: ewma(b2, v, abs_sq(like(d, g) * g)), state["exp_avg_sq"], g)
        weight = ratio * (d if safeguard_warmup else rate)
        s = trees.map(lambda s, g: b3 * s + like(weight, g) * g, state["grad_sum"], g)
        way = trees.map(lambda start, param: start - param, state["params0"], params)
        r = b3 * state["numerator_weighted"] + ratio * rate * dot(g, way)
        size = one_norm(s).astype(d.dtype)
        estimate = jnp.where(size > 0, estim_lr_coef * r / jnp.where(size > 0, size, 1), 0)
        after = {"exp_avg": m, "exp_avg_sq": v, "grad_sum": s, "numerator_weighted": r} | grown(d, estimate, state)

        def moved(m: Any, v: Any, param: Any) -> Any:
            under = root(v) + like(after["estim_lr"] * eps, v)
            step = jnp.where(under > 0, m / like(jnp.where(under > 0, under, 1), m), 0)
            return -like(rate, m) * (step + like(weight_decay, param) * param)

        return trees.map(moved, m, v, params), trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True, measure={"estim_lr": lambda a, b, *, estim_lr: estim_lr})
