"""Attention logits held down by scaling the weights that make them."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.restrict import restrict
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError
from gradtx._value.marks import NonNegative


def qk_clip(
    query: jax.Array,
    key: jax.Array,
    max_logits: Any,
    tau: Any = 100.0,
    eps: Any = 1e-6,
    *,
    head_axis: int = 1,
) -> tuple[jax.Array, jax.Array]:
    """The weights of queries and keys, scaled down where the largest logit of their head is above ``tau``.

        W ← √γ W,   γ = min(1, τ/(s + ε))

    s is ``max_logits``: the largest logit of this layer, one number or one for each head; heads lie along
    ``head_axis`` of the weights, one after the other. As logits are products of queries and keys, the largest becomes
    τ. Source: Kimi Team 2025 (Kimi K2), Algorithm 1, with ε as in MaxText. Raises `TransformationError`: numbers of
    heads that do not fit.

    >>> query, key = qk_clip(jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.array([400.0, 50.0]))
    >>> query.round(4)  # √(100/400), 1
    Array([[0.5, 1. ]], dtype=float32)
    """
    return tuple(_clipped(w, max_logits, tau, eps, head_axis) for w in (query, key))  # pyright: ignore[reportReturnType]


def _clipped(w: jax.Array, max_logits: Any, tau: Any, eps: Any, head_axis: int) -> jax.Array:
    s = jnp.asarray(max_logits).astype(jnp.real(w).dtype)
    tau, eps = (jnp.asarray(x).astype(s.dtype) for x in (tau, eps))
    factor = jnp.sqrt(jnp.minimum(1, tau / (jnp.maximum(s, 0) + eps)))
    if s.ndim == 0:
        return w * factor.astype(w.dtype)
    if s.ndim > 1 or w.shape[head_axis] % s.size:
        raise TransformationError(
            f"max_logits: expected one number, or one for each head on axis {head_axis} of {w.shape}, found {s.shape}"
        )
    each = jnp.repeat(factor, w.shape[head_axis] // s.size)
    shape = [1] * w.ndim
    shape[head_axis] = -1
    return w * each.reshape(shape).astype(w.dtype)


@transformation
def clip_attention_logits(
    tau: NonNegative = 100.0, eps: NonNegative = 1e-6, *, weights: Any = ("*query*", "*key*"), head_axis: int = 1
) -> Any:
    """`qk_clip` as the last link of a chain: the update that brings the weights to where it wants them.

        u ← √γ(θ + uₜ) − θ,   γ = min(1, τ/(s + ε)),   for the weights of queries and keys

    ``weights`` says which leaves they are, as the mask of `masked`. ``update(..., max_logits=s)`` takes the largest
    logits of this batch: one number, one for each head, or a tree like the parameters with these at the leaves that are
    meant. τ is ``tau``, ε ``eps``; for ``head_axis`` see `qk_clip`. Source: Kimi Team 2025 (Kimi K2), Algorithm 1.
    State: none.

    >>> tx, params = clip_attention_logits(weights="query"), {"query": jnp.ones((1, 1)), "out": jnp.ones((1, 1))}
    >>> tx.update({"query": jnp.zeros((1, 1)), "out": jnp.zeros((1, 1))}, {}, params, max_logits=jnp.array(400.0))[0]
    {'out': Array([[0.]], dtype=float32), 'query': Array([[-0.5]], dtype=float32)}
    """

    def formula(u: jax.Array, *, param: jax.Array, max_logits: Any) -> jax.Array:
        return _clipped(param + u, max_logits, tau, eps, head_axis) - param

    rule: Rule = per_leaf(formula)
    return restrict(rule, lambda tree: trees.mask(weights, tree))
