"""A row of the table: a published number, how it is computed here, and whether the two agree."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import jax
import numpy as np

ROUNDING = 1e-6  # of half a unit: what lies on the edge between two roundings is either


@dataclass(frozen=True)
class Row:
    """One or several numbers that a source prints, and the computation.

    ``published`` has the digits as they are printed, numbers apart by spaces. They agree if ``ours`` rounds to each of
    them. ``decimals`` is how many digits behind the point were printed where trailing zeros were dropped, as NumPy
    does. ``truncated`` says that the source cuts digits off: then a whole unit of the last one is allowed. ``within``
    is for sources that print more digits than arithmetic keeps, or a limit that is only approached: the difference that
    is allowed, relative to numbers above 1. ``reason`` says why a number does not come out.
    """

    setting: str
    published: str
    ours: Callable[[], Any]
    decimals: int | None = None
    truncated: bool = False
    within: float | None = None
    reason: str = ""

    def numbers(self) -> np.ndarray:
        """The published numbers."""
        return np.array([float(word) for word in self.published.split()])

    def allowed(self) -> np.ndarray:
        """How far each number may be from the published one."""
        if self.within is not None:
            return self.within * np.maximum(1.0, np.abs(self.numbers()))
        units = [unit(word, self.decimals) for word in self.published.split()]
        return np.array(units) * (1.0 if self.truncated else 0.5) * (1 + ROUNDING)

    def outcome(self) -> "Outcome":
        """Compute it, in float64 on the CPU."""
        with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
            found = np.asarray(self.ours(), float).ravel()
        published = self.numbers()
        if found.shape != published.shape:
            raise ValueError(f"{self.setting}: expected {len(published)} numbers, found {len(found)}")
        return Outcome(self, found, np.abs(found - published))


@dataclass(frozen=True)
class Outcome:
    """What a row came to: our numbers, and how far each is from the published one."""

    row: Row
    ours: np.ndarray
    differences: np.ndarray

    @property
    def agrees(self) -> bool:
        """Whether all numbers agree to the published digits; a NaN does not."""
        return bool(np.all(self.differences <= self.row.allowed()))

    @property
    def verdict(self) -> str:
        """In a word, or with what is allowed where that is not half a unit of the last digit."""
        if not self.agrees:
            return "differs"
        if self.row.within is not None:
            return f"agrees to {self.row.within:g}"
        return "agrees, cut off" if self.row.truncated else "agrees"

    @property
    def farthest(self) -> int:
        """Which number is farthest from what is allowed."""
        return int(np.argmax(np.nan_to_num(self.differences, nan=np.inf) / self.row.allowed()))


@dataclass(frozen=True)
class Source:
    """Who published the rows: a short ``name`` to ask for, the ``title``, and ``where`` it can be read."""

    name: str
    title: str
    where: str
    rows: tuple[Row, ...]


def unit(word: str, decimals: int | None = None) -> float:
    """The worth of the last digit of a number as printed.

    >>> unit("0.250"), unit("5.26e3"), unit("34"), unit("1.4", decimals=8)
    (0.001, 10.0, 1.0, 1e-08)
    """
    exponent = Decimal(word).as_tuple().exponent
    return float(Decimal(1).scaleb(int(exponent) if decimals is None else -decimals))
