"""Imitated rounding: how far apart runs with it are says how well the numbers of a case are determined.

Every number that a link gives out or keeps is off by some units of rounding, at random (Monte Carlo arithmetic, Parker
1997). So a bound need not be guessed: where a chain takes the sign of what cancels, nothing is promised, and where it
adds two numbers the bound is a few roundings. With the unit 0 the arithmetic is that of float64.
"""

from typing import Any

import numpy as np

DECAYS = frozenset(["decay", "b1", "b2", "momentum", "beta"])


class JITTER:
    """The rounding in force."""

    unit = 0.0
    rng = np.random.default_rng(0)

    @classmethod
    def of(cls, x: Any) -> Any:
        """A number or an array, off by roundings."""
        if not cls.unit or isinstance(x, int | bool | str | tuple) or x is None:
            return x
        return x * (1 + cls.unit * cls.rng.uniform(-1, 1, np.shape(x)))

    @classmethod
    def mixed(cls, decay: Any, average: Any, x: Any) -> Any:
        """βm + (1 − β)x. The form m + (1 − β)(x − m), which does not drift, rounds as m does, however small β is."""
        return decay * average + (1 - decay) * x + (cls.of(average) - average)

    @classmethod
    def number(cls, name: str, x: Any) -> Any:
        """An argument of a call; a decay is kept as two float32, so 1 − β is off by 2⁻⁴⁸ even in float64."""
        lost = 2.0**-48 * cls.rng.choice([-1.0, 1.0]) if cls.unit and name in DECAYS and x else 0.0
        return cls.of(x) + lost if lost else cls.of(x)


def jittered(tree: Any) -> Any:
    """A tree of arrays, off by roundings."""
    if isinstance(tree, dict):
        return {key: jittered(x) for key, x in tree.items()}
    return JITTER.of(tree)
