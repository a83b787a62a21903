"""Transformations in the basis of the singular vectors of the update."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.blocks import Blocks
from gradtx._rules.decompositions import singular_vectors
from gradtx._rules.kronecker import Basis, Side, cut, filed, identities, sides_of, stacked
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.turns import batched, in_turn
from gradtx._value.marks import Link
from gradtx._value.whole import whole_number


@transformation
def in_singular_basis(
    inner: Link, *, update_proj_gap: int = 2000, staggered: bool = True, weight_dimension_numbers: Any = None
) -> Late:
    """A transformation in the basis of the singular vectors of the update, on the shorter side of each matrix.

        uₜ = UΣVᴴ;   u ← inner(uₜV) Vᴴ   of a matrix with as many rows as columns, or more;   U inner(Uᴴuₜ)   with fewer

    ``inner`` sees the gradient in the same basis. The basis is found at the first step and then once in
    ``update_proj_gap`` steps: that of some matrices at each step, or of all at every such step (``staggered=False``).
    No derivative goes through it. After momentum, ``in_singular_basis(scale_by_rms())`` is Conda. Arrays that are no
    matrices stay as they are; ``weight_dimension_numbers`` tells the axes of a matrix (see `orthogonalize`). Source:
    Wang et al. 2025. State: ``inner``; ``basis``, for each matrix a tuple with U or V.

    >>> from gradtx import scale_by_sign
    >>> tx = in_singular_basis(scale_by_sign())
    >>> u = jnp.array([[0.0, -9.0], [4.0, 0.0]])
    >>> tx.update(u, tx.init(u))[0] + 0
    Array([[ 0., -1.],
           [ 1.,  0.]], dtype=float32)
    """
    every = whole_number("update_proj_gap", update_proj_gap)

    def in_blocks(tree: Tree) -> list[Any]:
        return cut(tree, Blocks(), weight_dimension_numbers)

    def shorter(leaves: list[Any]) -> list[Side]:
        sides = [side for side in sides_of(leaves) if side.rank == 2]
        shapes = [leaves[side.leaf].parts[0].shape[1:] for side in sides]
        chosen = [side.axis == (1 if m >= n else 0) for side, (m, n) in zip(sides, shapes, strict=True)]
        return [side._replace(place=0) for side, yes in zip(sides, chosen, strict=True) if yes]

    def init(params: Tree) -> Any:
        leaves, treedef = in_blocks(params), trees.flatten(params)[1]
        sides = shorter(leaves)
        stacks = [leaves[side.leaf].parts[0] for side in sides]
        ones = [identities(len(x), x.shape[1 + side.axis], x.dtype) for x, side in zip(stacks, sides, strict=True)]
        return {"basis": treedef.unflatten(filed(sides, ones, leaves))}

    def update(step: Any, updates: Tree, state: Any, *, gradient: Tree, t: Any) -> Any:
        treedef, leaves = trees.flatten(updates)[1], in_blocks(jax.lax.stop_gradient(updates))
        sides, column = shorter(leaves), treedef.flatten_up_to(state["basis"])
        given = [leaves[side.leaf].parts[0] for side in sides]
        given = [x if side.axis == 1 else jnp.swapaxes(x, 1, 2) for x, side in zip(given, sides, strict=True)]
        kept = [stacked(column[side.leaf][0], side.stacked) for side in sides]
        kept = [old.astype(x.dtype) for old, x in zip(kept, given, strict=True)]

        def later() -> list[jax.Array]:
            return in_turn(_right_vectors, given, kept, t, every, staggered=staggered)

        matrices = cond(t == 1, lambda: batched(_right_vectors, given), later)
        basis = Basis(in_blocks, sides, matrices)
        turned = basis.into(updates)
        new, inner = step(turned, gradient=turned if gradient is updates else basis.into(gradient))
        return basis.back(new), {"inner": inner, "basis": treedef.unflatten(filed(sides, matrices, leaves))}

    return around(inner, update, init=init, every_step=True)


def _right_vectors(x: jax.Array) -> jax.Array:
    """What the columns of each matrix are multiplied by, conjugated, to become orthogonal."""
    return jnp.swapaxes(singular_vectors(x)[1], -1, -2)
