"""Parallel coordinates: every axis of a sweep and its metric side by side, one line per lane."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradtx._report.axes import Axis, short, spans_far, title
from gradtx._report.figures import Figure, Shades, cut, from_one, layout, log_ticks, numbers, text_of

LABELS = 24  # at most so many words of an axis have a tick


def parallel(result: Any, axes: Sequence[Axis]) -> Figure | None:
    """The lanes that did not diverge; None if there are none, or if they differ in nothing."""
    lanes = [n for n in result.order if math.isfinite(result.score[n])][::-1]
    if not lanes or not axes:
        return None
    metric = Axis(result.metric, np.asarray(result.score, np.float64))
    columns = [axis for axis in (*map(from_one, axes), metric) if np.isfinite(axis.values[lanes]).any()]
    line = Shades(result).of(lanes, good_on_top=True)
    dimensions = [_dimension(axis, lanes, axis.log or (axis is metric and spans_far(result.score))) for axis in columns]
    trace = {"type": "parcoords", "line": line, "dimensions": dimensions, "labelfont": {"color": "@ink", "size": 13}}
    trace |= {"tickfont": {"color": "@ink", "size": 11}, "rangefont": {"color": "@page", "size": 1}}
    figure = layout(400, margin={"l": 80, "r": 80, "t": 56, "b": 24})
    return {"data": [trace], "layout": figure, "width": 140 * len(columns)}


def _dimension(axis: Axis, lanes: list[int], far: bool) -> Figure:
    label = text_of(cut(title(axis.name), 20))
    if axis.labels:
        places = np.unique(np.linspace(0, len(axis.labels) - 1, min(LABELS, len(axis.labels))).astype(int)).tolist()
        ticks = {"tickvals": places, "ticktext": [cut(axis.labels[n], 14) for n in places]}
        ends = [-0.25, len(axis.labels) - 0.75]
        return {"label": label, "values": [int(axis.values[n]) for n in lanes], "range": ends, **ticks}
    own = axis.values[lanes]
    values = np.log10(own) if far else own
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = (high - low) or max(abs(low), 1.0)
    low, high = (low, high) if high > low else (low - room / 2, high + room / 2)
    ticks = log_ticks(low, high) if far else linear_ticks(low, high)
    if not np.isfinite(own).all():  # a lane without such a number, below all that have one
        gap = low - 0.12 * room
        ticks = {"tickvals": [*ticks["tickvals"], gap], "ticktext": [*ticks["ticktext"], "none"]}
        values, low = np.where(np.isfinite(values), values, gap), gap
    return {"label": label, "values": numbers(values), "range": [low, high], **ticks}


def linear_ticks(low: float, high: float) -> Figure:
    """Round numbers, five to eight of them.

    >>> linear_ticks(0.5, 0.99)["ticktext"]
    ['0.5', '0.6', '0.7', '0.8', '0.9']
    """
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(k * unit for k in (1, 2, 5, 10) if k * unit >= rough)
    first = math.ceil(low / step - 1e-9)
    places = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    return {"tickvals": places, "ticktext": [short(float(f"{x:.6g}")) for x in places]}
