"""What random search draws from. Each is a quantile function, so NumPy, JAX and an outer search can draw from it."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._value.errors import TransformationError, within


@dataclass(frozen=True)
class Distribution:
    """What `sample` draws from: ``quantile(u)`` of a uniform u in [0, 1); ``traced(u)`` is the same for JAX arrays.

    ``low``, ``high``: its bounds, where it has them; ``log``: uniform in the logarithm between them; ``whole``: whole
    numbers; ``values``: those of a `choice`.
    """

    name: str
    quantile: Callable[[float], Any] = field(repr=False)
    traced: Callable[[jax.Array], jax.Array] = field(repr=False)
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    values: tuple[Any, ...] = ()

    def draw(self, rng: np.random.Generator) -> Any:
        """One draw from a NumPy generator."""
        return self.quantile(float(rng.random()))

    def draw_traced(self, key: jax.Array) -> jax.Array:
        """One draw from a JAX key, in float32; under ``jit`` and ``vmap`` too."""
        return self.traced(jax.random.uniform(key))

    def __repr__(self) -> str:
        return self.name


def uniform(low: float, high: float) -> Distribution:
    """Uniform on [low, high).

    >>> uniform(2.0, 4.0).quantile(0.25)
    2.5
    """
    within("uniform", _ordered)(low, high)

    def at(u: Any) -> Any:
        return low + (high - low) * u

    return Distribution(f"uniform({low}, {high})", at, at, low, high)


def log_uniform(low: float, high: float) -> Distribution:
    """Uniform in the logarithm, on [ln low, ln high): every factor of ten is as likely as every other. For rates.

    >>> round(log_uniform(1e-4, 1e-2).quantile(0.5), 10)
    0.001
    """
    within("log_uniform", _ordered)(low, high)
    if low <= 0:
        raise TransformationError(f"log_uniform: expected 0 < low, found {low}")
    start, width = math.log(low), math.log(high) - math.log(low)

    def at(u: float) -> float:
        return min(max(math.exp(start + width * u), low), high)

    def traced(u: jax.Array) -> jax.Array:
        return jnp.clip(jnp.exp(start + width * u), low, high)

    return Distribution(f"log_uniform({low}, {high})", at, traced, low, high, log=True)


def one_minus(distribution: Distribution) -> Distribution:
    """1 − x for x of a distribution. For decays: ``one_minus(log_uniform(0.001, 0.1))`` is between 0.9 and 0.999.

    >>> round(one_minus(log_uniform(0.001, 0.1)).quantile(0.5), 10)
    0.99
    """
    if distribution.values or distribution.low is None or distribution.high is None:
        raise TransformationError(f"one_minus: expected a distribution of numbers with bounds, found {distribution}")
    return Distribution(
        f"one_minus({distribution})",
        lambda u: 1 - distribution.quantile(u),
        lambda u: 1 - distribution.traced(u),
        1 - distribution.high,
        1 - distribution.low,
    )


def normal(mean: float, std: float) -> Distribution:
    """Normal with a mean and a standard deviation.

    >>> normal(1.0, 2.0).quantile(0.5)
    1.0
    """
    if not std > 0:
        raise TransformationError(f"normal: expected a standard deviation above 0, found {std}")
    tiny = float(np.finfo(np.float32).tiny)
    curve = statistics.NormalDist(mean, std)
    return Distribution(
        f"normal({mean}, {std})",
        lambda u: curve.inv_cdf(max(u, tiny)),
        lambda u: mean + std * jax.scipy.special.ndtri(jnp.maximum(u, tiny)),
    )


def integers(low: int, high: int) -> Distribution:
    """A whole number of low, low + 1, ..., high, each as likely as the others.

    >>> integers(1, 6).quantile(0.99)
    6
    """
    within("integers", _ordered)(low, high)
    if int(low) != low or int(high) != high:
        raise TransformationError(f"integers: expected whole numbers, found {low} and {high}")
    many = int(high) - int(low) + 1
    return Distribution(
        f"integers({low}, {high})",
        lambda u: int(low) + min(int(many * u), many - 1),
        lambda u: low + jnp.minimum(jnp.floor(many * u), many - 1),
        low,
        high,
        whole=True,
    )


def choice(values: Sequence[Any]) -> Distribution:
    """One of the values, each as likely as the others.

    >>> choice(["relu", "gelu"]).quantile(0.7)
    'gelu'
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TransformationError(f"choice: expected a list of values, found {values!r}")
    values = tuple(values)
    if not values:
        raise TransformationError("choice: expected at least one value, found none")

    def traced(u: jax.Array) -> jax.Array:
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
            raise TransformationError(f"{list(values)} are not all numbers: they cannot be drawn in a compiled program")
        return jnp.asarray(values, float)[jnp.floor(len(values) * u).astype(int)]

    return Distribution(
        f"choice({list(values)})", lambda u: values[min(int(len(values) * u), len(values) - 1)], traced, values=values
    )


def _ordered(low: float, high: float) -> None:
    for x in (low, high):
        if not isinstance(x, int | float | np.number) or isinstance(x, bool):
            raise TransformationError(f"expected two numbers, found {low!r} and {high!r}")
    if not low <= high:
        raise TransformationError(f"expected low ≤ high, found {low} and {high}")
