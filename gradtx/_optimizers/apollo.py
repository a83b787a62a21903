"""APOLLO: the size of Adam's steps, estimated in a random projection of each matrix, for the gradient itself."""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.norm_growth import limit_norm_growth
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.around import around
from gradtx._rules.decompositions import singular_vectors
from gradtx._rules.fields import zeros
from gradtx._rules.kronecker import adjoint
from gradtx._rules.loops import cond
from gradtx._rules.matrices import as_matrices, axes_of_leaves
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import like, matmul
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Decay, Link, NonNegative, Seed, Static
from gradtx._value.whole import whole_number
from gradtx._wrappers.chain import chain

ADAM = chain(scale_by_ewma(), bias_correction(), scale_by_rms())


@transformation
def scale_by_apollo(
    rank: Static = 128,
    update_proj_gap: NonNegative = 200,
    scale: NonNegative = 1.0,
    base_optimizer: Link = ADAM,
    seed: Seed = 0,
    *,
    granularity: Literal["channel", "tensor"] = "channel",
    projection: Literal["random", "svd"] = "random",
    weight_dimension_numbers: Any = None,
) -> Late:
    """The update, with the step sizes that another optimizer takes in a projection of each matrix.

        R = Puₜ;   u ← s uₜ diag(‖base(R)ⱼ‖/‖Rⱼ‖)   of a matrix with as many columns as rows, or more

    and R = uₜPᴴ with a factor for each row, where it has fewer columns. P has r rows, random numbers of variance 1/r,
    or the first r singular vectors (``projection="svd"``); it is found anew at every k-th step from the first. r is
    ``rank``, k ``update_proj_gap``, s ``scale``. With ``granularity="tensor"`` one factor ‖base(R)‖/‖R‖ serves the
    whole matrix: this is APOLLO-Mini with rank 1 and s = √128. ``base_optimizer``, by default the links of Adam without
    a rate, sees R, and other leaves as they are; its state is as small. For ``weight_dimension_numbers`` see
    `orthogonalize`. The trap: where P changes, the state of ``base_optimizer`` stays as it was. Source: Zhu et al.
    2024, Algorithm 1. State: ``inner``; ``projector``, P where a leaf is a matrix.

    >>> tx = scale_by_apollo(1, granularity="tensor", projection="svd")
    >>> g = jnp.array([[8.0, 0.0], [0.0, 1.0]])
    >>> tx.update(g, tx.init(g))[0].round(4)  # in the first direction Adam makes a 1 of the 8
    Array([[1.   , 0.   ],
           [0.   , 0.125]], dtype=float32)
    """
    most = whole_number("rank", rank)

    def each(function: Any, like_params: Tree, *rest: list[Any]) -> Tree:
        leaves, treedef = trees.flatten(like_params)
        rows = zip(leaves, axes_of_leaves(weight_dimension_numbers, like_params), *rest, strict=True)
        return treedef.unflatten([None if row[0] is None else function(*row) for row in rows])

    def turned(u: jax.Array, axes: Any) -> tuple[jax.Array, Any]:
        """The matrices of an array with the shorter side as rows, and the way back."""
        x, restore = as_matrices(u, axes)
        tall = x.shape[-2] > x.shape[-1]
        return (jnp.swapaxes(x, -1, -2), lambda y: restore(jnp.swapaxes(y, -1, -2))) if tall else (x, restore)

    def start(param: jax.Array, axes: Any) -> Any:
        if axes is None:
            return None
        x, _ = turned(param, axes)
        r, m = min(most, x.shape[-2]), x.shape[-2]
        return jnp.zeros((*x.shape[:-2], r, m), zeros(x).dtype)

    def found(u: jax.Array, axes: Any, old: Any, key: Any) -> Any:
        if axes is None:
            return None
        x, _ = turned(jax.lax.stop_gradient(u), axes)
        if projection == "svd":
            new = adjoint(singular_vectors(x)[0][..., :most])
        else:
            new = jax.random.normal(key, old.shape, old.dtype) / math.sqrt(max(old.shape[-2], 1))
        return new.astype(old.dtype)

    def down(u: jax.Array, axes: Any, p: Any) -> jax.Array:
        return u if axes is None else matmul(p.astype(u.dtype), turned(u, axes)[0])

    def up(u: jax.Array, axes: Any, low: jax.Array, made: jax.Array) -> jax.Array:
        if axes is None:
            return made
        x, restore = turned(u, axes)
        side = -2 if granularity == "channel" else (-2, -1)
        before, after = (root(abs_sq(y).sum(side, keepdims=True)) for y in (low, made))
        ratio = jnp.where(before > 0, after / jnp.where(before > 0, before, 1), 0) * like(scale, before)
        return restore(x * ratio.astype(x.dtype))

    def update(step: Any, updates: Tree, state: Any, *, t: Any, key: Any) -> Any:
        treedef = trees.flatten(updates)[1]
        old = treedef.flatten_up_to(state["projector"])
        keys = [jax.random.fold_in(key, n) for n in range(len(old))]
        gap = jnp.maximum(jnp.ceil(jnp.asarray(update_proj_gap)), 1).astype(jnp.int32)
        due = (t - 1) % gap == 0
        projector = cond(due, lambda: each(found, updates, old, keys), lambda: state["projector"])
        low = each(down, updates, treedef.flatten_up_to(projector))
        new, inner = step(low, params=None)
        back = each(up, updates, trees.flatten(low)[0], trees.flatten(new)[0])
        return back, {"inner": inner, "projector": projector}

    def reduced(param: jax.Array, axes: Any) -> jax.Array:
        return param if axes is None else turned(param, axes)[0][..., :most, :]

    def init(params: Tree) -> Any:
        return {"projector": each(start, params)}

    def view(params: Tree) -> Tree:
        return each(reduced, params)

    return around(base_optimizer, update, init=init, view=view, every_step=True, seed=seed)


@transformation
def apollo(
    learning_rate: NonNegative,
    rank: Static = 128,
    update_proj_gap: NonNegative = 200,
    scale: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    seed: Seed = 0,
    *,
    granularity: Literal["channel", "tensor"] = "channel",
    projection: Literal["random", "svd"] = "random",
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """The gradient with Adam's step size for each channel, which is estimated in a random projection.

        W ← W − α (s G diag(‖adam(PG)ⱼ‖/‖(PG)ⱼ‖) + λW)

    The direction is that of `scale_by_apollo`, with Adam's links inside, and grows by 1 % a step at most
    (`limit_norm_growth`). ``apollo(rate, 1, scale=128**0.5, granularity="tensor")`` is APOLLO-Mini, whose state is as
    small as that of SGD. α is ``learning_rate`` (0.01 in the paper), λ ``weight_decay``. Other arrays are trained by
    AdamW. Source: Zhu et al. 2024, Algorithm 1.

    >>> tx, w = apollo(0.5, projection="svd"), jnp.zeros((1, 2))
    >>> tx.update(jnp.array([[4.0, -9.0]]), tx.init(w), w)[0].round(4)  # of one row: Adam
    Array([[-0.5,  0.5]], dtype=float32)
    """
    base = chain(scale_by_ewma(b1), bias_correction(b1), scale_by_rms(b2, eps))
    how = {"granularity": granularity, "projection": projection, "weight_dimension_numbers": weight_dimension_numbers}
    return chain(
        scale_by_apollo(rank, update_proj_gap, scale, base, seed, **how),
        limit_norm_growth(),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
