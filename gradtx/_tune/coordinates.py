"""The space in which numbers are tuned: logarithms of numbers that keep their sign, logits of those in an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradtx._value.errors import TransformationError
from gradtx._value.marks import Interval

NEAREST = 1e-6  # how near a number in an open interval comes to its ends


@dataclass(frozen=True)
class Coordinate:
    """One number as a coordinate z without bounds: x = ±eᶻ, or low + (high − low)/(1 + e⁻ᶻ) between two bounds.

    ``least`` and ``most`` are bounds that are kept by stopping at them.
    """

    name: str
    sign: float = 1.0
    low: float | None = None
    high: float | None = None
    least: float = -math.inf
    most: float = math.inf

    def of(self, x: float) -> float:
        """The coordinate of a number.

        >>> Coordinate("b1", low=0.0, high=1.0).of(0.5), Coordinate("rate").of(1.0)
        (0.0, 0.0)
        """
        if self.low is None or self.high is None:
            return math.log(self.sign * x)
        share = (x - self.low) / (self.high - self.low)
        share = min(max(share, NEAREST), 1 - NEAREST)
        return math.log(share / (1 - share))

    def at(self, z: float) -> float:
        """The number at a coordinate, inside its bounds."""
        if self.low is None or self.high is None:
            x = self.sign * math.exp(min(z, 700.0))
        else:
            share = 1 / (1 + math.exp(-min(max(z, -700.0), 700.0)))
            x = self.low + (self.high - self.low) * min(max(share, NEAREST), 1 - NEAREST)
        return min(max(x, self.least), self.most)

    def slope(self, x: float) -> float:
        """The derivative dx/dz at a number: x itself, or (x − low)(high − x)/(high − low)."""
        if self.low is None or self.high is None:
            return x
        return (x - self.low) * (self.high - x) / (self.high - self.low)


def coordinate(name: str, x: float, interval: Interval | None, bounds: Sequence[Any] | None) -> Coordinate:
    """The coordinate for a number that starts at ``x``. Raises `TransformationError` where it could not move."""
    least, most = -math.inf, math.inf
    if bounds is not None:
        least, most = _pair(name, bounds)
        if not least <= x <= most:
            raise TransformationError(f"tune.tune: bounds: {name} starts at {x:g}, outside of [{least:g}, {most:g}]")
    if interval is not None and math.isfinite(interval.high):
        return Coordinate(name, low=interval.low, high=interval.high, least=least, most=most)
    if x == 0 or not math.isfinite(x):
        raise TransformationError(
            f"tune.tune: {name} is {x:g}, which has no logarithm to move in: start from another value, or leave it out"
        )
    return Coordinate(name, sign=math.copysign(1.0, x), least=least, most=most)


def _pair(name: str, bounds: Any) -> tuple[float, float]:
    try:
        low, high = (float(x) for x in bounds)
    except (TypeError, ValueError):
        raise TransformationError(f"tune.tune: bounds: {name}: expected (low, high), found {bounds!r}") from None
    if not low < high:
        raise TransformationError(f"tune.tune: bounds: {name}: expected low < high, found ({low:g}, {high:g})")
    return low, high
