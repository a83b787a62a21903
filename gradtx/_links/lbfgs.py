"""Limited-memory BFGS: the inverse Hessian, as far as the last steps tell."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import zeros
from gradtx._rules.loops import scan
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import dot, normalized, precision, scaled, step_along
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.whole import whole_number


@transformation
def scale_by_lbfgs(*, memory_size: int = 10, scale_init_precond: bool = True) -> Rule:
    """The direction of L-BFGS: the update times an inverse Hessian that the last ``memory_size`` steps suggest.

        u ← Puₜ;   sₖ = θₖ₊₁ − θₖ,   yₖ = uₖ₊₁ − uₖ,   ρₖ = 1/sₖᵀyₖ
        P ← σI, then for each pair that is kept, oldest first:  P ← (I − ρsyᵀ)P(I − ρysᵀ) + ρssᵀ

    computed by two loops over the pairs. With ``scale_init_precond`` σ = sᵀy/yᵀy of the newest pair, and 1/max(1, ‖uₜ‖)
    where there is none (1/‖uₜ‖ where uₜ is so short that θ + uₜ is θ to rounding); otherwise σ = 1. A pair is kept if
    sᵀy > 0, so P is positive definite and the direction descends; Optax keeps all, and may ascend after a step through
    negative curvature. The trap: only a line search with Wolfe's conditions, `scale_by_zoom_linesearch`, ensures that
    sᵀy > 0; and noise in the gradients of mini-batches is taken for curvature. Source: Nocedal & Wright 2006,
    Algorithms 7.4 and 7.5, eq. 7.20.

    State: ``params`` and ``updates``, those of the last update, like the parameters; ``diff_params_memory`` (s) and
    ``diff_updates_memory`` (y), with an axis of ``memory_size`` before those of the parameters; ``weights_memory`` (ρ);
    ``pairs``, how many have been kept so far, −1 before the first update. Raises `TransformationError`: no ``params``,
    a ``memory_size`` below 1.

    >>> tx, x = scale_by_lbfgs(), jnp.array([3.0])  # f = 2x², whose inverse Hessian is 1/4
    >>> u, state = tx.update(4 * x, tx.init(x), x)  # no pair yet: 12/‖12‖
    >>> u
    Array([1.], dtype=float32)
    >>> tx.update(4 * (x - u), state, x - u)[0]  # Newton's step from 2
    Array([2.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        size = whole_number("memory_size", memory_size)
        memory = trees.map(lambda x: jnp.broadcast_to(zeros(x)[None], (size, *x.shape)), params)
        return {
            "params": trees.map(zeros, params),
            "updates": trees.map(zeros, params),
            "diff_params_memory": memory,
            "diff_updates_memory": trees.map(jnp.copy, memory),
            "weights_memory": jnp.zeros(size, precision(params)),
            "pairs": jnp.full([], -1, jnp.int32),
        }

    def update(updates: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        now = {
            "params": trees.cast_like(params, state["params"]),
            "updates": trees.cast_like(updates, state["updates"]),
        }
        memory, pairs = remember(state, now)
        newest = (pairs - 1) % memory_size
        scale = _initial_scale(trees.map(lambda x: x[newest], memory[1]), memory[2][newest], now, pairs)
        direction = two_loops(now["updates"], *memory, scale if scale_init_precond else jnp.ones_like(scale), pairs)
        names = ("diff_params_memory", "diff_updates_memory", "weights_memory")
        return trees.cast_like(direction, updates), {**now, **dict(zip(names, memory, strict=True)), "pairs": pairs}

    return whole_tree(update, init=init, packs=True)


def remember(state: Any, now: Any) -> tuple[tuple[Tree, Tree, jax.Array], jax.Array]:
    """The memory with the newest pair, if its curvature is positive, and how many pairs have been kept so far."""
    s, y = (trees.map(lambda a, b: a - b, now[name], state[name]) for name in ("params", "updates"))
    (s_near, s_power), (y_near, y_power) = normalized(s), normalized(y)
    sy = dot(s_near, y_near) * s_power * y_power  # yᵀy itself may overflow or vanish where this does not
    kept = (state["pairs"] >= 0) & (sy > jnp.finfo(sy.dtype).tiny) & jnp.isfinite(sy)
    rho = 1 / jnp.where(kept, sy, 1)
    before = jnp.maximum(state["pairs"], 0)
    olds = state["diff_params_memory"], state["diff_updates_memory"], state["weights_memory"]
    slot = before % olds[2].shape[0]
    put = jax.tree.map(
        lambda old, new: old.at[slot].set(jnp.where(kept, new.astype(old.dtype), old[slot])), olds, (s, y, rho)
    )
    return put, before + kept.astype(jnp.int32)


def _initial_scale(y: Tree, rho: jax.Array, now: Any, pairs: jax.Array) -> jax.Array:
    """The σ of the newest pair, eq. 7.20; before the first pair, a σ that makes the direction no longer than 1."""
    known = pairs > 0
    (near, power), (u, u_power) = normalized(y), normalized(now["updates"])
    curvature = jnp.where(known, rho * power, 1) * jnp.where(known, power * dot(near, near), 1)
    size, real = trees.norm(u).astype(rho.dtype), jnp.finfo(rho.dtype)
    floor = jnp.maximum(jnp.sqrt(real.tiny), real.eps * trees.norm(now["params"]).astype(rho.dtype))
    plain = (size == 0) | ((size * u_power <= 1) & (size * u_power >= floor))
    return jnp.where(known, 1 / curvature, jnp.where(plain, 1, 1 / u_power / jnp.where(plain, 1, size)))


def two_loops(u: Tree, s: Tree, y: Tree, rho: jax.Array, scale: jax.Array, pairs: jax.Array) -> Tree:
    """The product Pu: Algorithm 7.4, from the newest pair to the oldest and back; a weight of 0 means no pair."""
    size = rho.shape[0]
    order = (pairs + jnp.arange(size, dtype=pairs.dtype)) % size  # from the oldest

    def down(q: Tree, n: jax.Array) -> Any:
        alpha = rho[n] * dot(trees.map(lambda x: x[n], s), q)
        return step_along(q, -alpha, trees.map(lambda x: x[n], y)), alpha

    def up(r: Tree, row: Any) -> Any:
        n, alpha = row
        beta = rho[n] * dot(trees.map(lambda x: x[n], y), r)
        return step_along(r, alpha - beta, trees.map(lambda x: x[n], s)), None

    q, alphas = scan(down, u, order, reverse=True)
    r = scaled(scale, q)
    return scan(up, r, (order, alphas))[0]
