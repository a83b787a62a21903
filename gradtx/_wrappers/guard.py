"""Guards: a gradient that is not finite does no harm."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link


@transformation
def guard_nonfinite(inner: Link, *, policy: Literal["skip", "rollback"] = "skip") -> Late:
    """A step of ``inner`` where all gradients are finite; elsewhere the step is not taken.

        u ← inner(uₜ) where all of uₜ is finite,   0 elsewhere        (policy="rollback": θ* − θ elsewhere)

    A step that is not taken leaves no trace: the state of ``inner`` and its schedules stay where they were. With
    ``policy="rollback"`` the parameters and the state go back to where the last finite gradient was taken (θ*), since a
    gradient that is not finite tells against the step that led there; it needs ``params``, and keeps a copy of both.
    State: ``inner``; ``skipped``, how many steps were not taken; ``params`` and ``before`` with the rollback.

    >>> from gradtx import sgd
    >>> tx = guard_nonfinite(sgd(0.5))
    >>> u, state = tx.update(jnp.array([jnp.nan]), tx.init(jnp.zeros(1)))
    >>> u, int(state["skipped"])
    (Array([0.], dtype=float32), 1)
    """

    def init(params: Tree) -> Any:
        return {"skipped": jnp.zeros([], jnp.int32)}

    def update(step: Any, updates: Tree, state: Any) -> Any:
        def take() -> Any:
            new, inner = step(updates)
            return new, {**state, "inner": inner}

        def skip() -> Any:
            return trees.map(jnp.zeros_like, updates), {**state, "skipped": state["skipped"] + 1}

        return cond(all_finite(updates), take, skip)

    def init_with_copy(params: Tree, *, inner: Any) -> Any:
        return {**init(params), "params": trees.map(jnp.copy, params), "before": jax.tree.map(jnp.copy, inner)}

    def update_or_return(step: Any, updates: Tree, state: Any, *, params: Tree) -> Any:
        def take() -> Any:
            new, inner = step(updates)
            return new, {**state, "inner": inner, "params": params, "before": state["inner"]}

        def go_back() -> Any:
            back = trees.map(lambda good, now: good - now, state["params"], params)
            back = trees.cast_like(back, updates)
            return back, {**state, "inner": state["before"], "skipped": state["skipped"] + 1}

        return cond(all_finite(updates), take, go_back)

    if policy == "skip":
        return around(inner, update, init=init, packs=True)
    return around(inner, update_or_return, init=init_with_copy, packs=True)


def all_finite(tree: Tree) -> jax.Array:
    """Whether every number of every leaf is finite."""
    found = jnp.ones([], bool)
    for x in jax.tree.leaves(tree):
        found = found & jnp.isfinite(x).all()
    return found
