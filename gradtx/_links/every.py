"""Updates that are summed, and applied now and then."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import zeros
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import NonNegative


@transformation
def apply_every(k: NonNegative = 1) -> Rule:
    """The sum of the updates of k steps, at every k-th step; nothing at the others.

        aₜ = aₜ₋₁ + uₜ;   where t is a multiple of k:  u ← aₜ,  aₜ ← 0;   elsewhere  u ← 0

    ``k`` is rounded up, and 1 at least. The trap: the links before it see every step, so Adam's moments mix all
    micro-batches, each against parameters that stood still; `gradtx.accumulate` goes around an optimizer and hands it
    one gradient for all k. State: ``grad_acc`` (a), like the parameters in float32 at least, and the chain's count.

    >>> tx = apply_every(2)
    >>> u, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> u, tx.update(jnp.array([2.0]), state)[0]
    (Array([0.], dtype=float32), Array([3.], dtype=float32))
    """

    def init(params: Any) -> Any:
        return {"grad_acc": trees.map(zeros, params)}

    def update(updates: Any, state: Any, *, t: Any) -> Any:
        period = jnp.maximum(jnp.ceil(jnp.asarray(k)), 1).astype(jnp.int32)
        first, due, kept = (t - 1) % period == 0, t % period == 0, state["grad_acc"]
        total = trees.map(lambda u, a: u + jnp.where(first, 0, a).astype(u.dtype), updates, kept)
        return trees.map(lambda a: jnp.where(due, a, 0), total), {"grad_acc": trees.cast_like(total, kept)}

    return whole_tree(update, init=init, packs=True)
