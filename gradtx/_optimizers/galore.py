"""GaLore: an optimizer that sees only the largest directions of each matrix."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.around import around
from gradtx._rules.decompositions import singular_vectors
from gradtx._rules.fields import zeros
from gradtx._rules.loops import cond
from gradtx._rules.matrices import as_matrices, axes_of_leaves
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.vectors import like, matmul
from gradtx._value.marks import Link, NonNegative, Static
from gradtx._value.whole import whole_number
from gradtx._wrappers.chain import chain

ADAM = chain(scale_by_ewma(), bias_correction(), scale_by_rms())


@transformation
def scale_by_galore(
    rank: Static = 128,
    update_proj_gap: NonNegative = 200,
    scale: NonNegative = 1.0,
    base_optimizer: Link = ADAM,
    *,
    weight_dimension_numbers: Any = None,
) -> Late:
    """Another optimizer, on the largest directions of the gradient of each matrix.

        u ← s P base(Pᴴuₜ)   of a matrix with as many rows as columns, or more;   s base(uₜP)Pᴴ of any other

    P are the first r singular vectors of uₜ on its longer side, found anew at every k-th step from the first; r is
    ``rank``, k ``update_proj_gap``, s ``scale``. ``base_optimizer``, by default the links of Adam without a rate, sees
    r × n numbers for an m × n matrix, and other leaves as they are; its state is as small. ``weight_dimension_numbers``
    says which axes make rows and columns, where a matrix has more than two (a `GaLoreDimensionNumbers` for all, or a
    tree or a function that has one for each; others are no matrices). The traps: where P changes, the state of
    ``base_optimizer`` stays as it was; and that has no parameters, so decay comes after. Source: Zhao et al. 2024,
    Algorithm 2. State: ``inner``; ``projector``, P where a leaf is a matrix. Raises `TransformationError`: a ``rank``
    below 1.

    >>> tx = scale_by_galore(1, scale=0.5)
    >>> g = jnp.array([[8.0, 0.0], [0.0, 1.0]])
    >>> tx.update(g, tx.init(g))[0].round(4)  # of the first direction alone Adam makes a 1
    Array([[0.5, 0. ],
           [0. , 0. ]], dtype=float32)
    """
    most = whole_number("rank", rank)

    def each(function: Any, like_params: Tree, *rest: list[Any]) -> Tree:
        """A function of an array, the axes of its matrix, and more, on each leaf."""
        leaves, treedef = trees.flatten(like_params)
        axes = axes_of_leaves(weight_dimension_numbers, like_params)
        rows = zip(leaves, axes, *rest, strict=True)
        return treedef.unflatten([None if row[0] is None else function(*row) for row in rows])

    def on_the_left(x: jax.Array) -> bool:
        return x.shape[-2] >= x.shape[-1]

    def reduced(param: jax.Array, axes: Any) -> jax.Array:
        """What the optimizer has for a parameter."""
        if axes is None:
            return param
        x, _ = as_matrices(param, axes)
        kept = min(most, *x.shape[-2:])
        return x[..., :kept, :] if on_the_left(x) else x[..., :kept]

    def start(param: jax.Array, axes: Any) -> Any:
        if axes is None:
            return None
        x, _ = as_matrices(param, axes)
        return zeros((x if on_the_left(x) else jnp.swapaxes(x, -1, -2))[..., : min(most, *x.shape[-2:])])

    def found(u: jax.Array, axes: Any) -> Any:
        if axes is None:
            return None
        x, _ = as_matrices(jax.lax.stop_gradient(u), axes)
        left, right = singular_vectors(x)
        return (left if on_the_left(x) else jnp.conj(jnp.swapaxes(right, -1, -2)))[..., :most]

    def down(u: jax.Array, axes: Any, p: Any) -> jax.Array:
        if axes is None:
            return u
        x, _ = as_matrices(u, axes)
        return matmul(_adjoint(p), x) if on_the_left(x) else matmul(x, p)

    def up(u: jax.Array, axes: Any, p: Any, low: jax.Array) -> jax.Array:
        if axes is None:
            return low
        x, restore = as_matrices(u, axes)
        return like(scale, u) * restore(matmul(p, low) if on_the_left(x) else matmul(low, _adjoint(p)))

    def update(step: Any, updates: Tree, state: Any, *, t: Any) -> Any:
        gap = jnp.maximum(jnp.ceil(jnp.asarray(update_proj_gap)), 1).astype(jnp.int32)
        projector = cond(
            (t - 1) % gap == 0,
            lambda: jax.tree.map(lambda new, old: new.astype(old.dtype), each(found, updates), state["projector"]),
            lambda: state["projector"],
        )
        columns = trees.flatten(updates)[1].flatten_up_to(projector)
        new, inner = step(each(down, updates, columns), params=None)
        back = each(up, updates, columns, trees.flatten(new)[0])
        return back, {"inner": inner, "projector": projector}

    def init(params: Tree) -> Any:
        return {"projector": each(start, params)}

    return around(base_optimizer, update, init=init, view=lambda params: each(reduced, params), every_step=True)


def _adjoint(p: jax.Array) -> jax.Array:
    return jnp.conj(jnp.swapaxes(p, -1, -2))


@transformation
def galore(
    learning_rate: NonNegative,
    rank: Static = 128,
    update_proj_gap: NonNegative = 200,
    scale: NonNegative = 1.0,
    base_optimizer: Link = ADAM,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """AdamW with moments of the largest directions of each matrix only, to save memory.

        W ← W − α (s P adam(PᴴG) + λW)

    as in `scale_by_galore`. α is ``learning_rate``, λ ``weight_decay``, s ``scale``. Source: Zhao et al. 2024,
    Algorithm 2.

    >>> g = jnp.array([[8.0, 0.0], [0.0, 1.0]])
    >>> tx = galore(0.5, 1)
    >>> tx.update(g, tx.init(g), g)[0].round(4) + 0  # of the first direction alone Adam makes a 1
    Array([[-0.5,  0. ],
           [ 0. ,  0. ]], dtype=float32)
    """
    axes = weight_dimension_numbers
    direction = scale_by_galore(rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers=axes)
    decay = add_decayed_weights(weight_decay, mask=mask)
    return chain(direction, decay, scale_by_learning_rate(learning_rate))
