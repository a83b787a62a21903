"""Values with Python numbers, as a person would have written them."""

import math
from typing import Any, TypeVar

import jax
import numpy as np

from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError
from gradtx._value.value import Value

ROUNDING = 2.0**-49  # the error of a decay that is kept as two float32
V = TypeVar("V", bound=Value)


def plain(value: V) -> V:
    """The same value with Python numbers, each the shortest that rounds to what it was.

    >>> from gradtx import adam
    >>> plain(adam(jax.numpy.float32(0.00398)))
    adam(learning_rate=0.00398, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0)
    """
    changes = {name: new for name, part in value.parts() if (new := _plain_part(part)) is not None}
    try:
        return value.replace(changes) if changes else value
    except TransformationError:  # what cannot be exchanged stays as it prints
        return value


def _plain_part(part: Any) -> Any:
    """A part with Python numbers; None where it is to stay."""
    if isinstance(part, Value):
        return plain(part)
    if isinstance(part, SplitDecay):
        exact = part.exact()
        return None if np.ndim(exact) else shortest(float(exact), ROUNDING)
    if isinstance(part, np.ndarray | np.generic | jax.Array | float) and np.ndim(part) == 0:
        single = not isinstance(part, float) and np.dtype(part.dtype).itemsize <= 4
        return shortest(float(part)) if single or isinstance(part, float) else float(part)
    return None


def shortest(x: float, error: float | None = None) -> float:
    """The number with the fewest digits that will do: the same in float32, or no further off than ``error``.

    >>> shortest(0.003980000037699938)
    0.00398
    """
    if not math.isfinite(x):
        return x
    for digits in range(1, 18):
        near = float(f"{x:.{digits}g}")
        if near == x or (np.float32(near) == np.float32(x) if error is None else abs(near - x) <= error):
            return near
    return x
