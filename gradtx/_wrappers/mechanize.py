"""Mechanic: the size of the steps of any optimizer, learned while it runs."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.fields import copied
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, precision
from gradtx._value.floating import root
from gradtx._value.marks import Link, NonNegative
from gradtx._value.whole import whole_number


@transformation
def mechanize(
    base_optimizer: Link,
    weight_decay: NonNegative = 1e-2,
    eps: NonNegative = 1e-8,
    s_init: NonNegative = 1e-6,
    *,
    num_betas: int = 6,
) -> Late:
    """The steps of an optimizer, added up and multiplied by a factor that is learned.

        g = uₜ + λS‖uₜ‖/(‖θ‖ + ε) θ;   h = ⟨g, Δ⟩;   Δ ← Δ − base(uₜ);   θ ← θ₁ − (s₁ + ... + sₙ)Δ
        rᵢ = βᵢrᵢ + sᵢ min(max(h, −mᵢ), mᵢ),   mᵢ = max(βᵢmᵢ, |h| + ε),   vᵢ = βᵢ²vᵢ + h²
        sᵢ = (s_init mᵢ/n + max(rᵢ, 0))/(√vᵢ + ε),   βᵢ = 1 − 10⁻ⁱ for i = 1 ... n

    Δ is found from the parameters, (θ₁ − θ)/(S + ε), where S is the sum of the sᵢ before, λ ``weight_decay``, ε
    ``eps``, n ``num_betas``, θ₁ the first parameters. mᵢ in rᵢ is the old one. It goes around a whole optimizer, whose
    rate then matters little. Measures ``scale``, the sum of the sᵢ. The trap: ``init`` must get the parameters
    themselves. Source: Cutkosky, Defazio & Mehta 2023, Algorithm 1. State: ``inner``; ``r``, ``m``, ``v``, ``s``, of n
    numbers; ``x0`` (θ₁), like the parameters. Raises `TransformationError`: no ``params``.

    >>> from gradtx import sgd
    >>> tx, x = mechanize(sgd(1.0), s_init=0.5, num_betas=1), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # at first h = 0: the factor is s_init
    Array([-2.], dtype=float32)
    """
    n = whole_number("num_betas", num_betas)

    def init(params: Tree) -> Any:
        real = precision(params)
        made: dict[str, Any] = {name: jnp.zeros(n, real) for name in ("r", "m", "v")}
        return made | {"s": jnp.full(n, s_init).astype(real), "x0": trees.map(copied, params)}

    def update(step: Any, updates: Tree, state: Any, *, params: Tree) -> Any:
        new, inner = step(updates)
        s, m, total = state["s"], state["m"], jnp.sum(state["s"])
        decay = weight_decay * total * trees.norm(updates) / (trees.norm(params) + eps)
        g = trees.map(lambda u, x: u + like(decay, x) * x, updates, params)
        way = trees.map(lambda start, x: (start - x) / like(total + eps, x), state["x0"], params)
        h = like(dot(g, way), s)
        betas = jnp.asarray([1 - 0.1**i for i in range(1, n + 1)], s.dtype)
        r = betas * state["r"] + jnp.clip(h, -m, m) * s
        m = jnp.maximum(betas * m, jnp.abs(h) + eps)
        v = betas**2 * state["v"] + h**2
        s = (s_init / n * m + jnp.maximum(r, 0)) / (root(v) + eps)
        total = jnp.sum(s)
        moved = trees.map(lambda start, x, d, u: start - x - like(total, x) * (d - u), state["x0"], params, way, new)
        return moved, {"inner": inner, "r": r, "m": m, "v": v, "s": s, "x0": state["x0"]}

    measure = {"scale": lambda before, after, *, s: jnp.sum(s)}
    return around(base_optimizer, update, init=init, every_step=True, packs=True, measure=measure)
