"""A guard against spikes: a gradient of unusual length is left out."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.z_scores import observed, z_score
from gradtx._rules.around import around
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like, precision
from gradtx._value.floating import root
from gradtx._value.marks import Decay, Link, NonNegative


@transformation
def skip_spikes(inner: Link, threshold: NonNegative = 6.0, decay: Decay = 0.97, warmup_steps: NonNegative = 25) -> Late:
    """A step of ``inner``, unless the norm of the gradient is an outlier among those before: then none is taken.

        u ← inner(uₜ) where ‖uₜ‖ ≤ μ + kσ,   0 elsewhere, and where ‖uₜ‖ is not finite

    k is ``threshold``; μ and σ are mean and deviation of the norms so far, as in `clip_by_z_score`, in which a norm
    that is left out counts as μ + kσ: so a gradient that stays large is soon taken. During the first ``warmup_steps``
    only what is not finite is left out. A step that is not taken leaves no trace in ``inner``. Source: Kumar et al.
    2025 (the score); Chowdhery et al. 2022, section 5.1 (to skip). State: ``inner``; ``mean``, ``var``; ``skipped``,
    how many steps were not taken; and the chain's count. Measures ``norm``.

    >>> from gradtx import sgd
    >>> tx = skip_spikes(sgd(1.0), 2.0, warmup_steps=2)
    >>> state = tx.init(jnp.zeros(1))
    >>> for size in (1.0, 3.0, 9.0):
    ...     u, state = tx.update(jnp.array([size]), state)
    >>> u, int(state["skipped"])  # 9 is more than 2 + 2·1
    (Array([0.], dtype=float32), 1)
    """

    def init(params: Tree) -> State:
        zero = jnp.zeros([], precision(params))
        return {"mean": zero, "var": zero, "skipped": jnp.zeros([], jnp.int32)}

    def update(step: Any, updates: Tree, state: State, *, t: Any) -> Any:
        mean, var = state["mean"], state["var"]
        norm, t = like(trees.norm(updates), mean), like(t, mean)
        spike = (z_score(norm, mean, var) > threshold) & (t > warmup_steps)
        usual = jnp.where(spike & jnp.isfinite(norm), mean + like(threshold, mean) * root(var), norm)
        seen = zip(("mean", "var"), observed(usual, mean, var, t, decay, warmup_steps), strict=True)
        state = state | {name: like(x, mean) for name, x in seen}

        def take() -> Any:
            new, after = step(updates)
            return new, state | {"inner": after}

        def leave_out() -> Any:
            return trees.map(jnp.zeros_like, updates), state | {"skipped": state["skipped"] + 1}

        return cond(jnp.isfinite(norm) & ~spike, take, leave_out)

    return around(inner, update, init=init, packs=True, measure={"norm": lambda before, after: trees.norm(before)})
