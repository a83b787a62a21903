"""Marks on the parameters of a factory: what may be given for each, and how it is kept."""

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """The range of a number; checked if it is a concrete Python or NumPy number.

    ``split``: it is stored as two numbers (see `gradtx._value.decay`). ``whole``: it must be one of 0, 1, 2 ...
    """

    low: float
    high: float
    closed: bool
    split: bool = False
    whole: bool = False

    def __contains__(self, x: Any) -> bool:
        values = np.asarray(x, np.float64)
        inside = (values >= self.low) & ((values <= self.high) if self.closed else (values < self.high))
        return bool(np.all(inside & (values == np.floor(values)) if self.whole else inside))

    @property
    def top(self) -> float:
        """The largest number that is inside."""
        return self.high if self.closed else math.nextafter(self.high, -math.inf)

    def __str__(self) -> str:
        if self.whole:
            return f"{self.low:.0f}, {self.low + 1:.0f} ... {self.high:.0f}"
        return f"[{self.low:g}, {self.high:g}{']' if self.closed else ')'}"


class Kept(NamedTuple):
    """Marks a parameter before the star that is no number: structure, a schedule kept whole, a link, a group.

    ``adapt`` makes a transformation of what is given for one in a group, and of numbers those to be kept: for example
    the name of some numbers (`gradtx._value.numbers.Name`), or the entries of an array.
    """

    kind: str
    adapt: Callable[[Any], Any] | None = None


INTERVAL_OF_DECAYS = Interval(0.0, 1.0, closed=False, split=True)


Decay = Annotated[Any, INTERVAL_OF_DECAYS]
"""A decay in [0, 1), stored with more precision than float32 (see `gradtx.transformation`)."""


Share = Annotated[Any, Interval(0.0, 1.0, closed=True, split=True)]
"""A number in [0, 1], stored like a decay: what is kept of a sum, of which 1 keeps everything."""


NonNegative = Annotated[Any, Interval(0.0, math.inf, closed=False)]
"""A finite number ≥ 0, such as a learning rate."""


Limit = Annotated[Any, Interval(0.0, math.inf, closed=True)]
"""A number ≥ 0 that may be infinite, such as a norm to clip to."""


Seed = Annotated[Any, Interval(0.0, 2.0**24, closed=True, whole=True)]
"""The seed of random draws: a whole number from 0 to 2²⁴, which float32 holds exactly, so that it can be swept."""


Static = Annotated[Any, Kept("structure")]
"""Structure that stands before the star: a mask, a label tree, a function that joins."""


Numbers = Annotated[Any, Kept("numbers")]
"""A number, or a tuple of numbers, however deep."""


Decays = Annotated[Any, Kept("numbers"), INTERVAL_OF_DECAYS]
"""A decay, or a tuple of them."""


Dtype = Annotated[Any, Kept("dtype")]
"""A floating-point dtype or its name, or None."""


OfStep = Annotated[Any, Kept("whole")]
"""A schedule that the function gets as it is, not as its value at the step."""


Link = Annotated[Any, Kept("link")]
"""A transformation."""


Group = Annotated[Any, Kept("group")]
"""A mapping from names to transformations."""
