"""When to skip a gradient: functions for ``should_skip_update_fn`` of `gradtx.MultiSteps`."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees

Tree = Any


def skip_not_finite(updates: Tree, gradient_step: Any, params: Tree) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Whether a number of the updates is infinite or NaN, and how many are.

    >>> skip, found = skip_not_finite({"w": jnp.array([1.0, jnp.nan])}, 0, None)
    >>> bool(skip), int(found["num_not_finite"])
    (True, 1)
    """
    bad = jnp.asarray(trees.sum(trees.map(lambda u: jnp.sum(~jnp.isfinite(u)), updates)), jnp.int32)
    return bad > 0, {"should_skip": bad > 0, "num_not_finite": bad}


def skip_large_updates(
    updates: Tree, gradient_step: Any, params: Tree, max_squared_norm: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Whether Σ|u|² over all leaves is not below ``max_squared_norm`` (so also where it is NaN), and that number.

    Accumulated in float32 at least. Bind the last argument: ``functools.partial(skip_large_updates,
    max_squared_norm=1.0)``.

    >>> skip, found = skip_large_updates({"w": jnp.array([3.0, 4.0])}, 0, None, max_squared_norm=20.0)
    >>> bool(skip), float(found["norm_squared"])
    (True, 25.0)
    """
    squared = trees.norm(updates, squared=True)
    skip = ~(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}
