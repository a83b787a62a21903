"""D-Adaptation: rules that find their learning rate from the gradients."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import copied, full, real_zeros, zeros
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, one_norm, precision
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, Decays, NonNegative

MEASURE = {"estim_lr": lambda before, after, *, estim_lr: estim_lr}


def grown(d: Any, numerator: Any, size: Any, growth_rate: Any) -> Any:
    """The next estimate of the distance: it never falls, and grows by a factor at most."""
    estimate = jnp.where(size > 0, numerator / jnp.where(size > 0, size, 1), 0)
    return jnp.maximum(d, estimate if growth_rate is None else jnp.minimum(estimate, d * growth_rate))


def over(x: Tree, v: Tree, eps: Any) -> Tree:
    """The tree over √v + ε; 0 where that is 0."""

    def one(x: Any, v: Any) -> Any:
        under = root(v) + like(eps, v)
        return jnp.where(under > 0, x / like(jnp.where(under > 0, under, 1), x), 0)

    return trees.map(one, x, v)


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

    def update(g: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        d = state["estim_lr"]
        rate = d * learning_rate * (jnp.sqrt(1 - b2**t) / (1 - b1**t) if bias_correction else 1)
        gained = rate * dot(g, over(state["grad_sum"], state["exp_avg_sq"], eps))
        m = trees.map(lambda m, g: ewma(b1, m, like(rate, g) * g), state["exp_avg"], g)
        v = trees.map(lambda v, g: ewma(b2, v, abs_sq(g)), state["exp_avg_sq"], g)
        s = trees.map(lambda s, g: b * s + (1 - b) * like(rate, g) * g, state["grad_sum"], g)
        r = b * state["numerator_weighted"] + (1 - b) * gained
        size = (1 - b) * one_norm(s).astype(d.dtype)
        after = {"exp_avg": m, "exp_avg_sq": v, "grad_sum": s, "numerator_weighted": r}
        after["estim_lr"] = grown(d, r, size, None)
        u = trees.map(lambda x, param: -x - like(weight_decay * rate, param) * param, over(m, v, eps), params)
        return u, trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True, measure=MEASURE)


@transformation
def dadapt_sgd(
    learning_rate: NonNegative = 1.0,
    momentum: Decay = 0.9,
    estim_lr0: NonNegative = 1e-6,
    growth_rate: NonNegative = None,
) -> Rule:
    """Gradient descent whose rate is a lower bound of the distance from the start to the solution.

        γ = dα/‖g₁‖;   r = r + γ⟨gₜ, s⟩;   s = s + γgₜ;   d ← max(d, 2r/‖s‖);   θ ← μθ + (1 − μ)(θ₀ − s)

    α is ``learning_rate``, which only scales the estimate, μ ``momentum`` (of iterates, as in `gradtx.madgrad`), θ₀ the
    first parameters; d starts from ``estim_lr0``, and with ``growth_rate`` grows by this factor a step at most. The s
    in r is the old one. The update is a whole step: it stands last. Measures ``estim_lr``, d. Source: Defazio &
    Mishchenko 2023, Algorithm 4. State: ``grad_sum`` (s), ``params0`` (θ₀), like the parameters; ``estim_lr`` (d),
    ``numerator`` (r), ``first_norm`` (‖g₁‖). Raises `TransformationError`: no ``params``.

    >>> tx, x = dadapt_sgd(momentum=0.0, estim_lr0=0.5), jnp.array([1.0])
    >>> u, state = tx.update(jnp.array([4.0]), tx.init(x), x)  # a step of length d
    >>> u, tx.update(jnp.array([4.0]), state, x + u)[1]["estim_lr"]  # 2·0.25/1
    (Array([-0.5], dtype=float32), Array(0.5, dtype=float32))
    """

    def init(params: Tree) -> Any:
        real = precision(params)
        return {
            "grad_sum": trees.map(zeros, params),
            "params0": trees.map(copied, params),
            "estim_lr": jnp.asarray(estim_lr0).astype(real),
            "numerator": jnp.zeros([], real),
            "first_norm": jnp.zeros([], real),
        }

    def update(g: Tree, state: Any, *, params: Tree) -> Any:
        d, first = state["estim_lr"], state["first_norm"]
        first = jnp.where(first > 0, first, trees.norm(g).astype(first.dtype))
        rate = jnp.where(first > 0, d * learning_rate / jnp.where(first > 0, first, 1), 0)
        r = state["numerator"] + rate * dot(g, state["grad_sum"])
        s = trees.map(lambda s, g: s + like(rate, g) * g, state["grad_sum"], g)

        def moved(start: Any, s: Any, param: Any) -> Any:
            return like(1 - momentum, s) * (start - s - param)

        d = grown(d, 2 * r, trees.norm(s).astype(d.dtype), growth_rate)
        after = {"grad_sum": s, "estim_lr": d, "numerator": r, "first_norm": first}
        return trees.map(moved, state["params0"], s, params), trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True, measure=MEASURE)


@transformation
def dadapt_adagrad(
    learning_rate: NonNegative = 1.0,
    momentum: Decay = 0.0,
    estim_lr0: NonNegative = 1e-6,
    initial_accumulator_value: NonNegative = 1e-6,
    eps: NonNegative = 0.0,
    growth_rate: NonNegative = None,
) -> Rule:
    """AdaGrad whose rate is a lower bound of the distance from the start to the solution.

        γ = dα;   a = a + |gₜ|²;   s = s + γgₜ;   r = r + γ²Σ|gₜ|²/(√a + ε)
        d ← max(d, (Σ|s|²/(√a + ε) − r)/‖s‖₁);   θ ← μθ + (1 − μ)(θ₀ − s/(√a + ε))

    α is ``learning_rate``, which only scales the estimate, μ ``momentum`` (of iterates), ε ``eps``, a starts from
    ``initial_accumulator_value``, θ₀ are the first parameters; d starts from ``estim_lr0``, and with ``growth_rate``
    grows by this factor a step at most. The update is a whole step: it stands last. Measures ``estim_lr``, d. Source:
    Defazio & Mishchenko 2023, Algorithm 3. State: ``grad_sum`` (s), ``sum_of_squares`` (a), ``params0`` (θ₀), like the
    parameters, the second real; ``estim_lr`` (d), ``denominator`` (r). Raises `TransformationError`: no ``params``.

    >>> tx, x = dadapt_adagrad(estim_lr0=0.5, initial_accumulator_value=0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # a step of length d
    Array([-0.5], dtype=float32)
    """

    def init(params: Tree) -> Any:
        real = precision(params)
        return {
            "grad_sum": trees.map(zeros, params),
            "sum_of_squares": trees.map(lambda x: full(jnp.real(x), initial_accumulator_value), params),
            "params0": trees.map(copied, params),
            "estim_lr": jnp.asarray(estim_lr0).astype(real),
            "denominator": jnp.zeros([], real),
        }

    def update(g: Tree, state: Any, *, params: Tree) -> Any:
        d = state["estim_lr"]
        rate = d * learning_rate
        a = trees.map(lambda a, g: a + abs_sq(g), state["sum_of_squares"], g)
        s = trees.map(lambda s, g: s + like(rate, g) * g, state["grad_sum"], g)
        way = over(s, a, eps)
        r = state["denominator"] + rate**2 * dot(g, over(g, a, eps))

        def moved(start: Any, way: Any, param: Any) -> Any:
            return like(1 - momentum, way) * (start - way - param)

        d = grown(d, dot(s, way) - r, one_norm(s).astype(d.dtype), growth_rate)
        after = {"grad_sum": s, "sum_of_squares": a, "estim_lr": d, "denominator": r}
        return trees.map(moved, state["params0"], way, params), trees.cast_like({**state, **after}, state)

    return whole_tree(update, init=init, packs=True, measure=MEASURE)


@transformation
def dadapt_adan(
    learning_rate: NonNegative = 1.0,
    betas: Decays = (0.98, 0.92, 0.99),
    eps: NonNegative = 1e-8,
    estim_lr0: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    growth_rate: NonNegative = None,
) -> Rule:
    """Adan whose rate is an estimate of the distance from the start to the solution.

        γ = dα;   m = β₁m + (1 − β₁)γgₜ;   v = β₂v + (1 − β₂)γ(gₜ − gₜ₋₁),   g₀ = g₁
        n = β₃n + (1 − β₃)|gₜ + β₂(gₜ − gₜ₋₁)|²;   s = β₃s + (1 − β₃)γgₜ
        r = β₃r + (1 − β₃)γ²Σ|gₜ|²/(√n + ε);   d ← max(d, (Σ|s|²/(√n + ε)/(1 − β₃) − r)/‖s‖₁)
        u ← −(m + β₂v)/(√n + ε) − λγθ

    α is ``learning_rate``, which only scales the estimate; β₁, β₂, β₃ are ``betas``, ε ``eps``, λ ``weight_decay``; d
    starts from ``estim_lr0``, and with ``growth_rate`` grows by this factor a step at most. The trap: d is no bound
    here, and may be longer than that distance. (The authors' program has the fourth power in n; Adan has the second.)
    Measures ``estim_lr``, d. Source: Defazio & Mishchenko 2023, Algorithm 5; Xie et al. 2022, Algorithm 1. State:
    ``m``, ``v``, ``n``, ``g`` (gₜ₋₁), ``grad_sum`` (s), like the parameters, ``n`` real; ``estim_lr`` (d),
    ``denominator`` (r). Raises `TransformationError`: no ``params``.

    >>> tx, x = dadapt_adan(betas=(0.0, 0.0, 0.0), estim_lr0=0.5, eps=0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # a step of length d
    Array([-0.5], dtype=float32)
    """
    b1, b2, b3 = betas

    def init(params: Tree) -> Any:
        real = precision(params)
        like_params = {name: trees.map(zeros, params) for name in ("m", "v", "g", "grad_sum")}
        numbers = {"estim_lr": jnp.asarray(estim_lr0).astype(real), "denominator": jnp.zeros([], real)}
        return like_params | numbers | {"n": trees.map(real_zeros, params)}

    def update(g: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        d = state["estim_lr"]
        rate = d * learning_rate
        change = trees.map(lambda g, last: jnp.where(t == 1, 0, g - last), g, state["g"])
        m = trees.map(lambda m, g: ewma(b1, m, like(rate, g) * g), state["m"], g)
        v = trees.map(lambda v, c: ewma(b2, v, like(rate, c) * c), state["v"], change)
        n = trees.map(lambda n, g, c: ewma(b3, n, abs_sq(g + like(b2, c) * c)), state["n"], g, change)
        s = trees.map(lambda s, g: ewma(b3, s, like(rate, g) * g), state["grad_sum"], g)
        r = b3 * state["denominator"] + (1 - b3) * rate**2 * dot(g, over(g, n, eps))
        d = grown(d, dot(s, over(s, n, eps)) / (1 - b3) - r, one_norm(s).astype(d.dtype), growth_rate)

        ahead = over(trees.map(lambda m, v: m + like(b2, v) * v, m, v), n, eps)
        u = trees.map(lambda x, param: -x - like(weight_decay * rate, param) * param, ahead, params)
        after = {"m": m, "v": v, "n": n, "g": g, "grad_sum": s, "estim_lr": d, "denominator": r}
        return u, trees.cast_like(after, state)

    return whole_tree(update, init=init, packs=True, measure=MEASURE)
