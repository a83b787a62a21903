"""Transformations on some of the updates: those at which a function of the step says so."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Link, Static


@transformation
def conditionally_transform(inner: Link, should_transform_fn: Static, forward_extra_args: Static = False) -> Late:
    """A transformation of the updates at which a function says so; the others pass through.

        u ← inner(uₜ) where should_transform_fn(s),   uₜ elsewhere;   s = 0 at the first update

    With ``forward_extra_args`` the function gets the extra keywords of ``update`` too. Where it says no, ``inner`` does
    not run, and its state and its schedules stay where they were. Under `jax.vmap` it runs at every update. State:
    ``inner``, and the chain's count.

    >>> from gradtx import scale
    >>> tx = conditionally_transform(scale(-1.0), lambda step: step % 2 == 1)
    >>> u, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> u, tx.update(jnp.array([4.0]), state)[0]
    (Array([4.], dtype=float32), Array([-4.], dtype=float32))
    """
    return _conditional(inner, should_transform_fn, forward_extra_args, lambda u: u)


@transformation
def conditionally_mask(inner: Link, should_transform_fn: Static, forward_extra_args: Static = False) -> Late:
    """A transformation of the updates at which a function says so; elsewhere there is no update.

        u ← inner(uₜ) where should_transform_fn(s),   0 elsewhere;   s = 0 at the first update

    See `conditionally_transform`. State: ``inner``, and the chain's count.

    >>> from gradtx import scale
    >>> tx = conditionally_mask(scale(-1.0), lambda step: step % 2 == 1)
    >>> u, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> u, tx.update(jnp.array([4.0]), state)[0]
    (Array([0.], dtype=float32), Array([-4.], dtype=float32))
    """
    return _conditional(inner, should_transform_fn, forward_extra_args, jnp.zeros_like)


def _conditional(inner: Any, asked: Callable[..., Any], forward: bool, otherwise: Callable[[Any], Any]) -> Late:
    def decided(updates: Tree, state: Any, step: Any, taken: Any) -> Any:
        if jnp.shape(taken) != ():
            raise TransformationError(f"should_transform_fn: expected True or False, found shape {jnp.shape(taken)}")

        def take() -> Any:
            new, after = step(updates)
            return new, state | {"inner": after}

        return cond(jnp.asarray(taken, bool), take, lambda: (trees.map(otherwise, updates), state))

    def update(step: Any, updates: Tree, state: Any, *, t: jax.Array) -> Any:
        return decided(updates, state, step, asked(t - 1))

    def forwarding(step: Any, updates: Tree, state: Any, *, t: jax.Array, **extra: Any) -> Any:
        return decided(updates, state, step, asked(t - 1, **extra))

    return around(inner, forwarding if forward else update, packs=True)
