"""Adam-mini: one second moment for each block of the Hessian, in place of one for each entry."""

from collections.abc import Sequence
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import narrowed, real_zeros
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain

NAMED = ("outputs", "inputs", "whole", "entries")


@transformation
def scale_by_mini_rms(b2: Decay = 0.999, eps: NonNegative = 1e-8, *, blocks: Any = None) -> Rule:
    """The update over the root of a mean square that many entries share.

        νₜ = β₂νₜ₋₁ + (1 − β₂) mean(|gₜ|²);   u ← uₜ/(√ν̂ + ε),   the mean over the entries of a block

    ``blocks`` says what a block is, for all arrays with two axes or more, or as a tree (or a prefix of one) like the
    parameters, or a function of these that returns one: ``"outputs"``, one for each index of the last axis (the rows of
    a matrix in PyTorch), which is the default; ``"inputs"``, one for each index of the first axis, such as the tokens
    of an embedding; a number n, the last axis in n equal parts, such as the heads of queries and keys; ``"whole"``;
    ``"entries"``, as in Adam; or a tuple with the axes of which every index has blocks of its own. Other arrays are one
    block. ν is corrected for its start. Source: Zhang et al. 2024, Algorithm 1. State: ``nu``, a number for each block.

    >>> tx = scale_by_mini_rms(eps=0.0)
    >>> g = jnp.array([[0.0, -4.0], [0.0, 4.0], [0.0, 4.0], [2.0, 4.0]])  # means of squares: 1 and 16
    >>> tx.update(g, tx.init(g))[0]
    Array([[ 0., -1.],
           [ 0.,  1.],
           [ 0.,  1.],
           [ 2.,  1.]], dtype=float32)
    """

    def init(params: Tree) -> Any:
        leaves, treedef = trees.flatten(params)
        means = [
            x if x is None else real_zeros(_mean(x, own)) for x, own in zip(leaves, _own(blocks, params), strict=True)
        ]
        return {"nu": treedef.unflatten(means)}

    def update(updates: Tree, state: Any, *, gradient: Tree, t: Any) -> Any:
        leaves, treedef = trees.flatten(updates)
        column, made, after = treedef.flatten_up_to(state["nu"]), [], []
        rows = zip(leaves, trees.flatten(gradient)[0], column, _own(blocks, updates), strict=True)
        for u, g, nu, own in rows:
            if u is not None:
                mean = _mean(abs_sq(g), own)
                nu = ewma(b2, nu.astype(mean.dtype), mean)
                corrected = nu / like(1 - b2 ** t.astype(nu.dtype), nu)
                u = u / _spread(root(corrected) + like(eps, nu), u, own).astype(u.dtype)
            made.append(u)
            after.append(nu)
        return treedef.unflatten(made), narrowed({"nu": treedef.unflatten(after)}, state)

    return whole_tree(update, init=init)


def _own(given: Any, tree: Tree) -> list[Any]:
    """For each leaf the axes of which every index has a block of its own, or the number of parts of the last one."""
    leaves, treedef = trees.flatten(tree)
    if given is None or isinstance(given, str | int) or _is_axes(given):
        one = "outputs" if given is None else given
        found = ["whole" if x is None or x.ndim < 2 else one for x in leaves]
    else:
        made = given(tree) if callable(given) else given
        spread = jax.tree.map(lambda own, part: trees.map(lambda _: _Held(own), part), made, tree, is_leaf=_is_spec)
        found = [own and own.spec for own in treedef.flatten_up_to(spread)]
    rows = zip(trees.paths(tree), leaves, found, strict=True)
    return [None if x is None else within(f"blocks: leaf {path}", _axes)(own, x) for path, x, own in rows]


class _Held:
    """What is given for a leaf, as one leaf of a tree."""

    def __init__(self, spec: Any):
        self.spec = spec


def _is_axes(x: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(x, tuple) and all(isinstance(axis, int) for axis in x)


def _is_spec(x: Any) -> bool:
    return x is None or isinstance(x, str | int) or _is_axes(x)


def _axes(own: Any, x: jax.Array) -> Sequence[int] | int:
    if own is None:
        own = "outputs" if x.ndim > 1 else "whole"
    if isinstance(own, int) and not isinstance(own, bool) and own > 0 and x.ndim and x.shape[-1] % own == 0:
        return own
    if isinstance(own, str) and own in NAMED:
        every = tuple(range(x.ndim))
        return {"outputs": every[-1:], "inputs": every[:1], "whole": (), "entries": every}[own]
    if _is_axes(own) and all(-x.ndim <= axis < x.ndim for axis in own):
        return tuple(sorted({axis % x.ndim for axis in own}))
    names = ", ".join(map(repr, NAMED))
    raise TransformationError(
        f"expected {names}, a tuple of axes, or a number that divides the last axis, found {own!r} for shape {x.shape}"
    )


def _mean(x: jax.Array, own: Any) -> jax.Array:
    if isinstance(own, int):
        parts = x.reshape(-1, own, x.shape[-1] // own)
        return parts.mean((0, 2))
    return x.mean([axis for axis in range(x.ndim) if axis not in own])


def _spread(nu: jax.Array, x: jax.Array, own: Any) -> jax.Array:
    """The number of its block for each entry."""
    if isinstance(own, int):
        return jnp.repeat(nu, x.shape[-1] // own).reshape(*[1] * (x.ndim - 1), -1)
    return nu.reshape([n if axis in own else 1 for axis, n in enumerate(x.shape)])


@transformation
def adam_mini(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    *,
    blocks: Any = None,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW with one second moment for each block of parameters, which halves its memory.

        θ ← θ − α (m̂/(√ν̂ + ε) + λθ),   ν of a block: the average of mean(|g|²)

    ``blocks`` are those of `scale_by_mini_rms`. For a transformer: ``"inputs"`` for embeddings, ``"outputs"`` for
    values, projections and the head, the number of heads for queries and keys, ``"whole"`` for the rest. α is
    ``learning_rate``, λ ``weight_decay``. Source: Zhang et al. 2024, Algorithms 1 to 3.

    >>> tx, w = adam_mini(0.5, eps=0.0, blocks="whole"), jnp.zeros((1, 4))
    >>> tx.update(jnp.array([[0.0, 0.0, 0.0, 4.0]]), tx.init(w), w)[0].round(4) + 0  # over the root of 16/4
    Array([[ 0.,  0.,  0., -1.]], dtype=float32)
    """
    return chain(
        scale_by_ewma(b1),
        bias_correction(b1),
        scale_by_mini_rms(b2, eps, blocks=blocks),
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
