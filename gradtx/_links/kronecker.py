"""Preconditioners that are Kronecker products, with one factor for every axis of an array or of its blocks."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.matrix_powers import matrix_power, newton_root, number_power
from gradtx._rules.blocks import Blocks
from gradtx._rules.fields import narrowed, real_zeros, zeros
from gradtx._rules.kronecker import Side, along, cut, filed, finite, identities, second_moment, sides_of, stacked
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.turns import batched, in_turn
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, NonNegative
from gradtx._value.whole import whole_number


@transformation
def scale_by_shampoo(
    decay: Decay | None = None,
    eps: NonNegative = 1e-6,
    exponent=None,
    ridge_epsilon: NonNegative = 0.0,
    error_tolerance: NonNegative = 1e-6,
    *,
    max_dim: int = 1024,
    block_size: int | None = None,
    merge_dims: bool = False,
    precondition_frequency: int = 1,
    staggered: bool = True,
    start: Literal["gradient", "identity"] = "gradient",
    roots: Literal["eigh", "newton"] = "eigh",
    weight_dimension_numbers: Any = None,
) -> Rule:
    """The update times a root of the second moments of each axis: Shampoo, for arrays of any rank.

        Hᵢ ← Hᵢ + Gᵢ Gᵢᴴ for every axis i;   u ← uₜ ×₁ (H₁ + εI)^p ×₂ (H₂ + εI)^p ...

    Gᵢ is the gradient with axis i in front and all others flattened, ×ᵢ the product along axis i, p ``exponent``
    (−1/(2k) for k axes if not given, as in the paper), ε ``eps``; ``ridge_epsilon`` adds a part of the largest
    eigenvalue of Hᵢ + εI. With ``decay`` β the sums become averages, corrected for their start:
    Hᵢ ← βHᵢ + (1 − β)GᵢGᵢᴴ, divided by 1 − βᵗ.

    ``block_size`` cuts longer axes, and every block has factors of its own; blocks of one shape, in whatever leaf,
    share one decomposition. ``merge_dims`` first makes neighbouring axes one where that is no longer than
    ``block_size`` (or ``max_dim``). An axis longer than ``max_dim`` keeps only the diagonal of its factor. A scalar is
    a vector of length 1. ``weight_dimension_numbers`` tells the axes of a matrix (see `orthogonalize`), so that layers
    in one array are a stack.

    ``precondition_frequency`` k is how many steps a root serves. It is taken for all at the first step, or is 1 until
    its first turn (``start="identity"``). Then at each step one k-th of the roots have their turn (``staggered``), or
    all of them at every k-th step. ``roots="newton"`` finds them by products of matrices alone, to
    ``error_tolerance``; then there is no ``exponent``.

    The trap: a root takes O(n³) operations for an axis of length n. Source: Gupta, Koren & Singer 2018, Algorithm 2;
    Anil et al. 2020 for blocks. State: ``factors``, for each parameter a tuple with a matrix (or its diagonal) for
    every axis, and a stack of them for blocks, in float32 at least; ``roots`` of the matrices, if k is not 1.

    >>> tx = scale_by_shampoo(eps=0.0)
    >>> u, _ = tx.update(jnp.diag(jnp.array([4.0, -9.0])), tx.init(jnp.zeros((2, 2))))
    >>> [round(x, 5) for x in jnp.diagonal(u).tolist()]  # at the first step: the orthogonal factor of the gradient
    [1.0, -1.0]
    """
    every = whole_number("precondition_frequency", precondition_frequency)
    if roots == "newton" and exponent is not None:
        raise TransformationError("exponent: Newton's iteration finds roots of −1/(2k) for k axes: leave it out")
    blocks = Blocks(block_size, (block_size or max_dim) if merge_dims else None)

    def corrected(factor: jax.Array, t: jax.Array) -> jax.Array:
        return factor if decay is None else factor / like(1 - decay ** t.astype(jnp.real(factor).dtype), factor)

    def given(factor: jax.Array, rank: int) -> Tree:
        """What `rooted` takes: Newton's iteration needs the number of axes, an eigendecomposition any power."""
        power = -1 / (2 * rank) if exponent is None else exponent
        return {rank: factor} if roots == "newton" else (factor, jnp.full(len(factor), like(power, jnp.real(factor))))

    def rooted(of: Tree) -> jax.Array:
        if roots == "newton":
            ((rank, h),) = of.items()
            added = [like(x, jnp.real(h)) for x in (eps, ridge_epsilon, error_tolerance)]
            return jax.vmap(lambda h: newton_root(h, 2 * rank, *added))(h)
        added = [like(x, jnp.real(of[0])) for x in (eps, ridge_epsilon)]
        return jax.vmap(lambda h, p: matrix_power(h, p, *added))(*of)

    def of_diagonal(h: jax.Array, rank: int) -> jax.Array:
        h = jnp.maximum(h, 0) + like(eps, h)
        h = h + like(ridge_epsilon, h) * jnp.max(h, axis=1, keepdims=True, initial=0)
        return number_power(h, -1 / (2 * rank) if exponent is None else like(exponent, h))

    def init(params: Tree) -> Any:
        leaves, treedef = cut(params, blocks, weight_dimension_numbers), trees.flatten(params)[1]
        sides = sides_of(leaves)
        factors = [_zeros(leaves[side.leaf].parts[side.part], side.axis, max_dim) for side in sides]
        ones = [identities(len(f), f.shape[-1], f.dtype) if f.ndim == 3 else None for f in factors]
        kept = {"roots": treedef.unflatten(filed(sides, ones, leaves))} if every > 1 else {}
        return {"factors": treedef.unflatten(filed(sides, factors, leaves))} | kept

    def preconditioners(factors: list[jax.Array], sides: list[Side], kept: Any, t: Any) -> list[jax.Array]:
        """The roots of all factors; those of matrices are taken in turn."""
        scaled = [corrected(f, t) for f in factors]
        which = [n for n, f in enumerate(factors) if f.ndim == 3]
        matrices = [given(scaled[n], sides[n].rank) for n in which]
        if every == 1:
            made = batched(rooted, matrices)
        else:
            old = [stacked(x, sides[n].stacked).astype(factors[n].dtype) for n, x in zip(which, kept, strict=True)]
            made = _renewed(rooted, matrices, old, t)
        found: list[Any] = [None if f.ndim == 3 else of_diagonal(f, s.rank) for f, s in zip(scaled, sides, strict=True)]
        for n, x in zip(which, made, strict=True):
            found[n] = x
        return found

    def _renewed(work: Any, matrices: list[Tree], old: list[jax.Array], t: Any) -> list[jax.Array]:
        def now() -> list[jax.Array]:
            return in_turn(work, matrices, old, t, every, staggered=staggered)

        return now() if start == "identity" else cond(t == 1, lambda: batched(work, matrices), now)

    def update(updates: Tree, state: Any, *, gradient: Tree, t: Any) -> Any:
        treedef = trees.flatten(updates)[1]
        leaves, gradients = (cut(tree, blocks, weight_dimension_numbers) for tree in (updates, gradient))
        sides, column = sides_of(leaves), treedef.flatten_up_to(state["factors"])
        factors = []
        for side in sides:
            old = stacked(column[side.leaf][side.place], side.stacked)
            new = second_moment(gradients[side.leaf].parts[side.part], side.axis, old.ndim == 2)
            old = old.astype(new.dtype)
            factors.append(finite(old + new) if decay is None else ewma(decay, old, new))
        kept = [x for entry in treedef.flatten_up_to(state.get("roots", {})) for x in entry or ()] if every > 1 else []
        found = preconditioners(factors, sides, kept, t)
        parts: list[Any] = [None if leaf is None else list(leaf.parts) for leaf in leaves]
        for side, root in zip(sides, found, strict=True):
            parts[side.leaf][side.part] = along(parts[side.leaf][side.part], side.axis, root)
        made = [None if leaf is None else leaf.joined(part) for leaf, part in zip(leaves, parts, strict=True)]
        after = {"factors": treedef.unflatten(filed(sides, factors, leaves))}
        if every > 1:
            own = [root if f.ndim == 3 else None for root, f in zip(found, factors, strict=True)]
            after["roots"] = treedef.unflatten(filed(sides, own, leaves))
        return treedef.unflatten(made), narrowed(after, state)

    return whole_tree(update, init=init)


def _zeros(part: jax.Array, axis: int, most: int) -> jax.Array:
    """A factor for an axis, or the diagonal of one."""
    n = part.shape[1 + axis]
    if n <= most:
        return zeros(jnp.zeros((len(part), n, n), part.dtype))
    return real_zeros(jnp.zeros((len(part), n), part.dtype))
