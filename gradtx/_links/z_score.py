"""Clipping by how unusual a norm is."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.z_scores import observed, z_score
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like, precision
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import Decay, NonNegative


@transformation
def clip_by_z_score(threshold: NonNegative = 2.5, decay: Decay = 0.97, warmup_steps: NonNegative = 25) -> Rule:
    """All leaves together, scaled down where their norm is an outlier among those before: the more so, the shorter.

        z = (‖uₜ‖ − μ)/(σ + 10⁻⁶);   u ← uₜ n/‖uₜ‖,   n = μ + kσ · k/z where z > k, else ‖uₜ‖

    k is ``threshold``. After every step μ ← βμ + (1 − β)n, σ² ← βσ² + (1 − β)(n − μ)², with β = ``decay``; during the
    first ``warmup_steps`` they are mean and variance of all norms so far, and nothing is clipped. So no limit need be
    chosen, and what is usual may change. A norm that is not finite changes neither; `guard_nonfinite` drops it.
    Measures ``norm``, that before, and ``rate``, 1 where it was scaled down. Source: Kumar et al. 2025, Algorithm 1.
    State: ``mean`` (μ), ``var`` (σ²), and the chain's count.

    >>> tx = clip_by_z_score(1.0, 0.5, warmup_steps=2)
    >>> state = tx.init(jnp.zeros(1))
    >>> for size in (1.0, 3.0, 5.0):
    ...     u, state = tx.update(jnp.array([size]), state)
    >>> round(float(u[0]), 4)  # μ = 2, σ = 1, z = 3: 2 + 1/3
    2.3333
    """

    def init(params: Tree) -> dict[str, Any]:
        zero = jnp.zeros([], precision(params))
        return {"mean": zero, "var": zero}

    def update(updates: Tree, state: dict[str, Any], *, t: Any) -> tuple[Tree, dict[str, Any]]:
        mean, var = state["mean"], state["var"]
        norm, t = like(trees.norm(updates), mean), like(t, mean)
        z = z_score(norm, mean, var)
        spike = (z > threshold) & (t > warmup_steps)
        most = mean + threshold**2 * jnp.sqrt(jnp.where(spike, var, 1)) / jnp.where(spike, z, 1)
        limit = jnp.where(spike, most, norm).astype(mean.dtype)
        factor = jnp.where(spike, limit / jnp.where(spike, norm, 1), 1)
        mean, var = observed(limit, mean, var, t, decay, warmup_steps)
        scaled = trees.map(lambda u: u * factor.astype(u.dtype), updates)
        return scaled, {"mean": like(mean, state["mean"]), "var": like(var, state["var"])}

    measure = {
        "norm": lambda before, after: trees.norm(before),
        "rate": lambda before, after: trees.norm(after) < trees.norm(before),
    }
    return whole_tree(update, init=init, conditions=True, packs=True, measure=measure)
