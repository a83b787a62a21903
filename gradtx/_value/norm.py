"""The sum of squares over many arrays, whose root is a norm, lowered for the device that it runs on.

On a GPU each reduction is a kernel of its own, so a norm over 148 leaves takes more kernels than the update that it
clips. On one GPU, leaves of the same shape therefore share one reduction: their squares are added inside the kernel
that reduces them. On several devices this would move data, because leaves of the same shape may be sharded differently.
There, and where reductions fuse by themselves (TPU) or cost nothing to start (CPU), each leaf has its own reduction.
The devices are known only when the program is lowered; the choice is made there, and that takes a primitive.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.interpreters import batching, mlir

from gradtx._value.floating import abs_sq, real_dtype, wide

AT_ONCE = 64  # arrays whose squares one kernel adds; XLA stops at 96, and would add up the rest in memory


def sum_of_squares(leaves: Sequence[jax.Array]) -> jax.Array:
    """Σ|x|² over all numbers of all arrays, accumulated in float32 at least.

    >>> float(sum_of_squares([jnp.array([3.0]), jnp.array([4.0], jnp.float16)]))
    25.0
    """
    leaves = tuple(leaves)
    if not leaves:
        return jnp.zeros([])
    spread = any(not jax.typeof(x).sharding.mesh.empty for x in leaves)  # an explicit or a manual mesh is seen here
    return _leaf_by_leaf(*leaves) if spread else _sum_of_squares(leaves)


@jax.custom_jvp
def _sum_of_squares(leaves: tuple[jax.Array, ...]) -> jax.Array:
    return primitive().bind(*leaves, lanes=0)


@_sum_of_squares.defjvp
def _sum_of_squares_jvp(primals: Any, tangents: Any) -> Any:
    (leaves,), (moved,) = primals, tangents
    real = real_dtype(*(x.dtype for x in leaves))
    along = (jnp.sum(jnp.real(jnp.conj(wide(x)) * wide(dx))).astype(real) for x, dx in zip(leaves, moved, strict=True))
    return _sum_of_squares(leaves), 2 * sum(along, start=jnp.zeros([], real))


def _leaf_by_leaf(*leaves: jax.Array, lanes: int = 0) -> jax.Array:
    """One reduction per leaf; the first ``lanes`` axes are those of `jax.vmap`."""
    return _total([_reduced([x], lanes) for x in leaves], leaves)


def _shape_by_shape(*leaves: jax.Array, lanes: int = 0) -> jax.Array:
    """One reduction per shape and dtype, or several where more than `AT_ONCE` leaves share them."""
    alike: dict[Any, list[jax.Array]] = {}
    for x in leaves:
        alike.setdefault((x.shape, x.dtype), []).append(x)
    parts = [group[n : n + AT_ONCE] for group in alike.values() for n in range(0, len(group), AT_ONCE)]
    return _total([_reduced(part, lanes) for part in parts], leaves)


def _reduced(alike: Sequence[jax.Array], lanes: int) -> jax.Array:
    squares = [abs_sq(wide(x)) for x in alike]
    while len(squares) > 1:  # in pairs, so that rounding errors add up least
        squares = [a + b for a, b in zip(squares[::2], squares[1::2], strict=False)] + squares[len(squares) & ~1 :]
    return jnp.sum(squares[0], axis=tuple(range(lanes, squares[0].ndim)))


def _total(sums: Iterable[jax.Array], leaves: Sequence[jax.Array]) -> jax.Array:
    real = real_dtype(*(x.dtype for x in leaves))
    first, *rest = (x.astype(real) for x in sums)
    return sum(rest, start=first)


# The primitive --------------------------------------------------------------------------------------------------------


@functools.cache
def primitive() -> Any:
    """The primitive, made when it is first used: importing ``jax.extend`` takes as long as importing all of gradtx."""
    from jax.extend.core import Primitive

    made = Primitive("sum_of_squares")
    made.def_impl(_leaf_by_leaf)
    made.def_abstract_eval(_shape)
    batching.primitive_batchers[made] = _batched
    mlir.register_lowering(made, mlir.lower_fun(_leaf_by_leaf, multiple_results=False))
    for platform in ("cuda", "rocm"):
        mlir.register_lowering(made, _on_gpu, platform=platform)
    return made


def _shape(*leaves: Any, lanes: int) -> Any:
    return ShapedArray(leaves[0].shape[:lanes], jnp.dtype(real_dtype(*(x.dtype for x in leaves))))


def _batched(leaves: Sequence[jax.Array], axes: Sequence[Any], *, lanes: int) -> tuple[jax.Array, int]:
    moved = [jnp.moveaxis(x, axis, 0) for x, axis in zip(leaves, axes, strict=True) if axis is not None]
    still = [x for x, axis in zip(leaves, axes, strict=True) if axis is None]
    total = primitive().bind(*moved, lanes=lanes + 1)
    return (total + primitive().bind(*still, lanes=lanes) if still else total), 0


def _on_gpu(context: Any, *leaves: Any, lanes: int) -> Any:
    alone = getattr(context.module_context.axis_context, "num_devices", None) == 1
    lower = mlir.lower_fun(_shape_by_shape if alone else _leaf_by_leaf, multiple_results=False)
    return lower(context, *leaves, lanes=lanes)
