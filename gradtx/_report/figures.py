"""The figures of the report, as the data and layout that plotly.js draws.

Colours that begin with @ are the page's, light or dark: ``@ink``, ``@faint``, ``@surface``; ``@scale`` and
``@reversed`` for a whole scale of colours, ``@0.25`` for a place on it, ``@c2`` for one of a few distinct colours.
"""

import html
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradtx._report.axes import (
    TRANSFORMATION,
    Axis,
    logarithmic,
    shades_of,
    short,
    smooth,
    spans_far,
    title,
    transformations,
    word_of,
)

Figure = dict[str, Any]
RECORDS = 120  # points of a curve
CURVES = 300  # lanes that are drawn as curves
CLOUD = 800  # lanes in a scatter plot
CELLS = 72  # with no more cells, each shows its number
FEW = 8  # colours that can be told apart
PAIRS = 15
BEST = "<b>best</b><br>"


def text_of(x: Any) -> str:
    """Text escaped, so that plotly shows it as it is."""
    return html.escape(str(x))


def cut(text: str, most: int = 28) -> str:
    """Text cut to what an axis has room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def hover(result: Any, axes: Sequence[Axis]) -> list[str]:
    """The text that each lane shows under the pointer."""
    kinds = transformations(result) if any(axis.name == TRANSFORMATION for axis in axes) else []
    best = int(result.best)
    said = []
    for n, point in enumerate(result.points):
        lines = [f"lane {n}", *([kinds[n]] if kinds else [])]
        lines += [f"{name} = {cut(word_of(x), 60)}" for name, x in point.items()]
        if result.history is not None:
            lines += [f"{axis.name} = {short(float(axis.values[n]))} at the end" for axis in axes if axis.numeric]
        columns = {result.metric: result.score, "final_loss": result.final_loss}
        lines += [f"{title(name)}: {short(float(column[n]))}" for name, column in columns.items()]
        lines += [] if result.status[n] == "finished" else [f"{result.status[n]} after {int(result.steps[n])} steps"]
        said.append((BEST if n == best else "") + "<br>".join(map(text_of, lines)))
    return said


def layout(height: int, **more: Any) -> Figure:
    """A layout with the page's margins."""
    return {"height": height, "margin": {"l": 64, "r": 16, "t": 12, "b": 52}, "showlegend": False, **more}


def scale_of(axis: str, values: np.ndarray, far: bool) -> Figure:
    """The scale of an axis, linear or logarithmic, with its title."""
    ticks = {"type": "log", "exponentformat": "power", "dtick": _every(values)} if far else {}
    return {"title": {"text": text_of(title(axis))}, **ticks}


def _every(values: np.ndarray) -> str | int:
    """Ticks at 1, 2 and 5, or at every so many decades."""
    finite = values[np.isfinite(values)]
    decades = math.log10(finite.max() / finite.min())
    return "D2" if decades < 1.5 else math.ceil(decades / 8)


def _bar(name: str, **more: Any) -> Figure:
    return {
        "title": {"text": text_of(cut(title(name))), "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
        "exponentformat": "power",
        **more,
    }


# Curves ---------------------------------------------------------------------------------------------------------------


def chosen(result: Any, most: int) -> list[int]:
    """The best lane, the worst that is finite, and an even selection between them; in their order."""
    order = result.order
    if len(order) <= most:
        return list(order)
    alive = [n for n in order if np.isfinite(result.score[n])]
    even = [order[n] for n in np.linspace(0, len(order) - 1, most - 1).astype(int)]
    return list(dict.fromkeys([*even, *alive[-1:]]))


def curves(result: Any, axes: Sequence[Axis], said: list[str]) -> Figure:
    """Training loss over steps, one line per lane, coloured by the axis that varies first; the best lane on top."""
    steps, losses = smooth(result.loss, result.record_every, RECORDS)
    losses, positive = logarithmic(losses)
    finite = losses[np.isfinite(losses)]
    axis, best = axes[0] if axes else None, result.order[0]
    colours = _colours(axis, len(losses))
    lanes = chosen(result, CURVES)
    x = [short_number(step) for step in steps]
    traces: list[Figure] = []
    for n in reversed(lanes):
        width = {"width": 3.2, "color": "@ink"} if n == best else {"width": 1.1, "color": colours[n]}
        trace = {
            "type": "scatter",
            "mode": "lines" if np.isfinite(losses[n]).sum() > 1 else "markers",
            "x": x,
            "y": numbers(losses[n]),
        }
        text = said[n].replace("%", "&#37;")
        trace |= {"line": width, "hovertemplate": f"{text}<br>step %{{x}}: %{{y:.4g}}<extra></extra>"}
        trace |= {"showlegend": False}
        traces.append({**trace, "marker": {"color": width["color"]}, "opacity": 1 if n == best else 0.75})
    traces += _legend(axis, f"best (lane {best})" if np.isfinite(result.score[best]) else f"lane {best}")
    figure = layout(460, hovermode="closest", xaxis={"title": {"text": "step"}, "rangemode": "tozero"})
    figure |= {"yaxis": {"title": {"text": "training loss"}}, "showlegend": True}
    figure["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    if positive:
        start = result.loss[:, 0][np.isfinite(result.loss[:, 0])]
        top = 2 * max(float(np.median(start)) if start.size else 0.0, float(finite.min()))
        ends = [math.log10(0.8 * finite.min()), math.log10(top)]
        ticks = {"dtick": "D2"} if ends[1] - ends[0] < 1.5 else {"dtick": max(1, round((ends[1] - ends[0]) / 8))}
        figure["yaxis"] |= {"type": "log", "range": ends, "exponentformat": "power", **ticks}
    return {"data": traces, "layout": figure}


def _colours(axis: Axis | None, lanes: int) -> list[str]:
    if axis is None:
        return ["@0.5"] * lanes
    if axis.labels and len(axis.labels) <= FEW:
        return [f"@c{int(x)}" for x in axis.values]
    values = np.log10(axis.values) if axis.log else axis.values
    low, high = np.nanmin(values), np.nanmax(values)
    return ["@faint" if math.isnan(x) else f"@{(x - low) / (high - low):.3f}" for x in values]


def _legend(axis: Axis | None, name: str) -> list[Figure]:
    """Traces without points: the names of the colours, or their scale."""
    empty = {"type": "scatter", "x": [None], "y": [None], "mode": "lines", "hoverinfo": "skip", "showlegend": True}
    found = [{**empty, "name": name, "line": {"width": 3.2, "color": "@ink"}}]
    if axis is None:
        return found
    if axis.labels and len(axis.labels) <= FEW:
        each = enumerate(axis.labels)
        return found + [{**empty, "name": text_of(cut(w)), "line": {"width": 2, "color": f"@c{n}"}} for n, w in each]
    values = np.log10(axis.values) if axis.log else axis.values
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    bar = _bar(axis.name)
    if axis.labels:
        places = np.unique(np.linspace(low, high, 10).astype(int)).tolist()
        bar |= {"tickvals": places, "ticktext": [text_of(cut(axis.labels[n], 16)) for n in places]}
    elif axis.log:
        bar |= log_ticks(low, high)
    marker = {"color": [low, high], "cmin": low, "cmax": high, "colorscale": "@scale", "showscale": True}
    shown = {**empty, "mode": "markers", "x": [None, None], "y": [None, None], "showlegend": False}
    return [*found, {**shown, "marker": {**marker, "colorbar": bar}}]


def log_ticks(low: float, high: float) -> Figure:
    """Ticks of an axis of decimal logarithms: whole decades, or 1, 2 and 5 where these are few."""
    inside = list(range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))
    places = [float(n) for n in inside[:: max(1, len(inside) // 7)]]
    if len(inside) < 3:
        tens = range(math.floor(low), math.ceil(high) + 1)
        every = [n + math.log10(k) for n in tens for k in (1, 2, 5)]
        places = [x for x in every if low - 1e-9 <= x <= high + 1e-9]
    return {"tickvals": places, "ticktext": [short(float(f"{10**x:.2g}")) for x in places]}


# Pairs of axes --------------------------------------------------------------------------------------------------------


def pairs(result: Any, axes: Sequence[Axis], said: list[str]) -> list[Figure]:
    """The metric over every pair of numeric axes: cells where they make a grid, else a cloud of lanes."""
    return [_pair(result, x, y, said) for x, y in together(axes)[:PAIRS]]


def together(axes: Sequence[Axis]) -> list[tuple[Axis, Axis]]:
    """The pairs of numeric axes of which some lane has both numbers."""
    every = itertools.combinations([axis for axis in axes if axis.numeric], 2)
    return [(x, y) for x, y in every if np.isfinite(x.values + y.values).any()]


def _pair(result: Any, x: Axis, y: Axis, said: list[str]) -> Figure:
    both = np.isfinite(x.values) & np.isfinite(y.values)
    there = set(zip(x.values[both].tolist(), y.values[both].tolist(), strict=True))
    xs, ys = np.unique(x.values[both]), np.unique(y.values[both])
    grid = len(there) == len(xs) * len(ys) and len(there) > 1
    return _cells(result, x, y, xs, ys, said) if grid else _cloud(result, from_one(x), from_one(y), said)


def from_one(axis: Axis) -> Axis:
    """An axis of decays β that crowd below 1 as one of 1 − β; any other axis as it is."""
    lacks = 1 - axis.values
    crowded = axis.numeric and not axis.log and np.nanmin(axis.values) >= 0 and np.nanmax(lacks) <= 1
    other = Axis(f"1 − {axis.name}", lacks)
    return other if crowded and other.log else axis


class Shades:
    """The colours of the metric, brighter where it is better; on a log scale where good and bad are far apart."""

    def __init__(self, result: Any):
        low, high = shades_of(result.score, result.better)
        self.log = low > 0 and high / low > 100
        self.values = np.where(result.score > 0, result.score, np.nan) if self.log else result.score
        self.values = np.log10(self.values) if self.log else self.values
        self.low, self.high = (math.log10(low), math.log10(high)) if self.log else (low, high)
        self.better, self.scale = result.better, "@reversed" if result.better == "lower" else "@scale"
        self.bar = _bar(result.metric, **(log_ticks(self.low, self.high) if self.log else {}))

    def of(self, lanes: Sequence[int], *, good_on_top: bool = False) -> Figure:
        """The colours of lanes, as those of markers or lines; parallel coordinates put large numbers on top."""
        own = np.clip(self.values[list(lanes)], self.low, self.high)
        if good_on_top and self.better == "lower":
            return {"color": numbers(-own), "cmin": -self.high, "cmax": -self.low, "colorscale": "@scale"}
        own = numbers(own)
        return {"color": own, "cmin": self.low, "cmax": self.high, "colorscale": self.scale}

    def bright(self, x: float) -> float:
        """How bright the colour of a value is, 0 to 1."""
        place = min(max((x - self.low) / (self.high - self.low), 0), 1)
        return 1 - place if self.better == "lower" else place


def _cells(result: Any, x: Axis, y: Axis, xs: np.ndarray, ys: np.ndarray, said: list[str]) -> Figure:
    shades = Shades(result)
    z: list[list[Any]] = [[None] * len(xs) for _ in ys]
    text: list[list[str]] = [["no lane here is finite"] * len(xs) for _ in ys]
    notes: dict[tuple[int, int], Figure] = {}
    own = 0
    for n in reversed(result.order):  # the best last, so that a cell shows its best lane
        if math.isnan(x.values[n]) or math.isnan(y.values[n]):
            continue
        own += 1
        row, column = int(np.searchsorted(ys, y.values[n])), int(np.searchsorted(xs, x.values[n]))
        if math.isfinite(result.score[n]):
            shade = float(np.nan_to_num(shades.values[n], nan=shades.low))
            z[row][column], text[row][column] = short_number(shade), said[n]
            notes[row, column] = _note(column, row, float(result.score[n]), shades.bright(shade))
    trace = {"type": "heatmap", "z": z, "text": text, "hovertemplate": "%{text}<extra></extra>", "xgap": 1, "ygap": 1}
    trace |= {"zmin": shades.low, "zmax": shades.high, "colorscale": shades.scale}
    trace |= {"x": list(range(len(xs))), "y": list(range(len(ys))), "colorbar": shades.bar}
    best = result.order[0]
    frame = []
    if math.isfinite(result.score[best]) and not math.isnan(x.values[best] + y.values[best]):
        column, row = int(np.searchsorted(xs, x.values[best])), int(np.searchsorted(ys, y.values[best]))
        corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        frame = [{"type": "rect", **corners, "line": {"width": 3, "color": "@ink"}}]
    figure = layout(380, shapes=frame, plot_bgcolor="@gap")
    for name, axis, values in (("xaxis", x, xs), ("yaxis", y, ys)):
        stride = -(-len(values) // (16 if name == "yaxis" else 9))
        places = np.arange(0, len(values), stride)
        figure[name] = {"title": {"text": text_of(title(axis.name))}, "showgrid": False, "zeroline": False}
        figure[name] |= {"tickvals": places.tolist(), "ticktext": [brief(float(values[n])) for n in places]}
        figure[name] |= {"tickangle": -35 if name == "xaxis" and len(places) > 6 else 0}
    figure["margin"] = {"l": 72, "r": 8, "t": 12, "b": 64}
    best_of = ", the best over all else" if len(xs) * len(ys) < own else ""
    said_too = list(notes.values()) if len(xs) * len(ys) <= CELLS else []
    return {"data": [trace], "layout": {**figure, "annotations": said_too}, "heading": f"{x.name} × {y.name}{best_of}"}


def _note(column: int, row: int, x: float, bright: float) -> Figure:
    """The number in a cell, dark on bright and bright on dark."""
    font = {"size": 10, "color": "#111" if bright > 0.55 else "#fff"}
    text = f"{x:.3g}" if 0.001 <= abs(x) < 1e4 or x == 0 else brief(x)
    return {"x": column, "y": row, "text": text, "showarrow": False, "font": font}


def _cloud(result: Any, x: Axis, y: Axis, said: list[str]) -> Figure:
    both = [n for n in chosen(result, CLOUD) if not math.isnan(x.values[n] + y.values[n])]
    lost = [n for n in both if not math.isfinite(result.score[n])]
    alive = [n for n in both if math.isfinite(result.score[n])][::-1]
    best = [n for n in result.order[:1] if n in alive]
    dots = {"type": "scatter", "mode": "markers", "hovertemplate": "%{text}<extra></extra>"}

    def at(lanes: list[int], **marker: Any) -> Figure:
        places = {"x": numbers(x.values[lanes]), "y": numbers(y.values[lanes]), "text": [said[n] for n in lanes]}
        return {**dots, **places, "marker": marker}

    shades = Shades(result)
    colour = {**shades.of(alive), "showscale": True, "colorbar": shades.bar}
    colour |= {"size": 8, "line": {"width": 0.5, "color": "@surface"}}
    traces = [at(lost, symbol="x-thin", size=7, line={"width": 1.5, "color": "@faint"})] if lost else []
    traces += [at(alive, **colour)] if alive else []
    traces += [at(best, symbol="circle-open", size=15, color="@ink", line={"width": 2.5})] if best else []
    figure = layout(
        380, hovermode="closest", xaxis=scale_of(x.name, x.values, x.log), yaxis=scale_of(y.name, y.values, y.log)
    )
    return {"data": traces, "layout": figure, "heading": f"{x.name} × {y.name}"}


def lines(result: Any, axes: Sequence[Axis], said: list[str]) -> list[Figure]:
    """The metric over the only axis: dots along a numeric axis, or one column of dots per word."""
    if len(axes) != 1:
        return []
    axis = from_one(axes[0])
    lanes = [n for n in chosen(result, CLOUD) if math.isfinite(result.score[n]) and not math.isnan(axis.values[n])]
    if not lanes:
        return []
    xs = numbers(axis.values[lanes]) if axis.numeric else [int(axis.values[n]) for n in lanes]
    marker = {"size": 10, **Shades(result).of(lanes), "line": {"width": 0.5, "color": "@ink"}}
    score = result.score[lanes]
    trace = {"type": "scatter", "mode": "markers", "x": xs, "y": numbers(score), "marker": marker}
    trace |= {"text": [said[n] for n in lanes], "hovertemplate": "%{text}<extra></extra>"}
    x = scale_of(axis.name, axis.values, axis.log) if axis.numeric else {"title": {"text": text_of(title(axis.name))}}
    if axis.labels:
        x |= {"tickvals": list(range(len(axis.labels))), "ticktext": [text_of(cut(word, 20)) for word in axis.labels]}
    figure = layout(380, hovermode="closest", xaxis=x, yaxis=scale_of(result.metric, score, spans_far(score)))
    return [{"data": [trace], "layout": figure, "heading": f"{title(result.metric)} over {title(axis.name)}"}]


# Numbers for JSON -----------------------------------------------------------------------------------------------------


def brief(x: float) -> str:
    """A number for a tick, of three digits."""
    return short(float(f"{x:.3g}"))


def short_number(x: float) -> float | None:
    """A number with no more digits than a picture shows; None where it is not finite."""
    return float(f"{x:.5g}") if math.isfinite(x) else None


def numbers(values: Any) -> list[float | None]:
    """Numbers for a picture."""
    return [short_number(float(x)) for x in values]
