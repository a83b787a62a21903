"""D-Adaptation around any optimizer: its learning rate, found from how its updates agree with each other."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.fields import zeros
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, one_norm, precision
from gradtx._value.marks import Decay, Link, NonNegative


@transformation
def dadapt(
    inner: Link,
    learning_rate: NonNegative = 1.0,
    b2: Decay = 0.999,
    estim_lr0: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    growth_rate: NonNegative = None,
) -> Late:
    """An optimizer of rate 1, times a lower bound of the distance from the start to the solution.

        γ = dα,   v = inner(uₜ);   r ← βr + (1 − β)γ⟨v, s⟩;   s ← βs + (1 − β)γv;   d ← max(d, r/((1 − β)‖s‖₁))
        u ← γ(v − λθ),   β = √β₂

    α is ``learning_rate``, which only scales the estimate, β₂ ``b2``, λ ``weight_decay``; d starts from ``estim_lr0``,
    grows while updates point the same way, and never falls; with ``growth_rate`` by this factor a step at most.
    ``inner`` is a whole optimizer whose updates have about one size, such as ``lion(1.0)``, ``adam(1.0)`` or
    ``sign_sgd(1.0)``: distances are measured by the largest coordinate. It gets γ as the keyword ``estim_lr``. The
    estimates that the papers give for other rules are in `dadapt_sgd`, `dadapt_adagrad`, `dadapt_adamw` and
    `dadapt_adan`. Measures ``estim_lr``, d. Source: Defazio & Mishchenko 2023, Algorithm 5, in the form of their Lion,
    with any update. State: ``inner``; ``update_sum`` (s), like the parameters; ``estim_lr`` (d), ``numerator_weighted``
    (r). Raises `TransformationError`: no ``params``.

    >>> from gradtx import sign_sgd
    >>> tx, x = dadapt(sign_sgd(1.0), b2=0.0, estim_lr0=0.5), jnp.array([1.0])
    >>> u, state = tx.update(jnp.array([4.0]), tx.init(x), x)
    >>> u, tx.update(jnp.array([4.0]), state, x + u)[1]["estim_lr"]  # 0.5·0.5/0.5: as far as it came
    (Array([-0.5], dtype=float32), Array(0.5, dtype=float32))
    """
    decay = b2**0.5

    def init(params: Tree) -> Any:
        real = precision(params)
        return {
            "update_sum": trees.map(zeros, params),
            "estim_lr": jnp.asarray(estim_lr0).astype(real),
            "numerator_weighted": jnp.zeros([], real),
        }

    def update(step: Any, updates: Tree, state: Any, *, params: Tree) -> Any:
        d, r, s = state["estim_lr"], state["numerator_weighted"], state["update_sum"]
        rate = d * learning_rate
        new, inner = step(updates, estim_lr=rate)
        r = decay * r + (1 - decay) * rate * dot(new, s)
        s = trees.map(lambda s, v: like(decay, s) * s + like((1 - decay) * rate, s) * v, s, new)
        size = (1 - decay) * one_norm(s)
        estimate = jnp.where(size > 0, r / jnp.where(size > 0, size, 1), 0)
        if growth_rate is not None:
            estimate = jnp.minimum(estimate, d * growth_rate)
        moved = trees.map(lambda v, param: like(rate, v) * (v - like(weight_decay, param) * param), new, params)
        after = {"update_sum": s, "estim_lr": jnp.maximum(d, estimate), "numerator_weighted": r}
        return moved, {"inner": inner, **trees.cast_like(after, {name: state[name] for name in after})}

    measure = {"estim_lr": lambda before, after, *, estim_lr: estim_lr}
    return around(inner, update, init=init, every_step=True, packs=True, measure=measure)
