"""D-Adaptation of gradient descent, AdaGrad, Lion and Adan; that of Adam is `gradtx.dadapt_adamw`."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import copied, full, real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import dot, like, one_norm, precision
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, Decays, NonNegative
from gradtx._wrappers.dadapt import dadapt

MEASURE = {"estim_lr": lambda before, after, *, estim_lr: estim_lr}


def grown(d: Any, numerator: Any, size: Any, growth_rate: Any) -> Any:
    """The next estimate of the distance: it never falls, and grows by a factor at most."""
    estimate = jnp.where(size > 0, numerator / jnp.where(size > 0, size, 1), 0)
    return jnp.maximum(d, estimate if growth_rate is None else jnp.minimum(estimate, d * growth_rate))


def over(x: Any, v: Any, eps: Any) -> Any:
    """x/(√v + ε); 0 where that is 0."""
    under = root(v) + like(eps, v)
    return jnp.where(under > 0, x / like(jnp.where(under > 0, under, 1), x), 0)


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
        way = trees.map(lambda s, a: over(s, a, eps), s, a)
        r = state["denominator"] + rate**2 * dot(g, trees.map(lambda g, a: over(g, a, eps), g, a))

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
        weighted = trees.map(lambda s, n: over(s, n, eps), s, n)
        gained = rate**2 * dot(g, trees.map(lambda g, n: over(g, n, eps), g, n))
        r = b3 * state["denominator"] + (1 - b3) * gained
        d = grown(d, dot(s, weighted) / (1 - b3) - r, one_norm(s).astype(d.dtype), growth_rate)

        def moved(m: Any, v: Any, n: Any, param: Any) -> Any:
            return -over(m + like(b2, v) * v, n, eps) - like(weight_decay * rate, param) * param

        after = {"m": m, "v": v, "n": n, "g": g, "grad_sum": s, "estim_lr": d, "denominator": r}
        return trees.map(moved, m, v, n, params), trees.cast_like(after, state)

    return whole_tree(update, init=init, packs=True, measure=MEASURE)


@transformation
def scale_by_weighted_lion(b1: Decay = 0.9, b2: Decay = 0.99) -> Rule:
    """Lion's direction as `gradtx.dadapt_lion` has it: its average is of gradients times the rate of their time.

        u ← −sign(β₁mₜ₋₁ + (1 − β₁)uₜ);   mₜ = β₂mₜ₋₁ + (1 − β₂)γₜuₜ

    γ is the keyword ``estim_lr`` that `gradtx.dadapt` gives. State: ``mu`` (m), like the parameters.
    """

    def formula(u, mu, *, estim_lr):
        return -jnp.sign(ewma(b1, mu, u)), ewma(b2, mu, estim_lr.astype(jnp.real(u).dtype) * u)

    return per_leaf(formula, mu=zeros)


@transformation
def dadapt_lion(
    learning_rate: NonNegative = 1.0,
    betas: Decays = (0.9, 0.99),
    estim_lr0: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    growth_rate: NonNegative = None,
) -> GradientTransformation:
    """Lion whose rate is a lower bound of the distance from the start to the solution.

        v = sign(β₁mₜ₋₁ + (1 − β₁)gₜ);   mₜ = β₂mₜ₋₁ + (1 − β₂)γgₜ;   θ ← θ − γ(v + λθ),   γ = dα

    α is ``learning_rate``, which only scales the estimate; β₁, β₂ are ``betas``, λ ``weight_decay``; d is that of
    `gradtx.dadapt`. As in the authors' program γ weights the gradients in the average, but not the newest
    beside it, so that while d is small v is a sign of the gradient; ``dadapt(lion(1.0))`` weights none. Source: Defazio
    & Mishchenko 2023, Algorithm 5; their program's Lion.

    >>> tx, x = dadapt_lion(estim_lr0=0.5), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # a step of length d
    Array([-0.5], dtype=float32)
    """
    b1, b2 = betas
    return dadapt(scale_by_weighted_lion(b1, b2), learning_rate, b2, estim_lr0, weight_decay, growth_rate)
