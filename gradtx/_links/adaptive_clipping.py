"""Adaptive gradient clipping: unit by unit, relative to the parameters."""

import jax
import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError
from gradtx._value.floating import abs_sq, root, wide
from gradtx._value.marks import Limit, NonNegative

Axis = int | tuple[int, ...] | None


def unitwise_norm(x: jax.Array, axis: Axis = None) -> jax.Array:
    """The norm of the weights into each unit, written to all of these weights; in float32 at least.

    A unit is one output of a layer. Without ``axis``, arrays of one axis are one unit; arrays of 2 and of 3 axes are
    summed over the first, those of 4 and 5 (convolutions) over all but the last. Source: Brock et al. 2021, section 4.
    Raises `TransformationError`: more axes, and no ``axis``.

    >>> unitwise_norm(jnp.array([[3.0, 0.0], [4.0, 2.0]]))
    Array([[5., 2.],
           [5., 2.]], dtype=float32)
    """
    square = abs_sq(wide(jnp.asarray(x)))
    summed = jnp.sum(square, axis=_unit_axes(square.shape) if axis is None else axis, keepdims=True)
    return jnp.broadcast_to(root(summed), square.shape)


def unitwise_clip(g_norm: jax.Array, max_norm: jax.Array, grad: jax.Array, div_eps: float = 1e-6) -> jax.Array:
    """A gradient, scaled down to the norm ``max_norm`` wherever its unit has a larger one, ``g_norm``.

    All have one shape. The result has the dtype of ``grad``. Raises `TransformationError`: different shapes.

    >>> unitwise_clip(jnp.array([5.0, 2.0]), jnp.array([2.5, 2.5]), jnp.array([4.0, 2.0]))
    Array([2., 2.], dtype=float32)
    """
    if not jnp.shape(g_norm) == jnp.shape(max_norm) == jnp.shape(grad):
        shapes = ", ".join(str(jnp.shape(x)) for x in (g_norm, max_norm, grad))
        raise TransformationError(f"expected norms shaped like the gradient, found {shapes}")
    factor = jnp.where(g_norm < max_norm, 1, max_norm / jnp.maximum(g_norm, div_eps))
    return (wide(grad) * factor).astype(grad.dtype)


@transformation
def adaptive_grad_clip(clipping: Limit, eps: NonNegative = 1e-3, *, axis: Axis = None) -> Rule:
    """The gradient of each unit, scaled down where it is large relative to the weights of the unit.

        u ← uₜ min(1, λ max(‖θ‖, ε)/‖uₜ‖)   for every unit

    λ is ``clipping``, ε ``eps``, which lets parameters at zero move. The norms are those of `gradtx.unitwise_norm`,
    over ``axis`` if that is given. Measures ``rate``, the share of a leaf that was scaled down. Source: Brock et al.
    2021, eq. 3. State: none. Raises `TransformationError`: no ``params``; a leaf of more than 5 axes, and no ``axis``.

    >>> tx = adaptive_grad_clip(0.5)
    >>> tx.update(jnp.array([[4.0, 1.0], [0.0, 0.0]]), {}, jnp.array([[4.0, 4.0], [0.0, 0.0]]))[0]
    Array([[2., 1.],
           [0., 0.]], dtype=float32)
    """

    def formula(u, *, param):
        largest = clipping * jnp.maximum(unitwise_norm(param, axis), eps)
        return unitwise_clip(unitwise_norm(u, axis), largest, u)

    return per_leaf(formula, conditions=True, measure={"rate": lambda before, after: jnp.mean(before != after)})


def _unit_axes(shape: tuple[int, ...]) -> Axis:
    if sum(n != 1 for n in shape) <= 1:
        return None
    if len(shape) > 5:
        raise TransformationError(f"expected at most 5 axes, found shape {shape}: say which axes are summed (axis=...)")
    return 0 if len(shape) < 4 else tuple(range(len(shape) - 1))
