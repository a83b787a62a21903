"""Gradient accumulation: many small batches, and one step for all of them."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.fields import zeros
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._schedules.schedule import at_step
from gradtx._value.marks import Link, OfStep


@transformation
def accumulate(inner: Link, every: OfStep) -> Late:
    """A step of ``inner`` for the mean of every few gradients; between them no update.

        āₙ = āₙ₋₁ + (uₙ − āₙ₋₁)/n for n = 1 ... every;   u ← inner(ā) where n = every,   0 elsewhere

    ``every`` is a number, or a function of how many steps ``inner`` has taken. The inner step runs only where it is
    due, and schedules inside count those steps. The trap: one bad gradient spoils the mean it is in; put
    `guard_nonfinite` around. Source: Ott et al. 2018, section 3.3. State: ``inner``; ``acc_grads`` (ā), like the
    parameters in float32 at least; ``mini_step`` (n), ``gradient_step``.

    >>> from gradtx import sgd
    >>> tx = accumulate(sgd(0.5), 2)
    >>> u, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> u, tx.update(jnp.array([3.0]), state)[0]
    (Array([0.], dtype=float32), Array([-1.], dtype=float32))
    """

    def init(params: Tree) -> Any:
        zero = jnp.zeros([], jnp.int32)
        return {"acc_grads": trees.map(zeros, params), "mini_step": zero, "gradient_step": zero}

    def update(step: Any, updates: Tree, state: Any) -> Any:
        n = state["mini_step"] + 1
        mean = trees.map(lambda a, u: a + (u - a) / n.astype(jnp.real(a).dtype), state["acc_grads"], updates)
        due = n >= jnp.ceil(jnp.asarray(at_step(every, state["gradient_step"]))).astype(n.dtype)

        def emit() -> Any:
            new, inner = step(mean)
            return new, {
                "inner": inner,
                "acc_grads": trees.map(jnp.zeros_like, mean),
                "mini_step": jnp.zeros_like(n),
                "gradient_step": state["gradient_step"] + 1,
            }

        def wait() -> Any:
            return trees.map(jnp.zeros_like, updates), {**state, "acc_grads": mean, "mini_step": n}

        return cond(due, emit, wait)

    return around(inner, update, init=init, packs=True)
