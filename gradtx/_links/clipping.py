"""Clipping: by value and by norm."""

import math

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Limit


@transformation
def clip(max_delta: Limit) -> Rule:
    """Every coordinate, brought into an interval around zero.

        u ← min(max(uₜ, −max_delta), max_delta)

    Measures ``rate``, the share of a leaf that was cut off. State: none. Raises `TransformationError`: a complex
    leaf, which has no order.

    >>> clip(1.0).update(jnp.array([4.0, -0.5]), {})[0]
    Array([ 1. , -0.5], dtype=float32)
    """

    def formula(u):
        if jnp.iscomplexobj(u):
            raise TransformationError("complex numbers have no order: use clip_by_global_norm")
        return jnp.clip(u, -max_delta, max_delta)

    return per_leaf(formula, conditions=True, measure={"rate": lambda before, after: jnp.mean(before != after)})


@transformation
def clip_by_global_norm(max_norm: Limit) -> Rule:
    """All leaves together, scaled down to the norm ``max_norm`` where theirs is larger.

        u ← uₜ · min(1, max_norm/‖uₜ‖),   ‖u‖ = √Σ|u|² over all leaves

    The norm is accumulated in float32 at least, over the leaves that are trained: frozen ones do not count. Measures
    ``norm``, the norm before the clip, and ``rate``, 1 where the update was scaled down. Source: Pascanu, Mikolov &
    Bengio 2013, Algorithm 1. State: none.

    >>> clip_by_global_norm(1.0).update({"a": jnp.array([3.0]), "b": jnp.array([4.0])}, {})[0]
    {'a': Array([0.6], dtype=float32), 'b': Array([0.8], dtype=float32)}
    """

    def update(updates, state):
        norm = trees.norm(updates)
        long = norm > max_norm
        factor = jnp.where(long, max_norm / jnp.where(long, norm, 1), 1)
        return trees.map(lambda u: u * factor.astype(u.dtype), updates), state

    measure = {
        "norm": lambda before, after: trees.norm(before),
        "rate": lambda before, after: trees.norm(before) > max_norm,
    }
    return whole_tree(update, conditions=True, packs=True, measure=measure)


@transformation
def clip_by_leaf_norm(max_norm: Limit) -> Rule:
    """Every leaf by itself, scaled down to the norm ``max_norm`` where its own is larger.

        u ← uₜ · min(1, max_norm/‖uₜ‖)

    Accumulated in float32 at least. Measures ``norm``, that before the clip, and ``rate``, 1 where the update was
    scaled down. Source: Pascanu, Mikolov & Bengio 2013, Algorithm 1, leaf by leaf. State: none.

    >>> clip_by_leaf_norm(1.0).update({"a": jnp.array([3.0, 4.0]), "b": jnp.array([0.5])}, {})[0]
    {'a': Array([0.6, 0.8], dtype=float32), 'b': Array([0.5], dtype=float32)}
    """

    def formula(u):
        norm = trees.norm(u)
        long = norm > max_norm
        return u * jnp.where(long, max_norm / jnp.where(long, norm, 1), 1)

    measure = {
        "norm": lambda before, after: trees.norm(before),
        "rate": lambda before, after: trees.norm(before) > max_norm,
    }
    return per_leaf(formula, conditions=True, measure=measure)


@transformation
def clip_by_block_rms(threshold: Limit) -> Rule:
    """Every leaf by itself, scaled down to the root mean square ``threshold`` where its own is larger.

        u ← uₜ min(1, threshold/√mean(|uₜ|²))

    Accumulated in float32 at least. Measures ``rms``, that before the clip, and ``rate``, 1 where the update was scaled
    down. Source: Shazeer & Stern 2018, section 6. State: none.

    >>> clip_by_block_rms(2.5).update(jnp.array([1.0, 7.0]), {})[0]  # the root mean square is 5
    Array([0.5, 3.5], dtype=float32)
    """

    def rms(u):
        return trees.norm(u) / math.sqrt(max(u.size, 1))

    def formula(u):
        long = rms(u) > threshold
        return u * jnp.where(long, threshold / jnp.where(long, rms(u), 1), 1)

    measure = {"rms": lambda before, after: rms(before), "rate": lambda before, after: rms(before) > threshold}
    return per_leaf(formula, conditions=True, measure=measure)
