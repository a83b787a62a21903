"""How selection went in a sweep: which lanes were dropped when, and which lanes the best one descends from."""

import math
from typing import Any

import numpy as np

from gradtx._report.axes import short, spans_far, title
from gradtx._report.figures import CURVES, Figure, chosen, layout, numbers, scale_of, text_of

Rows = list[list[str]]


def selection(result: Any) -> tuple[Figure, Rows] | None:
    """How many lanes were in training after every step, and what was dropped when; None where none was dropped."""
    dropped = np.array([status == "dropped" for status in result.status])
    if not dropped.any():
        return None
    steps, end = np.asarray(result.steps), int(max(result.steps))
    ends = np.unique(steps[steps < end]).tolist()
    left = [int(np.sum(steps > step)) for step in ends]
    x, y = [0, *ends, end], [len(steps), *left, left[-1]]
    trace = {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": {"shape": "hv", "width": 2.5, "color": "@c0"}}
    trace |= {"hovertemplate": "step %{x}: %{y} lanes<extra></extra>", "fill": "tozeroy", "fillcolor": "@soft"}
    yaxis = {"title": {"text": "lanes in training"}, "rangemode": "tozero"}
    rows = []
    for step in np.unique(steps[dropped]).tolist():
        own = result.score[dropped & (steps == step)]
        finite = own[np.isfinite(own)]
        most = finite.min() if result.better == "lower" else finite.max() if finite.size else math.nan
        rows.append([f"{step:,}", str(own.size), str(int(np.sum(steps > step))), short(float(most))])
    return {"data": [trace], "layout": layout(260, xaxis={"title": {"text": "step"}}, yaxis=yaxis)}, rows


def lineage(result: Any) -> tuple[list[str], Rows]:
    """The lineage of the best lane as a table: from which step on it was which lane, with which numbers."""
    history, best = result.history, int(result.best)
    names = _moved(result)
    schedule, line = history.schedule(best), history.lineage(best)
    begins = [0, *history.steps.tolist()]
    rows: Rows = []
    for n, (lane, begin) in enumerate(zip(line, begins, strict=True)):
        own = [str(lane), *(short(float(schedule[name][n])) for name in names)]
        if rows and rows[-1][1:] == own:
            continue
        rows.append([f"{begin:,}", *own])
    return ["from step", "lane", *names], rows


def numbers_over_time(result: Any) -> list[Figure]:
    """A figure for every number that evolved: all lanes over the steps, and on top the lineage of the best."""
    history, best = result.history, int(result.best)
    end = int(max(result.steps))
    steps = [0, *history.steps.tolist(), end]
    schedule = history.schedule(best)
    figures = []
    for name in _moved(result):
        column = history.numbers[name]
        x: list[Any] = []
        y: list[Any] = []
        for n in chosen(result, CURVES):  # one trace for all, with gaps
            x += [*steps, None]
            y += [*numbers([*column[:, n], column[-1, n]]), None]
        faint = {"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "opacity": 0.55}
        faint |= {"line": {"shape": "hv", "width": 1, "color": "@faint"}}
        own = [*schedule[name], schedule[name][-1]]
        line = {"type": "scatter", "mode": "lines", "x": steps, "y": numbers(own)}
        line |= {"line": {"shape": "hv", "width": 3.2, "color": "@c0"}}
        line |= {"hovertemplate": "from step %{x}: %{y:.4g}<extra></extra>"}
        figure = layout(300, xaxis={"title": {"text": "step"}}, yaxis=scale_of(name, column, spans_far(column)))
        figure["yaxis"]["title"] = {"text": text_of(title(name.rpartition(".")[2]))}
        figures.append({"data": [faint, line], "layout": figure, "heading": name})
    return figures


def _moved(result: Any) -> list[str]:
    """The numbers in which lanes differed at some time."""
    columns = result.history.numbers
    return [name for name, x in columns.items() if len(np.unique(x[np.isfinite(x)])) > 1 or spans_far(x)]
