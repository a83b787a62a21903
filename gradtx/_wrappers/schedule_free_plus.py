"""Schedule-Free+: Schedule-Free with Polyak's rate, and a decay that goes with its square."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, like, one_norm, precision
from gradtx._value.floating import ewma, power
from gradtx._value.marks import Decay, Link, NonNegative


@transformation
def schedule_free_plus(
    base_optimizer: Link,
    learning_rate: NonNegative = 1.0,
    b1: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
    weight_lr_power: NonNegative = 2.0,
    r: NonNegative = 0.0,
    polyak_decay: Decay = 0.0,
    average_from: NonNegative = 0.0,
) -> Late:
    """Schedule-Free with Polyak's step size, and a decay that goes with its square: nothing is tuned to a length.

        γ = α max(f + β⟨g, z − x⟩, 0)/(√(π/2) ‖g‖₁);   z ← z − γ base(g) − λγ²y
        c = w/Σw,   w = tʳ(largest γ so far)^p;   x ← (1 − c)x + cz;   y ← βx + (1 − β)z

    The parameters that are trained are y; `gradtx.eval_params` returns x. f is the loss at y, the keyword ``value`` of
    ``update``, which should be near 0 at its least; α is ``learning_rate``, λ ``weight_decay`` (20 to 50 are usual), p
    ``weight_lr_power``, β ``b1``, which may be a schedule: the paper's goes from 0.9 to 0.965, ``1.0 -
    exponential_decay(0.1, steps, 0.35, end_value=0.035)``. With ``polyak_decay`` ‖g‖₁ is a corrected average. For the
    first ``average_from`` steps x is z. ``base_optimizer`` is a direction, such as `scale_by_adam`. Measures
    ``learning_rate``, γ. Source: Defazio 2026, the program of Schedule-Free+. State: ``inner``; ``x``, ``z``, like the
    parameters in float32 at least; ``weight_sum``, ``max_lr``, ``size`` (of g), ``lr`` (γ). Raises
    `TransformationError`: no ``params`` or ``value``.

    >>> from gradtx import identity
    >>> tx, y = schedule_free_plus(identity(), (jnp.pi / 2) ** 0.5), jnp.array([4.0])
    >>> tx.update(jnp.array([2.0]), tx.init(y), y, value=3.0)[0].round(4)  # γ = 3/2
    Array([-3.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        zero = jnp.zeros([], precision(params))
        numbers = dict.fromkeys(("weight_sum", "max_lr", "size", "lr"), zero)
        return {"x": trees.map(jnp.copy, params), "z": trees.map(jnp.copy, params), **numbers}

    def update(step: Any, updates: Tree, state: Any, *, params: Tree, value: Any, t: Any) -> Any:
        new, inner = step(updates)
        real = state["size"].dtype
        size = ewma(polyak_decay, state["size"], math.sqrt(math.pi / 2) * one_norm(updates).astype(real))
        ahead = dot(updates, trees.map(lambda z, x: z - x, state["z"], state["x"])).astype(real)
        gap = jnp.maximum(jnp.asarray(value).astype(real) + b1 * ahead, 0)
        time = t.astype(real)
        under = size / (1 - polyak_decay**time)
        rate = learning_rate * jnp.where(under > 0, gap / jnp.where(under > 0, under, 1), 0)

        largest = jnp.maximum(state["max_lr"], rate)
        weight = time**r * power(largest, weight_lr_power)
        averaging = time > average_from
        total = state["weight_sum"] + jnp.where(averaging, weight, 0)
        share = jnp.where(averaging, jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), 0), 1)

        def stepped(z: Any, u: Any, y: Any) -> Any:
            return z - like(rate, z) * u - like(weight_decay * rate**2, z) * y

        z = trees.map(stepped, state["z"], new, params)
        x = trees.map(lambda x, z: x + like(share, x) * (z - x), state["x"], z)
        moved = trees.map(lambda x, z, y: x + like(1 - b1, x) * (z - x) - y, x, z, params)
        after = {"x": x, "z": z, "weight_sum": total, "max_lr": largest, "size": size, "lr": rate}
        return moved, {"inner": inner, **trees.cast_like(after, {name: state[name] for name in after})}

    def deployed(params: Tree, state: Any) -> Tree:
        return state["x"]

    def measured(before: Tree, after: Tree, *, lr: jax.Array) -> jax.Array:
        return lr

    how = {"every_step": True, "packs": True, "measure": {"learning_rate": measured}}
    return around(base_optimizer, update, init=init, eval_params=deployed, **how)
