"""Seeds: any whole number of 64 bits, as `jax.random.key` takes them; the same number is the same key everywhere."""

import operator
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx._value.errors import TransformationError


def whole_seed(name: str, seed: Any) -> int:
    """The seed as an int of Python; or a `TransformationError`.

    >>> whole_seed("fit: seed", np.uint32(7))
    7
    """
    try:
        found = None if isinstance(seed, bool | np.bool_) else operator.index(seed)
    except TypeError:
        found = None
    if found is None or not -(2**63) <= found < 2**63:
        raise TransformationError(f"{name}: expected a whole number of 64 bits, found {seed!r}")
    return found


def listed_seeds(who: str, seeds: Any) -> list[Any]:
    """Several seeds as a list; or a `TransformationError` where they are something else, such as their number."""
    if isinstance(seeds, str | bytes) or not hasattr(seeds, "__iter__") or getattr(seeds, "ndim", 1) != 1:
        raise TransformationError(f"{who}: seeds: expected whole numbers, such as range(3), found {seeds!r}")
    return list(seeds)


def as_numpy_has_it(name: str, seed: Any) -> int:
    """A seed for NumPy's generators, which take no negative ones: to those it adds 2**64.

    >>> as_numpy_has_it("sample: seed", 7), as_numpy_has_it("sample: seed", -1) == 2**64 - 1
    (7, True)
    """
    return whole_seed(name, seed) % 2**64


def as_jax_has_them(seeds: Any) -> np.ndarray:
    """Seeds as `jax.random.key` takes them: only their lower 32 bits, where JAX computes in 32 bits."""
    return np.asarray(jnp.asarray(np.asarray(seeds, np.int64)))
