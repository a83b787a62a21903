"""How selection went in a sweep: which lanes were dropped when, and which lanes the best one descends from."""

import math
from typing import Any

import numpy as np

from gradtx._report.axes import short, spans_far, title
from gradtx._report.numbers import domain, numbers

Rows = list[list[str]]
Figure = dict[str, Any]


def selection(result: Any) -> tuple[Figure, Rows] | None:
    """How many lanes were in training after every step, and what was dropped when; None where none was dropped."""
    dropped = np.array([status == "dropped" for status in result.status])
    if not dropped.any():
        return None
    steps, end = np.asarray(result.steps), int(max(result.steps))
    ends = np.unique(steps[steps < end]).tolist()
    left = [int(np.sum(steps > step)) for step in ends]
    rows = []
    for step in np.unique(steps[dropped]).tolist():
        own = result.score[dropped & (steps == step)]
        finite = own[np.isfinite(own)]
        most = math.nan if not finite.size else finite.min() if result.better == "lower" else finite.max()
        rows.append([f"{step:,}", str(own.size), str(int(np.sum(steps > step))), short(float(most))])
    figure: Figure = {"kind": "steps", "title": "lanes in training", "height": 240, "end": end}
    figure |= {"steps": [0, *ends, end], "line": [len(steps), *left, left[-1]]}
    return figure | {"y": {"low": 0, "high": 1.05 * len(steps), "log": False}}, rows


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
    figures = []
    for name in _moved(result):
        column = history.numbers[name]
        line = history.schedule(best)[name]
        own: Figure = {"kind": "steps", "title": title(name.rpartition(".")[2]), "heading": name, "end": end}
        own |= {"steps": [0, *history.steps.tolist(), end], "line": numbers([*line, line[-1]])}
        own |= {"faint": [numbers([*x, x[-1]]) for x in column.T], "y": domain(column, spans_far(column))}
        figures.append(own)
    return figures


def _moved(result: Any) -> list[str]:
    """The numbers in which lanes differed at some time."""
    columns = result.history.numbers
    return [name for name, x in columns.items() if len(np.unique(x[np.isfinite(x)])) > 1 or spans_far(x)]
