"""Numbers as JSON has them: none that is not finite, and no digit that means nothing."""

import math
from typing import Any

import numpy as np

DIGITS = 9  # enough to tell all float32 apart


def number(x: float) -> float | None:
    """A number with the digits that tell it from its neighbours; None where it is not finite."""
    return float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None


def numbers(values: Any) -> list[float | None]:
    """The same of many."""
    return [number(float(x)) for x in values]


def domain(values: np.ndarray, log: bool) -> dict[str, Any]:
    """Where an axis of these numbers begins and ends, with some room.

    >>> domain(np.array([0.0, 10.0]), False)
    {'low': -0.5, 'high': 10.5, 'log': False}
    """
    finite = values[np.isfinite(values)]
    own = np.log10(finite) if log else finite
    low, high = (float(own.min()), float(own.max())) if own.size else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.5
    low, high = low - room, high + room
    return {"low": number(10.0**low if log else low), "high": number(10.0**high if log else high), "log": log}
