"""PSGD with Kronecker factors: a preconditioner that is fitted by gradient descent on a group, without inverses."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.clipping import clip_by_block_rms
from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.blocks import Blocks
from gradtx._rules.decompositions import solve_adjoint
from gradtx._rules.fields import narrowed
from gradtx._rules.kronecker import (
    adjoint,
    along,
    cut,
    filed,
    identities,
    second_moment,
    sides_of,
    stacked,
    unfolded,
)
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import like, matmul
from gradtx._rules.whole_tree import whole_tree
from gradtx._schedules.decays import exponential_decay
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Decay, NonNegative, Seed
from gradtx._wrappers.chain import chain

LESS_OFTEN = exponential_decay(1.0, 1000, math.exp(-1), 500, end_value=0.03)


@transformation
def scale_by_kron(
    preconditioner_update_probability: NonNegative = LESS_OFTEN,
    preconditioner_lr: NonNegative = 0.1,
    preconditioner_init_scale: NonNegative = 1.0,
    eps: NonNegative = 1e-9,
    seed: Seed = 0,
    *,
    max_size_triangular: int = 8192,
    max_skew_triangular: float | None = None,
    min_ndim_triangular: int = 2,
    weight_dimension_numbers: Any = None,
) -> Rule:
    """The update times a preconditioner P = QᴴQ that makes it white, where Q is a triangular matrix for each axis.

        a = Qu,  b = Q⁻ᴴv;   Qᵢ ← Qᵢ − μ triu(AᵢAᵢᴴ − BᵢBᵢᴴ) Qᵢ/‖AᵢAᵢᴴ + BᵢBᵢᴴ‖ for every axis i;   u ← QᴴQu

    v is a standard normal draw, u comes with εv added where Q is fitted, Aᵢ and Bᵢ are a and b with axis i in front and
    all others flattened; μ is ``preconditioner_lr``, ε ``eps``, the norm a lower bound of the spectral norm. Where Q
    rests, P E[uuᴴ] P = I: P is E[uuᴴ]^(−1/2). Q begins as the identity times a root of ``preconditioner_init_scale``
    for each axis, and is fitted with ``preconditioner_update_probability``, by default 1 for 500 steps and then falling
    to 0.03. Each leaf draws for itself, so the work spreads over the steps.

    Axes longer than ``max_size_triangular``, and those of arrays with fewer than ``min_ndim_triangular`` axes, have a
    diagonal. So have axes whose squared length is more than ``max_skew_triangular`` times the entries of the array:
    with 1 the longer axis of each matrix that is not square, which saves most of the work. ``weight_dimension_numbers``
    is that of `scale_by_shampoo`. Source: Li 2015; Li 2022 (the group of Kronecker products). State: ``q``, for each
    parameter a tuple with a matrix, or a diagonal, for every axis.

    >>> tx = scale_by_kron(1.0, 0.5)
    >>> q = tx.update(jnp.array([0.0, 100.0]), tx.init(jnp.zeros(2)))[1]["q"][0]
    >>> bool(q[0] > 1), bool(q[1] < 1)  # less where gradients are large
    (True, True)
    """
    blocks = Blocks()

    def init(params: Tree) -> Any:
        leaves, treedef = cut(params, blocks, weight_dimension_numbers), trees.flatten(params)[1]
        sides, made = sides_of(leaves), []
        for side in sides:
            stack = leaves[side.leaf].parts[side.part]
            n, dtype = stack.shape[1 + side.axis], stack.dtype
            long = max_skew_triangular is not None and n**2 > max_skew_triangular * math.prod(stack.shape[1:])
            flat = long or n > max_size_triangular or side.rank < min_ndim_triangular
            real = jnp.real(stack).dtype
            one = jnp.ones((len(stack), n), real) if flat else identities(len(stack), n, dtype)
            made.append(one * like(preconditioner_init_scale, one) ** (1 / side.rank))
        return {"q": treedef.unflatten(filed(sides, made, leaves))}

    def update(updates: Tree, state: Any, *, key: Any, t: Any) -> Any:
        treedef, leaves = trees.flatten(updates)[1], cut(updates, blocks, weight_dimension_numbers)
        column, made, after = treedef.flatten_up_to(state["q"]), [], []
        for n, (leaf, kept) in enumerate(zip(leaves, column, strict=True)):
            if leaf is None:
                made.append(None)
                after.append(None)
                continue
            (u,) = leaf.parts
            q = [stacked(x, len(u)).astype(u.dtype if x.ndim > 1 + (len(u) > 1) else jnp.real(u).dtype) for x in kept]
            own, draw = jax.random.split(jax.random.fold_in(key, n))
            due = jax.random.uniform(own) < preconditioner_update_probability
            v = jax.random.normal(draw, u.shape, u.dtype)
            q = cond(due, lambda q=q, u=u, v=v: _fitted(q, u + like(eps, u) * v, v, preconditioner_lr), lambda q=q: q)
            made.append(leaf.joined([_preconditioned(q, u)]))
            after.append(q)
        flat = [x for q in after if q is not None for x in q]
        new = treedef.unflatten(filed(sides_of(leaves), flat, leaves))
        return treedef.unflatten(made), narrowed({"q": new}, state)

    return whole_tree(update, init=init, seed=seed)


def _preconditioned(q: list[jax.Array], u: jax.Array) -> jax.Array:
    """QᴴQu."""
    for axis, one in enumerate(q):
        u = along(u, axis, abs_sq(one) if one.ndim == 2 else matmul(adjoint(one), one))
    return u


def _fitted(q: list[jax.Array], u: jax.Array, v: jax.Array, rate: Any) -> list[jax.Array]:
    """The factors after one step, with their sizes made equal, which changes nothing of their product."""
    a, b = u, v
    for axis, one in enumerate(q):
        a, b = along(a, axis, one), _solved(one, b, axis)
    made = []
    for axis, one in enumerate(q):
        first, second = (second_moment(x, axis, diagonal=one.ndim == 2) for x in (a, b))
        norm = _norm(first + second)
        step = like(rate, first) * (first - second) / jnp.where(norm > 0, norm, 1).astype(first.dtype)
        made.append(one - (step * one if one.ndim == 2 else matmul(jnp.triu(step), one)))
    sizes = [jnp.max(jnp.abs(one), axis=tuple(range(1, one.ndim)), keepdims=True) for one in made]
    logs = [jnp.log(jnp.where(size > 0, size, 1)).ravel() for size in sizes]
    mean = sum(logs[1:], start=logs[0]) / len(logs)
    pairs = zip(made, logs, strict=True)
    return [one * jnp.exp(mean - own).reshape(-1, *[1] * (one.ndim - 1)).astype(one.dtype) for one, own in pairs]


def _solved(q: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """Q⁻ᴴb along an axis."""
    if q.ndim == 2:
        return along(b, axis, 1 / q)
    made = jax.vmap(solve_adjoint)(q, unfolded(b, axis))
    moved = jnp.moveaxis(b, 1 + axis, 1).shape
    return jnp.moveaxis(made.reshape(moved), 1, 1 + axis)


def _norm(h: jax.Array) -> jax.Array:
    """A lower bound of the spectral norm of each matrix ≥ 0, from one product with its longest column."""
    if h.ndim == 2:
        return jnp.max(h, axis=1, keepdims=True)
    largest = jnp.max(jnp.abs(h), axis=(1, 2), keepdims=True)
    h = h / jnp.where(largest > 0, largest, 1).astype(h.dtype)
    longest = jnp.argmax(jnp.sum(abs_sq(h), axis=1), axis=-1)
    x = matmul(h, jnp.take_along_axis(h, longest[:, None, None], axis=2))
    size = _length(x)
    return largest * _length(matmul(h, x / jnp.where(size > 0, size, 1).astype(x.dtype)))


def _length(x: jax.Array) -> jax.Array:
    return root(jnp.sum(abs_sq(x), axis=(1, 2), keepdims=True))


@transformation
def psgd_kron(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    weight_decay: NonNegative = 0.0,
    preconditioner_update_probability: NonNegative = LESS_OFTEN,
    preconditioner_lr: NonNegative = 0.1,
    preconditioner_init_scale: NonNegative = 1.0,
    seed: Seed = 0,
    *,
    max_size_triangular: int = 8192,
    max_skew_triangular: float | None = None,
    min_ndim_triangular: int = 2,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Momentum that is made white by a preconditioner of triangular Kronecker factors.

        mₜ = β₁mₜ₋₁ + (1 − β₁)gₜ;   θ ← θ − α (min(1, 1.1/RMS(Pm̂)) Pm̂ + λθ)

    P is that of `scale_by_kron`, fitted to m̂. α is ``learning_rate``, λ ``weight_decay``. White updates have entries of
    mean square 1, so steps are as long as those of Adam. Source: Li 2022; the recipe is that of Walters's kron.

    >>> tx, w = psgd_kron(0.5), jnp.zeros((2, 2))
    >>> u, _ = tx.update(jnp.eye(2), tx.init(w), w)
    >>> bool(u[0, 0] < 0), bool(jnp.sqrt(jnp.mean(u**2)) <= 0.551)
    (True, True)
    """
    most = {"max_size_triangular": max_size_triangular, "max_skew_triangular": max_skew_triangular}
    how = most | {"min_ndim_triangular": min_ndim_triangular, "weight_dimension_numbers": weight_dimension_numbers}
    numbers = (preconditioner_update_probability, preconditioner_lr, preconditioner_init_scale)
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        scale_by_kron(*numbers, seed=seed, **how),
        clip_by_block_rms(1.1),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
