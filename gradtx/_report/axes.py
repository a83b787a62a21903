"""The points of a sweep as the axes of a picture: what varies, as numbers or words, on a linear or log scale."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SPAN = 30.0  # an axis whose largest value is more than so many times its smallest is logarithmic
TRANSFORMATION = "transformation"
MISSING = object()


@dataclass(frozen=True)
class Axis:
    """What lanes differ in. ``values``: one float per lane, NaN where it has no number of this name.

    ``labels``: the words, if the lanes differ in words; ``values`` are then indices into them.
    """

    name: str
    values: np.ndarray
    labels: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers, and not words."""
        return not self.labels

    @property
    def log(self) -> bool:
        """Whether it is to be drawn on a log scale."""
        if not self.numeric or not spans_far(self.values):
            return False
        ends = np.unique(self.values[np.isfinite(self.values)])
        low, high = np.quantile(ends, 0.1, method="lower"), np.quantile(ends, 0.9, method="higher")
        return bool(high / low > SPAN)  # a few small values do not count: uniform draws have them too


def axes_of(result: Any) -> list[Axis]:
    """The axes in which the lanes of a sweep differ, in the order of the points; seeds only if there is nothing else.

    If lanes come from several factories, the first axis says which. A population that evolved has its final numbers.
    """
    if result.history is not None:
        ended = {name: rows[-1].tolist() for name, rows in result.history.numbers.items()}
        return [axis for name, column in ended.items() if (axis := _axis(name, _numbers_in(column))) is not None]
    names = dict.fromkeys(name for point in result.points for name in point)
    columns = {name: [point.get(name, MISSING) for point in result.points] for name in names}
    seeds = columns.pop("seed", None) if result.population.seeds is not None else None
    found = [_counted(TRANSFORMATION, transformations(result))] if says_which(result) else []
    found += [axis for name, column in columns.items() if (axis := _axis(name, column)) is not None]
    if not found and seeds is not None and len(set(seeds)) > 1:
        return [_counted("seed", [str(seed) for seed in seeds])]
    return found


def transformations(result: Any) -> list[str]:
    """The name of the factory of every lane; for a chain, the names of its links."""
    words = [""] * len(result.points)
    for group in result.population.groups:
        tx = group.tx
        if tx is None:
            continue
        word = " → ".join(name for name, _ in tx.parts()) if tx.call.associative else tx.link_name
        for lane in group.lanes:
            words[lane] = word
    return words


def says_which(result: Any) -> bool:
    """Whether the lanes come from several factories, and no column of words tells these apart already."""
    kinds = transformations(result)
    if len(set(kinds)) < 2:
        return False
    columns = [[point.get(name) for point in result.points] for name in result.points[0]]
    spoken = [column for column in columns if all(isinstance(x, str) for x in column)]
    return not any(len(set(zip(column, kinds, strict=True))) == len(set(column)) for column in spoken)


def grid_axes(axes: Sequence[Axis], lanes: int) -> tuple[Axis, Axis] | None:
    """The two axes of a full grid of numbers with one lane per cell, or None where the lanes are something else."""
    if len(axes) != 2 or not all(axis.numeric and np.isfinite(axis.values).all() for axis in axes):
        return None
    x, y = axes
    cells = set(zip(x.values.tolist(), y.values.tolist(), strict=True))
    full = len(np.unique(x.values)) * len(np.unique(y.values))
    return (x, y) if len(cells) == full == lanes else None


def _axis(name: str, column: list[Any]) -> Axis | None:
    """A column as an axis, or None if it is the same for all lanes."""
    numbers = {float(x) for x in column if _is_number(x)}
    if len(numbers) > 1 and all(_is_number(x) or x is None or x is MISSING for x in column):
        return Axis(name, np.array([float(x) if _is_number(x) else math.nan for x in column]))
    words = _distinct(column)
    return _counted(name, words) if len(set(words)) > 1 else None


def _numbers_in(column: list[float]) -> list[Any]:
    return [MISSING if math.isnan(x) else x for x in column]


def _counted(name: str, words: Sequence[str]) -> Axis:
    place = {word: n for n, word in enumerate(dict.fromkeys(words))}
    return Axis(name, np.array([float(place[word]) for word in words]), tuple(place))


def _distinct(column: list[Any]) -> list[str]:
    """Words for the values of a column; two functions of one name are told apart."""
    known: dict[Any, str] = {}
    taken: dict[str, int] = {}
    for x in column:
        if (key := _key(x)) not in known:
            word = word_of(x)
            taken[word] = taken.get(word, 0) + 1
            known[key] = word if taken[word] == 1 else f"{word} ({taken[word]})"
    return [known[_key(x)] for x in column]


def _key(x: Any) -> Any:
    return id(x) if callable(x) and hasattr(x, "__name__") else (type(x).__name__, repr(x))


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


# Numbers and words ----------------------------------------------------------------------------------------------------


def spans_far(values: np.ndarray) -> bool:
    """Whether numbers are all positive and far apart."""
    finite = values[np.isfinite(values)].astype(np.float64)
    return finite.size > 0 and bool(finite.min() > 0) and bool(finite.max() > SPAN * finite.min())


def word_of(x: Any) -> str:
    """A value in a word: a number short, a function by its name."""
    if x is MISSING:
        return "–"
    if _is_number(x):
        return short(float(x))
    return x if isinstance(x, str) else str(getattr(x, "__name__", x))


def short(value: float) -> str:
    """A number to read: four digits, with an exponent where it is far from 1.

    >>> short(0.9), short(0.00163), short(20000.0), short(1.25e-5), short(float("nan"))
    ('0.9', '0.00163', '20000', '1.25e-5', 'nan')
    """
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return str(int(value))
    digits, e, exponent = f"{value:.4g}".partition("e")
    return f"{digits}e{int(exponent)}" if e else digits


def from_one(axis: Axis) -> Axis:
    """An axis of decays β that crowd below 1 as one of 1 − β; any other axis as it is."""
    if not axis.numeric or axis.log:
        return axis
    lacks = 1 - axis.values
    other = Axis(f"1 − {axis.name}", lacks)
    return other if np.nanmin(axis.values) >= 0 and np.nanmax(lacks) <= 1 and other.log else axis


def title(name: str) -> str:
    """A name of the table as a title."""
    return name.replace("_", " ").replace("held out", "held-out")


def words(point: dict[str, Any], most: int = 4) -> str:
    """A point in words: the first few names with their values."""
    return ", ".join(f"{name} = {word_of(x)}" for name, x in list(point.items())[:most])


# Losses and scores ----------------------------------------------------------------------------------------------------


def smooth(loss: np.ndarray, record_every: int, points: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """The middle steps of equal parts of the run, and the means of the finite losses in each part."""
    parts = np.array_split(np.arange(loss.shape[1]), min(points, loss.shape[1]))
    steps = np.array([(part[0] + part[-1] + 1) / 2 for part in parts]) * record_every
    finite = np.where(np.isfinite(loss), loss, np.nan).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN for a part in which the lane had stopped
        return steps, np.stack([np.nanmean(finite[:, part], axis=1) for part in parts], axis=1)


def shades_of(score: np.ndarray, better: str) -> tuple[float, float]:
    """The scores between which colours vary: the worst tenth shares one colour, so as not to squeeze the others."""
    finite = score[np.isfinite(score)]
    if not finite.size:
        return 0.0, 1.0
    bad, good = np.quantile(finite, [0.9, 0.0] if better == "lower" else [0.1, 1.0])
    low, high = float(min(bad, good)), float(max(bad, good))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def logarithmic(losses: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Losses for a log scale, and where it ends below; None where none is possible: some are negative, or all zero.

    A loss of exactly 0 stands at that end, a decade below all others.

    >>> logarithmic(np.array([[1.0, 0.02, 0.0]]))
    (array([[1.   , 0.02 , 0.001]]), 0.001)
    """
    finite = losses[np.isfinite(losses)]
    if not finite.size or finite.min() < 0 or finite.max() <= 0:
        return losses, None
    least = float(finite[finite > 0].min())
    if finite.min() > 0:
        return losses, 0.7 * least
    floor = 10.0 ** (math.floor(math.log10(least)) - 1)
    return np.where(losses == 0, floor, losses), floor


def top_of(losses: np.ndarray, floor: float) -> float:
    """Where a log scale of losses ends above: twice the middle of the first losses, whatever blows up later."""
    start = losses[:, 0][np.isfinite(losses[:, 0])]
    finite = losses[np.isfinite(losses)]
    return 2 * max(float(np.median(start)) if start.size else 0.0, float(finite[finite > 0].min()), floor)
