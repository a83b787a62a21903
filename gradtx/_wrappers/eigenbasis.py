"""Transformations in the eigenbasis of Shampoo's second moments, where a matrix is nearly diagonal."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.blocks import Blocks
from gradtx._rules.decompositions import eigh, orthonormal
from gradtx._rules.kronecker import (
    Basis,
    Side,
    adjoint,
    along,
    cut,
    filed,
    identities,
    second_moment,
    sides_of,
    stacked,
)
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.turns import batched, in_turn
from gradtx._rules.vectors import like, matmul, power_of_two
from gradtx._value.errors import TransformationError
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, Link, NonNegative
from gradtx._value.whole import whole_number


@transformation
def rotated(inner: Link) -> Late:
    """A transformation in the basis that `in_eigenbasis` has found.

        u ← Q inner(Qᴴ uₜ),   and inner sees Qᴴ g as the gradient

    It stands somewhere inside of `in_eigenbasis`. Where ``inner`` keeps averages of updates, the traps are those of a
    basis that moves: what was averaged in the old basis stays as it is. Averages of squares (`scale_by_rms`) are meant
    to. State: ``inner``. Raises `TransformationError`: no `in_eigenbasis` around it.

    >>> from gradtx import scale_by_sign
    >>> tx = in_eigenbasis(rotated(scale_by_sign()))
    >>> u, _ = tx.update(jnp.eye(2), tx.init(jnp.eye(2)))  # at the first step there is no basis yet
    >>> u
    Array([[0., 0.],
           [0., 0.]], dtype=float32)
    """

    def update(step: Any, updates: Tree, state: Any, *, gradient: Tree, eigenbasis: Any = None) -> Any:
        if eigenbasis is None:
            raise TransformationError("it needs a basis: put it inside of in_eigenbasis(...)")
        turned = eigenbasis.into(updates)
        new, after = step(turned, gradient=turned if gradient is updates else eigenbasis.into(gradient))
        return eigenbasis.back(new), {"inner": after}

    return around(inner, update, every_step=True)


@transformation
def in_eigenbasis(
    inner: Link,
    decay: Decay = 0.95,
    eps: NonNegative = 1e-8,
    *,
    precondition_frequency: int = 10,
    max_dim: int = 10000,
    block_size: int | None = None,
    merge_dims: bool = False,
    precondition_1d: bool = False,
    form: Literal["shampoo", "kl"] = "shampoo",
    refresh: Literal["qr", "eigh"] = "qr",
    start: Literal["skip", "identity"] = "skip",
    staggered: bool = True,
    weight_dimension_numbers: Any = None,
) -> Late:
    """A transformation whose `rotated` parts work in the eigenbasis of the second moments of each axis.

        Hᵢ ← βHᵢ + (1 − β) Gᵢ Gᵢᴴ for every axis i;   Hᵢ = Qᵢ Λᵢ Qᵢᴴ;   u ← inner(uₜ, gₜ; Q)

    Gᵢ is the gradient with axis i in front and all others flattened, β ``decay``. The factors Hᵢ take in the gradient
    after the step, so that the basis never depends on it. With ``form="kl"`` the other axes are whitened first:
    Gᵢ (⊗ⱼ Hⱼ⁻¹) Gᵢᴴ/Πⱼnⱼ, j ≠ i, with the eigenvalues QⱼᴴHⱼQⱼ or ``eps``, whichever is larger.

    The basis is exact after the first step. ``start="skip"``: at that step ``inner`` does not run, as in SOAP; with
    ``"identity"`` it runs in the coordinates as they are. From then on each Qᵢ is renewed once in
    ``precondition_frequency`` steps, by one power iteration, Q ← QR(HQ), or by a full decomposition
    (``refresh="eigh"``): at each step some of them, so that steps cost the same, or all at once (``staggered=False``).
    No derivative goes through Q.

    An axis longer than ``max_dim`` has no basis, nor has a vector, unless ``precondition_1d``. ``block_size``,
    ``merge_dims`` and ``weight_dimension_numbers`` are those of `scale_by_shampoo`. Columns of Q stay in their place
    when their eigenvalues change places, so ``inner`` needs no reordering. Source: Vyas et al. 2024, Algorithm 3; KL:
    Lin et al. 2025. State: ``factors`` and ``basis``, for each parameter a tuple with a matrix for every axis (a stack
    of them for blocks); ``inner``, which has a count of its own where the first step is left out.

    >>> from gradtx import scale_by_sign
    >>> tx = in_eigenbasis(rotated(scale_by_sign()))
    >>> state = tx.update(jnp.array([[0.0, 9.0], [4.0, 0.0]]), tx.init(jnp.eye(2)))[1]
    >>> abs(state["basis"][0].round(3))  # along the rows: the largest second moment first
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    every = whole_number("precondition_frequency", precondition_frequency)
    blocks = Blocks(block_size, (block_size or max_dim) if merge_dims else None)

    def in_blocks(tree: Tree) -> list[Any]:
        return cut(tree, blocks, weight_dimension_numbers)

    def init(params: Tree) -> Any:
        leaves, treedef = in_blocks(params), trees.flatten(params)[1]
        sides = _with_basis(leaves, max_dim, precondition_1d)
        stacks = [_stack(leaves, side) for side in sides]
        ones = [identities(len(x), x.shape[1 + side.axis], x.dtype) for x, side in zip(stacks, sides, strict=True)]
        own = {"factors": [jnp.zeros_like(q) for q in ones], "basis": ones}
        return {name: treedef.unflatten(filed(sides, entries, leaves)) for name, entries in own.items()}

    def update(step: Any, updates: Tree, state: Any, *, gradient: Tree, t: Any) -> Any:
        treedef, leaves = trees.flatten(updates)[1], in_blocks(jax.lax.stop_gradient(gradient))
        sides = _with_basis(leaves, max_dim, precondition_1d)

        def entries(name: str) -> list[jax.Array]:
            column = treedef.flatten_up_to(state[name])
            kept = [stacked(column[side.leaf][side.place], side.stacked) for side in sides]
            return [x.astype(_stack(leaves, side).dtype) for x, side in zip(kept, sides, strict=True)]

        factors, basis = entries("factors"), entries("basis")

        def run() -> Any:
            return step(updates, gradient=gradient, eigenbasis=Basis(in_blocks, sides, basis))

        if start == "skip":
            new, inner = cond(t > 1, run, lambda: (trees.zeros_like(updates), state["inner"]))
        else:
            new, inner = run()
        seen = [_stack(leaves, side) for side in sides]
        if form == "kl":
            seen = _whitened(leaves, sides, _scales(factors, basis, eps, t))
        moments = [second_moment(x, side.axis, diagonal=False) for x, side in zip(seen, sides, strict=True)]
        factors = [ewma(decay, h, moment) for h, moment in zip(factors, moments, strict=True)]
        pairs = list(zip(jax.lax.stop_gradient(factors), basis, strict=True))
        again, phase = _iterated if refresh == "qr" else _decomposed, -1 if start == "skip" else 0
        basis = cond(
            t == 1,
            lambda: batched(_decomposed, pairs),
            lambda: in_turn(again, pairs, basis, t, every, staggered=staggered, phase=phase),
        )
        own = {"factors": factors, "basis": basis}
        return new, {"inner": inner} | {k: treedef.unflatten(filed(sides, x, leaves)) for k, x in own.items()}

    return around(inner, update, init=init, every_step=start != "skip")


# The matrices ---------------------------------------------------------------------------------------------------------


def _with_basis(leaves: Sequence[Any], most: int, vectors: bool) -> list[Side]:
    """The sides that have a basis; their places among those of their leaf."""
    found: list[Side] = []
    for side in sides_of(leaves):
        if _stack(leaves, side).shape[1 + side.axis] <= most and (side.rank > 1 or vectors):
            found.append(side._replace(place=sum(other.leaf == side.leaf for other in found)))
    return found


def _stack(leaves: Sequence[Any], side: Side) -> jax.Array:
    return leaves[side.leaf].parts[side.part]


def _scales(factors: Sequence[jax.Array], basis: Sequence[jax.Array], eps: Any, t: Any) -> list[jax.Array]:
    """For each axis (ΛnI)^(−1/2) Qᴴ, which makes it white; at the first step nothing is known of Λ, which is 1."""
    made = []
    for h, q in zip(factors, basis, strict=True):
        values = jnp.sum(jnp.real(jnp.conj(q) * matmul(h, q)), axis=-2)
        values = jnp.where(t == 1, 1, jnp.maximum(values, like(eps, values))) * q.shape[-1]
        values = jnp.where(values > 0, values, 1)
        made.append(adjoint(q) * jax.lax.rsqrt(values).astype(q.dtype)[..., None])
    return made


def _whitened(leaves: Sequence[Any], sides: Sequence[Side], scales: Sequence[jax.Array]) -> list[jax.Array]:
    """For each side its stack, in which all other axes are white."""
    made = []
    for side in sides:
        stack = _stack(leaves, side)
        for other, scale in zip(sides, scales, strict=True):
            if (other.leaf, other.part) == (side.leaf, side.part) and other.axis != side.axis:
                stack = along(stack, other.axis, scale)
        made.append(stack)
    return made


def _decomposed(pair: Any) -> jax.Array:
    """The eigenvectors of the factors, those of the largest eigenvalues first."""
    h, _ = pair
    return jax.vmap(eigh)(_scaled(h))[1][..., ::-1]


def _iterated(pair: Any) -> jax.Array:
    """One power iteration: Q ← QR(HQ), in the order of the eigenvalues, with each column left in its place."""
    h, q = pair
    product = matmul(_scaled(h), q)
    order = jnp.argsort(-jnp.sum(jnp.real(jnp.conj(q) * product), axis=-2), axis=-1)
    made = jax.vmap(orthonormal)(jnp.take_along_axis(product, order[:, None, :], axis=-1))
    return jnp.take_along_axis(made, jnp.argsort(order, axis=-1)[:, None, :], axis=-1)


def _scaled(h: jax.Array) -> jax.Array:
    """The matrix over a power of two near its largest entry, so that no square in a decomposition overflows."""
    largest = jnp.max(jnp.abs(h), axis=(-2, -1), keepdims=True, initial=0)
    return h / power_of_two(largest).astype(h.dtype)
