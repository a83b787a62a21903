"""Lookahead: fast steps, and slow parameters that follow them."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link, NonNegative


@transformation
def lookahead(inner: Link, sync_period: NonNegative, slow_step_size: NonNegative = 0.5) -> Late:
    """Slow parameters, which follow part of the way after every ``sync_period`` steps of ``inner``.

        θ ← θ + inner(uₜ);   where t is a multiple of k:  φ ← φ + s(θ − φ),   θ ← φ

    k is ``sync_period`` (rounded up, 1 at least), s ``slow_step_size``, φ the slow parameters, which
    `gradtx.eval_params` returns. It goes around a whole optimizer. Source: Zhang et al. 2019, Algorithm 1. State:
    ``inner``; ``slow`` (φ), like the parameters in float32 at least. Raises `TransformationError`: no ``params``.

    >>> from gradtx import sgd
    >>> tx, x = lookahead(sgd(1.0), sync_period=1), jnp.array([4.0])
    >>> tx.update(jnp.array([2.0]), tx.init(x), x)[0]  # half of the way to 2
    Array([-1.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        return {"slow": trees.map(jnp.copy, params)}

    def update(step: Any, updates: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        new, inner = step(updates)
        due = t % jnp.maximum(jnp.ceil(jnp.asarray(sync_period)), 1).astype(jnp.int32) == 0

        def followed(slow: Any, param: Any, u: Any) -> Any:
            part = jnp.asarray(slow_step_size).astype(jnp.real(slow).dtype)
            return jnp.where(due, slow + part * (param + u - slow), slow)

        slow = trees.map(followed, state["slow"], params, new)
        new = trees.map(lambda u, phi, param: jnp.where(due, phi - param, u), new, slow, params)
        return new, {"inner": inner, "slow": slow}

    def deployed(params: Tree, state: Any) -> Tree:
        return state["slow"]

    return around(inner, update, init=init, eval_params=deployed, every_step=True, packs=True)
