"""Dion2: the largest rows of the momentum made orthogonal, the others kept for later."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.matrix_scaling import scale_by_shape
from gradtx._numeric.newton_schulz import Coefficients, newton_schulz, rows_of, starting_point
from gradtx._optimizers.muon import beside_adamw
from gradtx._roles.roles import or_roles
from gradtx._rules.fields import zeros
from gradtx._rules.matrices import axes_of_leaves, pieces
from gradtx._rules.protocol import Rule, State, Tree
from gradtx._rules.stacks import as_sharded, each_stack, replicated
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Decay, Dtype, NonNegative


@transformation
def scale_by_dion2(
    coefficients: Coefficients = "polar_express",
    decay: Decay = 0.95,
    eps: NonNegative = 1e-8,
    *,
    fraction: float = 0.25,
    steps: int | None = None,
    dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> Rule:
    """The largest part of a momentum made orthogonal; only that part decays.

        M = Mₜ₋₁ + uₜ;   u ← NS of the selected rows of M, 0 elsewhere;   Mₜ = M, its selected rows times μ

    Selected are the ⌈fraction · r⌉ rows with the largest sums of absolute values, of the r on the shorter side (which
    may be columns). μ is ``decay``: what was not selected is kept whole (error feedback). NS is `orthogonalize` with
    ``coefficients`` and ``steps``. With ``fraction=1`` it is NS of a heavy-ball momentum. Source: Ahn et al. 2025
    (Dion2), Algorithm 1. State: ``trace``, like the parameters. Raises `TransformationError`: a leaf that is no matrix.

    >>> tx = scale_by_dion2((2.0, -1.5, 0.5), fraction=0.5, steps=12)
    >>> u, state = tx.update(jnp.array([[0.0, 4.0], [1.0, 0.0]]), tx.init(jnp.zeros((2, 2))))
    >>> u, state["trace"]
    (Array([[0., 1.],
           [0., 0.]], dtype=float32), Array([[0. , 3.8],
           [1. , 0. ]], dtype=float32))
    """
    if not 0 < fraction <= 1:
        raise TransformationError(f"fraction: expected a number in (0, 1], found {fraction}")
    rows, start = rows_of(coefficients, steps), starting_point(coefficients, None)

    def of_stack(x: jax.Array) -> jax.Array:
        return newton_schulz(x, rows, eps, preconditioning=start, dtype=dtype)

    def init(params: Tree) -> State:
        return {"trace": trees.map(zeros, params)}

    def update(updates: Tree, state: State) -> tuple[Tree, State]:
        total = trees.map(jnp.add, updates, state["trace"])
        leaves, treedef = trees.flatten(total)
        axes, cut = axes_of_leaves(weight_dimension_numbers, total), []
        for path, x, own in zip(trees.paths(total), leaves, axes, strict=True):
            cut.append(None if x is None else within(f"leaf {path}", pieces)(replicated(x), own))
        chosen = [[_chosen(x, fraction) for x in part[0]] if part else [] for part in cut]
        pairs = [pair for part, at in zip(cut, chosen, strict=True) if part for pair in zip(part[0], at, strict=True)]
        made = iter(each_stack(of_stack, [_taken(x, at) for x, at in pairs]))
        new, kept = [], []
        for x, part, at in zip(leaves, cut, chosen, strict=True):
            if part is None:
                new.append(None)
                kept.append(None)
                continue
            new.append(as_sharded(part[1]([_put(y, n, next(made)) for y, n in zip(part[0], at, strict=True)]), x))
            left = [_put(y, n, _taken(y, n) * like(decay, y), y) for y, n in zip(part[0], at, strict=True)]
            kept.append(as_sharded(part[1](left), x))
        return treedef.unflatten(new), {"trace": treedef.unflatten(kept)}

    return whole_tree(update, init=init)


def _chosen(x: jax.Array, fraction: float) -> jax.Array | None:
    """The rows to take of each matrix of a stack, (k, number), on its shorter side; None where it is all of them."""
    *_, m, n = x.shape
    number = max(1, math.ceil(fraction * min(m, n)))
    if number == min(m, n):
        return None
    sizes = jnp.sum(jnp.abs(jax.lax.stop_gradient(x)), -1 if m <= n else -2)
    return jax.lax.top_k(sizes, number)[1]


def _taken(x: jax.Array, at: jax.Array | None) -> jax.Array:
    if at is None:
        return x
    side = -2 if x.shape[-2] <= x.shape[-1] else -1
    return jnp.take_along_axis(x, jnp.expand_dims(at, -3 - side), side)


def _put(x: jax.Array, at: jax.Array | None, part: jax.Array, rest: jax.Array | None = None) -> jax.Array:
    """``part`` in the place of what was taken of ``x``; ``rest``, or 0, elsewhere."""
    if at is None:
        return part
    side = -2 if x.shape[-2] <= x.shape[-1] else -1
    whole = jnp.zeros_like(x) if rest is None else rest
    where = jnp.broadcast_to(jnp.expand_dims(at, -3 - side), part.shape)
    return jnp.put_along_axis(whole, where, part, side, inplace=False)


@transformation
def dion2(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = "polar_express",
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.01,
    adam_learning_rate: NonNegative = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.95,
    adam_eps: NonNegative = 1e-8,
    adam_weight_decay: NonNegative = 0.01,
    *,
    fraction: float = 0.25,
    ns_steps: int | None = None,
    ns_dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon of a part of the momentum: fewer products, and with sharded matrices less to send.

        W ← W − α (√(n/m) D(gₜ) + λW)

    D is `scale_by_dion2` with μ = ``beta``, the factor that of `scale_by_shape` with ``scaling="spectral"``, for n
    outputs of m inputs. With ``fraction=1`` it is heavy-ball Muon. ``weight_dimension_numbers``, and what it does not
    make matrices of, are as in `muon`; AdamW's numbers begin with ``adam_``. Source: Ahn et al. 2025 (Dion2).

    >>> tx, params = dion2(0.5, (2.0, -1.5, 0.5), ns_steps=12, weight_decay=0.0, fraction=0.5), {"w": jnp.zeros((2, 2))}
    >>> updates, _ = tx.update({"w": jnp.array([[0.0, 4.0], [1.0, 0.0]])}, tx.init(params), params)
    >>> updates["w"]
    Array([[-0. , -0.5],
           [-0. , -0. ]], dtype=float32)
    """
    axes = or_roles(weight_dimension_numbers)
    how = {"fraction": fraction, "steps": ns_steps, "dtype": ns_dtype, "weight_dimension_numbers": axes}
    links = (
        scale_by_dion2(ns_coeffs, beta, eps, **how),
        scale_by_shape(scaling="spectral", weight_dimension_numbers=axes),
    )
    adam = (adam_b1, adam_b2, adam_eps, adam_weight_decay)
    return beside_adamw(links, learning_rate, weight_decay, adam_learning_rate, adam, axes)
