"""D-Adaptation: Adam that finds its learning rate from the gradients."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, one_norm, precision
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decays, NonNegative


@transformation
def dadapt_adamw(
    learning_rate: NonNegative = 1.0,
    betas: Decays = (0.9, 0.999),
    eps: NonNegative = 1e-8,
    estim_lr0: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    *,
    bias_correction: bool = True,
) -> Rule:
    """AdamW whose rate is a lower bound of the distance from the start to the solution.

        γ = dα√(1 − β₂ᵗ)/(1 − β₁ᵗ);   r = βr + (1 − β)γ⟨gₜ, s/(√v + ε)⟩,   β = √β₂
        m = β₁m + (1 − β₁)γgₜ;   v = β₂v + (1 − β₂)|gₜ|²;   s = βs + (1 − β)γgₜ;   d ← max(d, r/((1 − β)‖s‖₁))
        u ← −m/(√v + ε) − λγθ

    α is ``learning_rate``, which only scales the estimate; β₁, β₂ are ``betas``, ε ``eps``, λ ``weight_decay``; d
    starts from ``estim_lr0``. The s and v in r are the old ones. As in Optax γ has both corrections; the authors'
    default is γ = dα: ``bias_correction=False``. Measures ``estim_lr``, d. Source: Defazio & Mishchenko 2023, Algorithm
    5. State: ``exp_avg`` (m), ``exp_avg_sq`` (v), ``grad_sum`` (s), like the parameters, the second real; ``estim_lr``
    (d), ``numerator_weighted`` (r). Raises `TransformationError`: no ``params``.

    >>> tx, x = dadapt_adamw(betas=(0.0, 0.0), estim_lr0=0.5, eps=0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # a step of length d
    Array([-0.5], dtype=float32)
    """
    b1, b2 = betas
    b = b2**0.5

    def init(params: Tree) -> Any:
        real = precision(params)
        return {
            "exp_avg": trees.map(zeros, params),
            "exp_avg_sq": trees.map(real_zeros, params),
            "grad_sum": trees.map(zeros, params),
            "estim_lr": jnp.asarray(estim_lr0).astype(real),
            "numerator_weighted": jnp.zeros([], real),
        }

    def over(x: Any, v: Any) -> Any:
        """The tree over √v + ε; 0 where that is 0."""

        def one(x: Any, v: Any) -> Any:
            under = root(v) + like(eps, v)
            return jnp.where(under > 0, x / like(jnp.where(under > 0, under, 1), x), 0)

        return trees.map(one, x, v)

    def update(g: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        d = state["estim_lr"]
        rate = d * learning_rate * (jnp.sqrt(1 - b2**t) / (1 - b1**t) if bias_correction else 1)
        gained = rate * dot(g, over(state["grad_sum"], state["exp_avg_sq"]))
        m = trees.map(lambda m, g: ewma(b1, m, like(rate, g) * g), state["exp_avg"], g)
        v = trees.map(lambda v, g: ewma(b2, v, abs_sq(g)), state["exp_avg_sq"], g)
        s = trees.map(lambda s, g: b * s + (1 - b) * like(rate, g) * g, state["grad_sum"], g)
        r = b * state["numerator_weighted"] + (1 - b) * gained
        size = (1 - b) * one_norm(s).astype(d.dtype)
        estimate = jnp.where(size > 0, r / jnp.where(size > 0, size, 1), 0)
        after = {"exp_avg": m, "exp_avg_sq": v, "grad_sum": s, "numerator_weighted": r}
        after["estim_lr"] = jnp.maximum(d, estimate)
        u = trees.map(lambda x, param: -x - like(weight_decay * rate, param) * param, over(m, v), params)
        return u, trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True, measure={"estim_lr": lambda a, b, *, estim_lr: estim_lr})
