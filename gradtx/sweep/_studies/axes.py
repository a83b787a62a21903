"""The numbers and words in which the points of a sweep differ, as axes for a decomposition of its variance."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradtx.sweep._studies.ranking import points_of


@dataclass(frozen=True)
class Axis:
    """One name of the points. ``values``: what it can be, numbers in ascending order before words; ``index``: which one
    each point has.
    """  # noqa: D205

    name: str
    values: tuple[Any, ...]
    index: np.ndarray

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(map(_is_number, self.values))


def axes_of(result: Any) -> tuple[list[Axis], list[list[int]]]:
    """The axes in which the points differ, seeds left out, and the lanes of every point."""
    lanes = points_of(result)
    points = [result.points[own[0]] for own in lanes]
    names = dict.fromkeys(name for point in points for name in point)
    if result.population.seeds is not None:
        names.pop("seed", None)
    found = [_axis(name, [point.get(name) for point in points]) for name in names]
    return [axis for axis in found if len(axis.values) > 1], lanes


def _axis(name: str, column: list[Any]) -> Axis:
    distinct = {_key(x): x for x in column}
    order = sorted(distinct, key=lambda key: (not _is_number(distinct[key]), distinct[key] if key[0] else 0, key[1]))
    place = {key: n for n, key in enumerate(order)}
    return Axis(name, tuple(distinct[key] for key in order), np.asarray([place[_key(x)] for x in column]))


def _key(x: Any) -> tuple[bool, Any]:
    return (True, float(x)) if _is_number(x) else (False, repr(x))


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)
