"""The size of updates that are matrices: by their shape, to one root mean square, output by output."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import real_zeros
from gradtx._rules.matrices import as_matrices, axes_of_leaves, pieces
from gradtx._rules.protocol import Rule, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative

Scaling = Literal["original", "match_rms_adamw", "spectral"]


@transformation
def scale_by_shape(
    consistent_rms: NonNegative = None, *, scaling: Scaling = "original", weight_dimension_numbers: Any = None
) -> Rule:
    """An orthogonal update, scaled by the shape of its matrix.

        u ← uₜ √max(1, n/m),   or with consistent_rms r:   u ← uₜ r√max(m, n)   of an m × n matrix

    The first makes one rate serve all widths. The second gives the update the root mean square r, for one rate with
    AdamW (r about 0.2). m is the number of inputs, n of outputs, of a head or a part where a leaf is cut into such; for
    ``weight_dimension_numbers`` see `orthogonalize`. ``scaling="match_rms_adamw"`` is the second with r = 0.2,
    ``"spectral"`` is uₜ √(n/m): the length of an output, as a root mean square, then changes by as much as the rate
    says. Source: Jordan et al. 2024; Liu et al. 2025, eq. 4; Bernstein & Newhouse 2024. State: none.

    >>> scale_by_shape().update(jnp.ones((1, 4)), {})[0]
    Array([[2., 2., 2., 2.]], dtype=float32)
    """
    if consistent_rms is not None and scaling != "original":
        raise TransformationError(f"consistent_rms: scaling={scaling!r} says it already: give one of the two")
    rms = 0.2 if scaling == "match_rms_adamw" else consistent_rms

    def factor(inputs: int, outputs: int) -> Any:
        if rms is not None:
            return max(inputs, outputs) ** 0.5 * rms
        return (outputs / inputs if scaling == "spectral" else max(1, outputs / inputs)) ** 0.5

    def one(u: jax.Array, axes: Any) -> jax.Array:
        parts, restore = pieces(u, axes)
        if len(parts) == 1:
            return u * like(factor(*parts[0].shape[1:]), u)
        return restore([part * like(factor(*part.shape[1:]), part) for part in parts])

    return _each(one, weight_dimension_numbers)


@transformation
def scale_to_rms(rms: NonNegative = 0.2, eps: NonNegative = 1e-10, *, weight_dimension_numbers: Any = None) -> Rule:
    """Each matrix of the update, with a root mean square that is given.

        u ← r √(mn) uₜ/(‖uₜ‖ + ε)   of an m × n matrix,   ‖u‖ = √Σ|u|²

    r is ``rms``, ε ``eps``; for ``weight_dimension_numbers`` see `orthogonalize`. With 0.2 a matrix moves as far as
    with AdamW. Source: Liu et al. 2025, section 2.2; Si et al. 2025, Algorithm 1. State: none.

    >>> scale_to_rms(0.5).update(jnp.array([[3.0, -3.0]]), {})[0]
    Array([[ 0.5, -0.5]], dtype=float32)
    """

    def one(u: jax.Array, axes: Any) -> jax.Array:
        x, restore = as_matrices(u, axes)
        m, n = x.shape[-2:]
        norm = _norm(x)
        return restore(x * like(rms * (m * n) ** 0.5 / _positive(norm + eps), x))

    return _each(one, weight_dimension_numbers)


@transformation
def scale_by_output_rms(decay: Decay = 0.95, eps: NonNegative = 1e-10, *, weight_dimension_numbers: Any = None) -> Rule:
    """Every output of a matrix over its own root mean square in the past; the matrix keeps its norm.

        νₜ = βνₜ₋₁ + (1 − β) mean_inputs |uₜ|²;   v = uₜ/(√νₜ + ε);   u ← ‖uₜ‖/(‖v‖ + ε) v

    β is ``decay``, ε ``eps``, ‖u‖ = √Σ|u|² over a matrix; one number of ν is of one output (neuron). Behind
    `orthogonalize` it evens out how far the neurons move. For ``weight_dimension_numbers`` see there. Source: Li et al.
    2025 (NorMuon), Algorithm 1, with the norm restored as in their code. State: ``nu``, one number for each output.

    >>> tx = scale_by_output_rms()
    >>> tx.update(jnp.array([[1.0, 0.0], [0.0, 7.0]]), tx.init(jnp.zeros((2, 2))))[0].round(4)  # of norm √50
    Array([[5., 0.],
           [0., 5.]], dtype=float32)
    """

    def start(param: jax.Array, axes: Any) -> jax.Array:
        return real_zeros(as_matrices(param, axes)[0].mean(-2))

    def init(params: Tree) -> State:
        return {"nu": _on_leaves(start, weight_dimension_numbers, params)}

    def one(u: jax.Array, axes: Any, nu: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, restore = as_matrices(u, axes)
        square = abs_sq(x)
        new = ewma(decay, nu.astype(square.dtype), square.mean(-2))
        over = x * like(1 / _positive(root(new) + eps), x)[..., None, :]
        scaled = over * like(_norm(x) / _positive(_norm(over) + eps), x)
        return restore(scaled), new.astype(nu.dtype)

    def update(updates: Tree, state: State) -> tuple[Tree, State]:
        made = _on_leaves(one, weight_dimension_numbers, updates, state["nu"])
        new, nu = (trees.map(lambda _, pair, n=n: pair[n], updates, made) for n in (0, 1))
        return new, {"nu": nu}

    return whole_tree(update, init=init)


def _norm(x: jax.Array) -> jax.Array:
    return root(abs_sq(x).sum((-2, -1), keepdims=True))


def _positive(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 1)


def _each(one: Callable[..., jax.Array], given: Any) -> Rule:
    """The rule of a function of an array and its axes, which conditions gradients."""
    return whole_tree(lambda updates, state: (_on_leaves(one, given, updates), state), conditions=True)


def _on_leaves(one: Callable[..., Any], given: Any, tree: Tree, *others: Tree) -> Tree:
    """A function of an array, its axes and what belongs to it, on each leaf."""
    (leaves, treedef), axes = trees.flatten(tree), axes_of_leaves(given, tree)
    rest = [treedef.flatten_up_to(other) for other in others]
    rows = zip(trees.paths(tree), leaves, axes, *rest, strict=True)
    return treedef.unflatten([None if u is None else within(f"leaf {path}", one)(u, *own) for path, u, *own in rows])
