"""What the page knows of a sweep: its lanes, its axes, and which figures are drawn of them."""

import itertools
import math
from typing import Any

import numpy as np

from gradtx._report.axes import (
    TRANSFORMATION,
    Axis,
    axes_of,
    from_one,
    logarithmic,
    says_which,
    shades_of,
    spans_far,
    title,
    top_of,
    transformations,
    word_of,
)
from gradtx._report.numbers import domain, number, numbers

PAIRS = 15
Figure = dict[str, Any]


def contents(result: Any) -> dict[str, Any]:
    """All that the page draws, apart from its figures; whatever belongs to a lane stands at the lane's number."""
    low, high = shades_of(result.score, result.better)
    finite = result.score[np.isfinite(result.score)]
    return {
        "metric": title(result.metric),
        "better": result.better,
        "best": int(result.order[0]),
        "order": result.order,
        "score": numbers(result.score),
        "lost": [not math.isfinite(x) for x in result.final_loss],
        "shades": {
            "low": number(low),
            "high": number(high),
            "log": bool(low > 0 and high / low > 100 and finite.min() > 0),
        },
        "far": spans_far(result.score),
        "columns": columns(result),
        "axes": [_axis(axis) for axis in map(from_one, axes_of(result))],
    }


def _axis(axis: Axis) -> dict[str, Any]:
    if axis.labels:
        return {"title": title(axis.name), "values": [int(x) for x in axis.values], "labels": list(axis.labels)}
    return {"title": title(axis.name), "values": numbers(axis.values), "log": axis.log}


# The table of lanes ---------------------------------------------------------------------------------------------------


def columns(result: Any) -> list[dict[str, Any]]:
    """The columns of the table of lanes: numbers and words, and which of them is the metric."""
    rows = result.table()
    if says_which(result):
        kinds = transformations(result)
        rows = [{"lane": row["lane"], TRANSFORMATION: kinds[row["lane"]], **row} for row in rows]
    by_lane = sorted(rows, key=lambda row: row["lane"])
    found = []
    for name in rows[0]:
        values = [row.get(name) for row in by_lane]
        own = {"name": name, "title": title(name), "values": [_entry(x) for x in values]}
        own |= {"exact": True} if all(isinstance(x, int) for x in values) else {}
        found.append(own | ({"metric": True} if name == result.metric else {}))
    return found


def _entry(x: Any) -> Any:
    """What a cell holds: a number, or a word; None for a number that is not finite."""
    if isinstance(x, float):
        return number(x)
    if isinstance(x, int) and not isinstance(x, bool):
        return x
    return "–" if x is None else word_of(x)


# Figures --------------------------------------------------------------------------------------------------------------


def curve_figure(name: str, place: str, steps: np.ndarray, losses: np.ndarray, end: int) -> Figure:
    """Curves of all lanes: on a log scale where none is below zero, from 0 where some loss is exactly 0."""
    _, floor = logarithmic(losses)
    found: Figure = {"kind": "curves", "title": name, "id": place, "steps": numbers(steps), "end": end}
    if floor is None:
        return found | {"y": domain(losses, False)}
    y = {"low": floor, "high": top_of(losses, floor), "log": True, "zero": bool(np.any(losses == 0))}
    return found | {"y": y}


def maps(axes: list[Axis]) -> tuple[list[Figure], int]:
    """The metric over every pair of numeric axes, or along the only axis; and how many pairs there are."""
    numeric = [n for n, axis in enumerate(axes) if axis.numeric]
    every = [(a, b) for a, b in itertools.combinations(numeric, 2) if _both(axes[a], axes[b]).any()]
    if not every and len(axes) == 1:
        return [{"kind": "cloud", "x": 0, "heading": ""}], 0
    return [_pair(axes, a, b) for a, b in every[:PAIRS]], len(every)


def _both(x: Axis, y: Axis) -> np.ndarray:
    return np.isfinite(x.values) & np.isfinite(y.values)


def _pair(axes: list[Axis], a: int, b: int) -> Figure:
    """Cells where the lanes make a grid, else a cloud of lanes."""
    x, y = axes[a], axes[b]
    both = _both(x, y)
    there = set(zip(x.values[both].tolist(), y.values[both].tolist(), strict=True))
    full = len(np.unique(x.values[both])) * len(np.unique(y.values[both]))
    grid = len(there) == full > 1
    over = ", the best over all else" if grid and full < both.sum() else ""
    return {"kind": "cells" if grid else "cloud", "x": a, "y": b, "heading": f"{title(x.name)} × {title(y.name)}{over}"}
