"""Guards: a gradient that is not finite does no harm."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Link, NonNegative


@transformation
def guard_nonfinite(inner: Link, *, policy: Literal["skip", "raise", "rollback"] = "skip") -> Late:
    """A step of ``inner`` where all gradients are finite; otherwise no step is taken.

        u ← inner(uₜ) where all of uₜ is finite,   0 elsewhere        (policy="rollback": θ* − θ elsewhere)

    A step that is not taken leaves no trace: the state of ``inner`` and its schedules stay where they were. With
    ``policy="raise"`` it raises a `TransformationError`, which names the leaves and how many of their numbers are not
    finite; from inside ``jit`` this comes out as JAX's own error, with that text. With ``policy="rollback"`` the
    parameters and the state go back to where the last finite gradient was taken (θ*), since a gradient that is not
    finite makes the step that led there suspect; it needs ``params``, and keeps a copy of both.

    The inner step is inside a condition: where it is not taken it does not run, except under `jax.vmap`, where some
    lanes may take it. State: ``inner``; ``skipped``, how many steps were not taken (not with ``"raise"``); ``params``
    and ``before`` with the rollback.

    >>> from gradtx import sgd
    >>> tx = guard_nonfinite(sgd(0.5))
    >>> u, state = tx.update(jnp.array([jnp.nan]), tx.init(jnp.zeros(1)))
    >>> u, int(state["skipped"])
    (Array([0.], dtype=float32), 1)
    """
    _refuse_loss_scale(inner)
    return {"skip": _skipping, "raise": _raising, "rollback": _rolling_back}[policy](inner)


def _skipping(inner: Any) -> Late:
    def init(params: Tree) -> Any:
        return {"skipped": jnp.zeros([], jnp.int32)}

    def update(step: Any, updates: Tree, state: Any, *, finite: Any) -> Any:
        return cond(finite, lambda: _taken(step, updates, state), lambda: _skipped(updates, state))

    return around(inner, update, init=init, packs=True)


def _rolling_back(inner: Any) -> Late:
    def init(params: Tree, *, inner: Any) -> Any:
        copies = {"params": trees.map(jnp.copy, params), "before": jax.tree.map(jnp.copy, inner)}
        return {"skipped": jnp.zeros([], jnp.int32), **copies}

    def update(step: Any, updates: Tree, state: Any, *, params: Tree, finite: Any) -> Any:
        def take() -> Any:
            return _taken(step, updates, {**state, "params": params, "before": state["inner"]})

        def go_back() -> Any:
            back = trees.map(lambda good, now: good - now, state["params"], params)
            _, after = _skipped(updates, {**state, "inner": state["before"]})
            return trees.cast_like(back, updates), after

        return cond(finite, take, go_back)

    return around(inner, update, init=init, packs=True)


def _raising(inner: Any) -> Late:
    def update(step: Any, updates: Tree, state: Any, *, finite: Any) -> Any:
        paths = [path for path, x in zip(trees.paths(updates), trees.flatten(updates)[0], strict=True) if x is not None]
        sizes = [np.size(x) for x in jax.tree.leaves(updates)]

        def complain(*counts: Any) -> Any:
            found = [(p, n, of) for p, n, of in zip(paths, map(int, counts), sizes, strict=True) if n]
            if found:  # under vmap it is called for every lane
                which = "; ".join(f"leaf {path}: {n} of {of} numbers are not finite" for path, n, of in found)
                raise TransformationError(f"guard_nonfinite: {which}")
            return np.zeros([], np.float32)

        def refuse() -> Any:
            counts = [jnp.sum(~jnp.isfinite(x)) for x in jax.tree.leaves(updates)]
            kind = jax.ShapeDtypeStruct((), jnp.float32)
            zero = jax.pure_callback(complain, kind, *counts, vmap_method="sequential")
            return trees.map(lambda u: jnp.zeros_like(u) + zero.astype(u.dtype), updates), state

        return cond(finite, lambda: _taken(step, updates, state), refuse)

    return around(inner, update, packs=True)


@transformation
def apply_if_finite(inner: Link, max_consecutive_errors: NonNegative) -> Late:
    """A guard that gives up: a gradient that is not finite is skipped, unless too many have come in a row.

        u ← inner(uₜ) where all of uₜ is finite, or n > max_consecutive_errors in a row were not;   0 elsewhere

    Its name and arguments are Optax's. `guard_nonfinite` never gives up. State: ``inner``;
    ``notfinite_count`` (n), ``last_finite``, ``total_notfinite``.

    >>> from gradtx import sgd
    >>> tx = apply_if_finite(sgd(0.5), 1)
    >>> bad, state = jnp.array([jnp.inf]), tx.init(jnp.zeros(1))
    >>> u, state = tx.update(bad, state)
    >>> u, tx.update(bad, state)[0]
    (Array([0.], dtype=float32), Array([-inf], dtype=float32))
    """
    _refuse_loss_scale(inner)

    def init(params: Tree) -> Any:
        zero = jnp.zeros([], jnp.int32)
        return {"notfinite_count": zero, "last_finite": jnp.ones([], bool), "total_notfinite": zero}

    def update(step: Any, updates: Tree, state: Any, *, finite: Any) -> Any:
        in_a_row = jnp.where(finite, 0, state["notfinite_count"] + 1)
        total = state["total_notfinite"] + jnp.where(finite, 0, 1)
        state = {**state, "notfinite_count": in_a_row, "last_finite": finite, "total_notfinite": total}
        most = jnp.asarray(max_consecutive_errors).astype(jnp.float32)
        take = finite | (in_a_row.astype(jnp.float32) > most)
        zero = trees.map(jnp.zeros_like, updates)
        return cond(take, lambda: _taken(step, updates, state), lambda: (zero, state))

    return around(inner, update, init=init, packs=True)


def _taken(step: Any, updates: Tree, state: Any) -> Any:
    new, inner = step(updates)
    return new, {**state, "inner": inner}


def _skipped(updates: Tree, state: Any) -> Any:
    return trees.map(jnp.zeros_like, updates), {**state, "skipped": state["skipped"] + 1}


def _refuse_loss_scale(inner: Any) -> None:
    """A loss scale falls where a gradient is not finite: a guard around it would keep these from it."""
    if any(part.call.name == "dynamic_loss_scale" for part in inner.walk()):
        raise TransformationError("expected no dynamic_loss_scale inside, since it is a guard: put the guard inside")
