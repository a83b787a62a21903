"""Gradient accumulation: many small batches, and one step for all of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.fields import zeros
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._schedules.schedule import at_step
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Link, OfStep


@transformation
def accumulate(inner: Link, every: OfStep, *, use_grad_mean: bool = True) -> Late:
    """One step of ``inner`` for the mean of several gradients; no update until they are all in.

        āₙ = āₙ₋₁ + (uₙ − āₙ₋₁)/n for n = 1 ... every;   u ← inner(ā) where n = every,   0 elsewhere

    ``every`` is a number, or a function of how many steps ``inner`` has taken. With ``use_grad_mean=False`` the sum
    takes the place of the mean. The inner step runs only where it is due, and schedules inside count those steps. Under
    `jax.vmap` it runs at every update, since lanes may be due at different updates, and is taken only where due.
    The trap: one bad gradient spoils the mean that it is in; put `guard_nonfinite` around. Source: Ott et al. 2018,
    section 3.3. State: ``inner``; ``acc_grads`` (ā), like the parameters in float32 at least; ``mini_step`` (n),
    ``gradient_step``.

    >>> from gradtx import sgd
    >>> tx = accumulate(sgd(0.5), 2)
    >>> u, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> u, tx.update(jnp.array([3.0]), state)[0]
    (Array([0.], dtype=float32), Array([-1.], dtype=float32))
    """
    return _accumulated(inner, every, use_grad_mean)


@transformation
def MultiSteps(
    opt: Link,
    every_k_schedule: OfStep,
    *,
    use_grad_mean: bool = True,
    should_skip_update_fn: Callable[..., Any] | None = None,
) -> Late:
    """Gradient accumulation under Optax's name and arguments: `accumulate`, with a way to skip gradients.

        u ← opt(mean of the last k gradients) where the k-th of them is in,   0 elsewhere

    ``should_skip_update_fn(updates, gradient_step, params)`` returns whether to skip a gradient, as if it had not been
    there, and what to keep of it in the state, as ``skip_state``. Raises `TransformationError`: a function that returns
    something else.

    >>> from gradtx import sgd
    >>> tx = MultiSteps(sgd(0.5), every_k_schedule=2)
    >>> u, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> u, tx.update(jnp.array([3.0]), state)[0]
    (Array([0.], dtype=float32), Array([-1.], dtype=float32))
    """
    return _accumulated(opt, every_k_schedule, use_grad_mean, should_skip_update_fn)


def has_updated(state: Any) -> jax.Array:
    """Whether the last update of an accumulation was a step of its inner transformation, as its state says.

    >>> from gradtx import sgd
    >>> has_updated(MultiSteps(sgd(0.5), 2).init(jnp.zeros(1)))
    Array(False, dtype=bool)
    """
    return (state["mini_step"] == 0) & (state["gradient_step"] > 0)


def _accumulated(inner: Any, every: Any, use_grad_mean: bool, skip: Callable[..., Any] | None = None) -> Late:
    def init(params: Tree) -> Any:
        zero = jnp.zeros([], jnp.int32)
        state = {"acc_grads": trees.map(zeros, params), "mini_step": zero, "gradient_step": zero}
        return state if skip is None else {**state, "skip_state": _asked(skip, params, zero, params)[1]}

    def update(step: Any, updates: Tree, state: Any) -> Any:
        n = state["mini_step"] + 1

        def taken_in(a: Any, u: Any) -> Any:
            return a + (u - a) / n.astype(jnp.real(a).dtype) if use_grad_mean else a + u

        mean = trees.map(taken_in, state["acc_grads"], updates)
        due = n >= jnp.ceil(jnp.asarray(at_step(every, state["gradient_step"]))).astype(n.dtype)

        def emit() -> Any:
            new, inner = step(mean)
            return new, {
                **state,
                "inner": inner,
                "acc_grads": trees.map(jnp.zeros_like, mean),
                "mini_step": jnp.zeros_like(n),
                "gradient_step": state["gradient_step"] + 1,
            }

        def wait() -> Any:
            return trees.map(jnp.zeros_like, updates), {**state, "acc_grads": mean, "mini_step": n}

        return cond(due, emit, wait)

    def update_or_skip(step: Any, updates: Tree, state: Any, *, params: Tree = None) -> Any:
        skipped, remembered = _asked(skip, updates, state["gradient_step"], params)
        state = {**state, "skip_state": remembered}
        zero = trees.map(jnp.zeros_like, updates)
        return cond(skipped, lambda: (zero, state), lambda: update(step, updates, state))

    return around(inner, update if skip is None else update_or_skip, init=init, packs=skip is None)


def _asked(skip: Any, updates: Tree, gradient_step: Any, params: Tree) -> tuple[jax.Array, Any]:
    made = skip(updates, gradient_step, params)
    if not isinstance(made, tuple) or len(made) != 2 or jnp.shape(made[0]) != ():
        raise TransformationError(
            f"should_skip_update_fn: expected (whether to skip, what to remember), found {made!r}"
        )
    return jnp.asarray(made[0], bool), jax.tree.map(jnp.asarray, made[1])
