"""Projections: the nearest point of a convex set, or of a sphere, in the Euclidean distance.

    P(x) = argmin over y in C of ‖y − x‖

Each takes a tree, all leaves of which together are one vector x, and returns one like it; ``None`` leaves stay. They
compute in float32 at least and return the dtypes of the tree. All numbers may be traced, and derivatives are exact
where they exist. The names and arguments are those of ``optax.projections``. `gradtx.project_params` keeps parameters
in such a set.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.vectors import normalized, precision, raveled, unraveled
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide

__all__ = [
    "projection_box",
    "projection_halfspace",
    "projection_hypercube",
    "projection_hyperplane",
    "projection_l1_ball",
    "projection_l1_sphere",
    "projection_l2_ball",
    "projection_l2_sphere",
    "projection_linf_ball",
    "projection_non_negative",
    "projection_simplex",
    "projection_vector",
]


def __dir__() -> list[str]:
    return __all__


Tree = Any


# Boxes ----------------------------------------------------------------------------------------------------------------


def projection_non_negative(tree: Tree) -> Tree:
    """Onto the non-negative numbers: max(x, 0).

    Raises `TransformationError`: a complex leaf, which has no order.

    >>> projection_non_negative(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """
    return trees.map(lambda x: jax.nn.relu(_ordered("non_negative", x)), tree)


def projection_box(tree: Tree, lower: Any, upper: Any) -> Tree:
    """Onto a box: min(max(x, lower), upper).

    Each bound is a number, a tree like ``tree`` or a prefix of one (in Optax it must be a tree); None is no bound.

    Raises `TransformationError`: a complex leaf, which has no order.

    >>> projection_box({"w": jnp.array([-3.0, 0.5])}, -1.0, {"w": jnp.array([9.0, 0.0])})
    {'w': Array([-1.,  0.], dtype=float32)}
    """

    def clipped(x: Any, low: Any, high: Any) -> jax.Array:
        x = _ordered("box", x)
        return jnp.clip(x, *(None if bound is None else jnp.asarray(bound).astype(x.dtype) for bound in (low, high)))

    return trees.map(clipped, tree, _spread(lower, tree), _spread(upper, tree))


def projection_hypercube(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the cube [0, scale]ⁿ; ``scale`` is as a bound of `projection_box`.

    >>> projection_hypercube(jnp.array([-1.0, 0.5, 2.0]))
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    return projection_box(tree, 0, scale)


def projection_linf_ball(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the ball max|x| ≤ scale: each number by itself, a complex one along its radius.

    >>> projection_linf_ball(jnp.array([-3.0, 0.5]))
    Array([-1. ,  0.5], dtype=float32)
    """

    def nearest(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        radius = jnp.asarray(scale).astype(jnp.real(x).dtype)
        if not jnp.iscomplexobj(x):
            return jnp.clip(x, -radius, radius)
        size = jnp.abs(x)
        return jnp.where(size > radius, _phase(x) * radius.astype(x.dtype), x)

    return trees.map(nearest, tree)


# The simplex, and what is made of it ----------------------------------------------------------------------------------


def projection_simplex(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the simplex x ≥ 0, Σx = scale: probabilities, for ``scale`` 1.

        P(x)ᵢ = max(xᵢ − τ, 0),   τ = (Σ_S x − scale)/|S|,   S the largest numbers, as many as stay above τ

    S is found by sorting. Source: Held, Wolfe & Crowder 1974; Duchi et al. 2008, Figure 1. Raises
    `TransformationError`: a complex leaf, which has no order.

    >>> projection_simplex(jnp.array([0.5, 1.0, -1.0]))
    Array([0.25, 0.75, 0.  ], dtype=float32)
    """
    return unraveled(_simplex(raveled(trees.map(lambda x: _ordered("simplex", x), tree)), scale), tree)


def projection_l1_sphere(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the sphere Σ|x| = scale.

        P(x) = sign(x) · (the projection of |x| onto the simplex)

    Where a coordinate is 0 two points may be equally near: the positive one is taken. (Optax leaves it at 0, which is
    no point of the sphere.) Source: Duchi et al. 2008, section 4.

    >>> projection_l1_sphere(jnp.array([0.5, -1.0, 0.25]))
    Array([ 0.25, -0.75,  0.  ], dtype=float32)
    """
    x = raveled(tree)
    return unraveled(_phase(x) * _simplex(jnp.abs(x), scale).astype(x.dtype), tree)


def projection_l1_ball(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the ball Σ|x| ≤ scale: what is inside stays.

    Source: Duchi et al. 2008, section 4.

    >>> projection_l1_ball(jnp.array([0.5, -1.0])), projection_l1_ball(jnp.array([0.5, -0.25]))
    (Array([ 0.25, -0.75], dtype=float32), Array([ 0.5 , -0.25], dtype=float32))
    """
    inside = trees.norm(tree, ord=1) <= scale
    return trees.map(lambda x, y: jnp.where(inside, x, y), tree, projection_l1_sphere(tree, scale))


def _simplex(x: jax.Array, scale: Any) -> jax.Array:
    """The projection of a vector; derivatives are those of the formula, with S held fixed."""
    if not x.size:
        return x
    scale = jnp.asarray(scale).astype(x.dtype)
    x = x - jax.lax.stop_gradient(jnp.max(x))  # a shift changes nothing but the rounding
    falling = jnp.sort(jax.lax.stop_gradient(x))[::-1]
    counts = jnp.arange(1, x.size + 1).astype(x.dtype)
    among = jax.lax.stop_gradient(scale) + counts * falling - jnp.cumsum(falling) > 0
    support = x >= falling[jnp.maximum(jnp.count_nonzero(among), 1) - 1]  # with all that are equal to the last of them
    threshold = (jnp.sum(jnp.where(support, x, 0)) - scale) / jnp.count_nonzero(support).astype(x.dtype)
    return jnp.where(support, jnp.maximum(x - threshold, 0), 0)


# Balls, lines and planes ----------------------------------------------------------------------------------------------


def projection_l2_sphere(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the sphere ‖x‖ = scale.

        P(x) = scale · x/‖x‖

    All points of the sphere are equally near to 0: the one whose coordinates are equal is taken. (Optax: NaN.)

    >>> projection_l2_sphere({"a": jnp.array(3.0), "b": jnp.array(-4.0)}, 10.0)
    {'a': Array(6., dtype=float32), 'b': Array(-8., dtype=float32)}
    """
    if not trees.size(tree):
        return tree
    x, _, norm = _unit(tree)
    zero = norm == 0
    x = trees.map(lambda x: jnp.where(zero, jnp.ones_like(x), x), x)
    norm = jnp.where(zero, jnp.sqrt(jnp.asarray(trees.size(tree)).astype(norm.dtype)), norm)
    return trees.cast_like(trees.scale(jnp.asarray(scale).astype(norm.dtype) / norm, x), tree)


def projection_l2_ball(tree: Tree, scale: Any = 1) -> Tree:
    """Onto the ball ‖x‖ ≤ scale: what is inside stays.

        P(x) = x · min(1, scale/‖x‖)

    >>> projection_l2_ball(jnp.array([3.0, -4.0])), projection_l2_ball(jnp.array([0.3, -0.4]))
    (Array([ 0.6, -0.8], dtype=float32), Array([ 0.3, -0.4], dtype=float32))
    """
    if not trees.size(tree):
        return tree
    x, power, norm = _unit(tree)
    scale = jnp.asarray(scale).astype(norm.dtype)
    outside = norm > scale / power
    on_sphere = trees.scale(scale / jnp.where(outside, norm, 1), x)
    return trees.map(lambda x, y: jnp.where(outside, y.astype(x.dtype), x), trees.map(jnp.asarray, tree), on_sphere)


def projection_vector(x: Tree, a: Tree) -> Tree:
    """Onto the line through 0 and ``a``: a⟨a, x⟩/⟨a, a⟩; 0 if a is 0.

    >>> projection_vector(jnp.array([1.0, 3.0]), jnp.array([2.0, 2.0]))
    Array([2., 2.], dtype=float32)
    """
    return trees.cast_like(trees.scale(_over(trees.vdot(a, x), trees.vdot(a, a)), _widened(a, x)), x)


def projection_hyperplane(x: Tree, a: Tree, b: Any) -> Tree:
    """Onto the hyperplane ⟨a, x⟩ = b, where a is not 0.

        P(x) = x + a(b − ⟨a, x⟩)/⟨a, a⟩

    >>> projection_hyperplane(jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0]), 2.0)
    Array([0., 2.], dtype=float32)
    """
    return _moved(x, a, _minus(b, trees.vdot(a, x)))


def projection_halfspace(x: Tree, a: Tree, b: Any) -> Tree:
    """Onto the half-space ⟨a, x⟩ ≤ b, where a is not 0: what is inside stays.

        P(x) = x + a · min(0, b − ⟨a, x⟩)/⟨a, a⟩

    >>> a = jnp.array([1.0, 1.0])
    >>> projection_halfspace(jnp.array([1.0, 3.0]), a, 2.0), projection_halfspace(jnp.array([1.0, 0.5]), a, 2.0)
    (Array([0., 2.], dtype=float32), Array([1. , 0.5], dtype=float32))
    """
    missing = _minus(b, jnp.real(trees.vdot(a, x)))
    return _moved(x, a, jnp.where(missing < 0, missing, 0))


# What they share ------------------------------------------------------------------------------------------------------


def _ordered(name: str, x: Any) -> jax.Array:
    if jnp.iscomplexobj(x):
        raise TransformationError(f"projection_{name}: complex numbers have no order")
    return jnp.asarray(x)


def _spread(bound: Any, tree: Tree) -> Tree:
    """A bound for every leaf, from a number, a tree or a prefix of one."""
    try:
        return jax.tree.map(lambda x, part: trees.map(lambda _: x, part), bound, tree, is_leaf=lambda x: x is None)
    except ValueError:
        raise TransformationError(
            f"projection_box: expected a bound like {jax.tree.structure(tree)}, found {jax.tree.structure(bound)}"
        ) from None


def _phase(x: jax.Array) -> jax.Array:
    """The sign of a number, x/|x|; 1 for 0."""
    size = jnp.abs(x).astype(x.dtype)
    return jnp.where(x == 0, 1, x / jnp.where(x == 0, 1, size) if jnp.iscomplexobj(x) else jnp.sign(x))


def _unit(tree: Tree) -> tuple[Tree, jax.Array, jax.Array]:
    """The tree at one precision, divided by a power of two that makes its norm ordinary; that power; and the norm."""
    x, power = normalized(_widened(tree))
    return x, power, trees.norm(x)


def _widened(tree: Tree, *others: Tree) -> Tree:
    arrays = trees.map(jnp.asarray, tree)
    real = precision(arrays, *(trees.map(jnp.asarray, other) for other in others))
    return trees.map(lambda x: wide(x, real), arrays)


def _moved(x: Tree, a: Tree, missing: jax.Array) -> Tree:
    """The sum x + a · missing/⟨a, a⟩, in the dtypes of x."""
    part = _over(missing, trees.vdot(a, a))
    along = trees.scale(part, _widened(a, x))
    return trees.cast_like(trees.add(_widened(x, a), along), x)


def _minus(b: Any, product: jax.Array) -> jax.Array:
    b = jnp.asarray(b)
    with jax.numpy_dtype_promotion("standard"):  # a real number and a complex product
        return (b if jnp.iscomplexobj(b) else b.astype(jnp.real(product).dtype)) - product


def _over(x: jax.Array, squared: jax.Array) -> jax.Array:
    squared = jnp.real(squared)
    with jax.numpy_dtype_promotion("standard"):  # a complex product over a real norm
        return jnp.where(squared > 0, x / jnp.where(squared > 0, squared, 1), 0)
