"""Schedule-Free: an average of the iterates in place of a schedule, around any base."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.restrict import fill
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._value.errors import TransformationError
from gradtx._value.floating import power, real_dtype
from gradtx._value.marks import Decay, Dtype, Link, NonNegative


@transformation
def schedule_free(
    base_optimizer: Link,
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    weight_lr_power: NonNegative = 2.0,
    r: NonNegative = None,
    *,
    state_dtype: Dtype = None,
) -> Late:
    """A base optimizer whose momentum and schedule are replaced by an average of its iterates.

        z ← z + base(∇f(y));   c = w/Σw,   w = tʳ(largest α so far)^p;   x ← (1 − c)x + cz;   y ← β₁x + (1 − β₁)z

    The parameters that are trained are y; `gradtx.eval_params` returns x. α is ``learning_rate``, which should be that
    of the base, p is ``weight_lr_power``, r 0 if not given, β₁ ``b1``. Both x and z are kept, so β₁ = 0 works too
    (Optax finds x from y and z, and divides by β₁). ``state_dtype`` is that of z. Source: Defazio et al. 2024,
    Algorithm 1. State: ``inner``; ``x``, ``z``, like the parameters in float32 at least; ``weight_sum``, ``max_lr``.
    Raises `TransformationError`: no ``params``.

    >>> from gradtx import sgd
    >>> tx, y = schedule_free(sgd(0.5), 0.5, 0.5), jnp.array([4.0])
    >>> tx.update(jnp.array([2.0]), tx.init(y), y)[0]  # at first x and z are one
    Array([-1.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        zero = jnp.zeros([], real_dtype(*(x.dtype for x in jax.tree.leaves(params))))
        z = trees.map(jnp.copy, params) if state_dtype is None else trees.cast(params, state_dtype)
        return {"x": trees.map(jnp.copy, params), "z": z, "weight_sum": zero, "max_lr": zero}

    def update(step: Any, updates: Tree, state: Any, *, params: Tree) -> Any:
        return averaged(step, updates, state, params, 1)

    def update_by_age(step: Any, updates: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        return averaged(step, updates, state, params, t.astype(state["weight_sum"].dtype) ** r)

    def averaged(step: Any, updates: Tree, state: Any, params: Tree, by_age: Any) -> Any:
        new, inner = step(updates)
        max_lr = jnp.maximum(state["max_lr"], jnp.asarray(learning_rate).astype(state["max_lr"].dtype))
        weight = by_age * power(max_lr, weight_lr_power)
        total = state["weight_sum"] + weight
        c = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), 0)
        z = trees.map(lambda z, u: z + u, state["z"], new)
        x = trees.map(lambda x, z: x + like(c, x) * (z - x), state["x"], z)
        y = trees.map(lambda x, z: x + like(1 - b1, x) * (z - x), x, z)
        moved = trees.map(lambda y, param: y - param, y, params)
        return moved, {"inner": inner, "x": x, "z": z, "weight_sum": total, "max_lr": max_lr}

    def deployed(params: Tree, state: Any) -> Tree:
        return state["x"]

    how = update if r is None else update_by_age
    return around(base_optimizer, how, init=init, eval_params=deployed, every_step=True, packs=True)


def schedule_free_eval_params(state: Tree, params: Tree) -> Tree:
    """The parameters to deploy of a `schedule_free`, from its state, or from any state that has one in it.

    Where several groups of leaves have one each, each leaf comes from its own; leaves that none trains stay as they are
    in ``params``. `gradtx.eval_params`, which is given the transformation too, also knows other averages. Raises
    `TransformationError`: no such state in ``state``.

    >>> from gradtx import accumulate, chain, clip, sgd
    >>> tx, y = chain(clip(1.0), accumulate(schedule_free(sgd(0.5), 0.5), 1)), jnp.array([4.0])
    >>> u, state = tx.update(jnp.array([2.0]), tx.init(y), y)
    >>> schedule_free_eval_params(state, y + u)
    Array([3.5], dtype=float32)
    """
    found = list(_averages(state))
    if not found:
        raise TransformationError("schedule_free_eval_params: expected a state with one of schedule_free in it")
    for x in found:
        params = fill(trees.cast_like(x, params), params)
    return params


def _averages(state: Any) -> Iterator[Tree]:
    """The x of every state of a `schedule_free` inside a state."""
    if isinstance(state, Mapping):
        if {"x", "z", "weight_sum", "max_lr"} <= state.keys():
            yield state["x"]
        else:
            for entry in state.values():
                yield from _averages(entry)
    elif isinstance(state, tuple | list):  # of another library's chain
        for entry in state:
            yield from _averages(entry)
