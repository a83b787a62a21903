"""Target networks: parameters that follow others, slowly or now and then."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._value.floating import real_dtype, wide

Tree = Any


def incremental_update(new_tensors: Tree, old_tensors: Tree, step_size: Any) -> Tree:
    """Part of the way from the old parameters to the new ones: θ_old + s(θ_new − θ_old).

    s is ``step_size``: 0 gives the old ones exactly, 1 the new ones. Computed in float32 at least; the result has the
    dtypes of the old ones. Source: Polyak & Juditsky 1992; Lillicrap et al. 2016, section 3.

    >>> incremental_update(jnp.array([4.0]), jnp.array([0.0]), 0.25)
    Array([1.], dtype=float32)
    """

    def between(new: Any, old: Any) -> jax.Array:
        new, old = jnp.asarray(new), jnp.asarray(old)
        if not jnp.issubdtype(old.dtype, jnp.inexact):  # integers: the result is none
            old = old.astype(jnp.zeros([]).dtype)
        real = real_dtype(*(x.dtype for x in (new, old) if jnp.issubdtype(x.dtype, jnp.inexact)))
        size = jnp.asarray(step_size).astype(real)
        a, b = wide(old, real), wide(new, real)
        with jax.numpy_dtype_promotion("standard"):  # complex parameters, real step size
            return jnp.where(size < 0.5, a + size * (b - a), b - (1 - size) * (b - a)).astype(old.dtype)

    return trees.map(between, new_tensors, old_tensors)


def periodic_update(new_tensors: Tree, old_tensors: Tree, steps: Any, update_period: Any) -> Tree:
    """The new parameters where ``steps`` is a multiple of ``update_period``, else the old ones.

    Source: Mnih et al. 2015 (the target network).

    >>> periodic_update(jnp.array([4.0]), jnp.array([0.0]), 3, 2)
    Array([0.], dtype=float32)
    """
    due = jnp.mod(steps, update_period) == 0
    return trees.map(lambda new, old: jnp.where(due, new, old), new_tensors, old_tensors)
