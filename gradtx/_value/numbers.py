"""Numbers, the arguments before the star: which are accepted, and how they are stored and printed."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide
from gradtx._value.marks import Interval


@jax.tree_util.register_static
class Name(str):
    """A name that stands where numbers may stand: structure, without leaves."""

    __slots__ = ()


def as_number(x: Any, interval: Interval | None) -> Any:
    """A number in its stored form: Python and NumPy scalars as floats, arrays in floating point, decays split.

    Raises `TransformationError`: no real number; a concrete number outside the interval.
    """
    decay = interval is not None and interval.split
    if isinstance(x, SplitDecay):
        return x if decay else x.value
    if isinstance(x, bool | np.bool_ | str | bytes) or (not hasattr(x, "dtype") and not isinstance(x, int | float)):
        raise TransformationError(
            f"expected a number, a schedule or a function of the step, found {x!r} ({type(x).__name__})"
        )
    if isinstance(x, int | float | np.generic | np.ndarray):
        _check_kind(np.asarray(x).dtype)
        x = float(x) if np.ndim(x) == 0 else np.array(x, np.float64)  # a copy: a value does not change
        if np.any(np.isnan(x)) or (interval is not None and x not in interval):
            raise TransformationError(f"expected a number{f' in {interval}' if interval else ''}, found {x}")
    else:
        _check_kind(x.dtype)
        x = wide(x) if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    return SplitDecay.of(x) if decay else x


def _check_kind(dtype: Any) -> None:
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        raise TransformationError(f"expected a real number, found dtype {dtype}")


def show(x: Any) -> str:
    """A number as text: a Python number in a form that Python reads back, a long array as its dtype and shape."""
    x = x.exact() if isinstance(x, SplitDecay) else x
    if isinstance(x, Name):
        return repr(str(x))
    if isinstance(x, tuple):
        return f"({', '.join(show(part) for part in x)}{',' if len(x) == 1 else ''})"
    if isinstance(x, float) and not math.isfinite(x):
        return f"float('{x}')"
    if isinstance(x, float):
        return repr(float(x))  # of a NumPy scalar too
    if isinstance(x, Tracer):
        return f"<traced {x.aval.str_short()}>"
    if isinstance(x, jax.Array | np.ndarray):
        many = f"<{x.dtype}[{','.join(str(n) for n in x.shape)}]>"
        return many if np.size(x) > 8 else f"array({np.asarray(x).tolist()}, {x.dtype})"
    return repr(x)
