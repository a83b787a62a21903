"""The report of a sweep: a page of HTML that needs nothing but itself (plotly, imported when used)."""

import html
import json
import math
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from gradtx._report import course, figures
from gradtx._report.axes import TRANSFORMATION, Axis, axes_of, short, title, transformations, word_of, words
from gradtx._report.code import as_code
from gradtx._report.parallel import parallel


def write(result: Any, file: str | Path) -> Path:
    """Write the report of a sweep; return where it is.

    The page holds its script and all of its numbers, so it can be sent to somebody, and opens without a network.
    Raises `ImportError`: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ImportError("the report needs plotly: pip install 'gradtx[report]' (or report=False)") from None
    file = Path(file)
    page = Template((files("gradtx._report") / "page.html").read_text(encoding="utf-8"))
    body, drawn = _sections(result)
    text = page.substitute(
        heading=_text(_heading(result)),
        tiles=_tiles(result),
        best="The best configuration" if math.isfinite(result.score[result.order[0]]) else "The first of the lanes",
        code=_text(as_code(result)),
        sections=body,
        figures=_json(drawn),
        table=_json(table(result)),
        plotly=get_plotlyjs(),
    )
    file.write_text(text, encoding="utf-8")
    return file


# The head -------------------------------------------------------------------------------------------------------------


def _heading(result: Any) -> str:
    kinds = list(dict.fromkeys(transformations(result)))
    lanes = len(result.points)
    what = ", ".join(kinds[:4]) + (" …" if len(kinds) > 4 else "")
    return f"{_many(lanes, 'lane')} of {what}"


def _tiles(result: Any) -> str:
    """The headline: what was spent, and what came of it."""
    best, lanes, steps = result.order[0], len(result.points), int(max(result.steps))
    alive = math.isfinite(result.score[best])
    share = result.steps_spent / max(lanes * steps, 1)
    saved = "no lane stopped early" if share >= 1 else f"{100 * share:.3g} % of {lanes * steps:,}, had no lane stopped"
    even = len(set(result.steps.tolist())) == 1
    ranked = f"{result.better} is better, lane {best}" if alive else "no lane is finite"
    found = [
        (f"best {title(result.metric)}", short(float(result.score[best])) if alive else "none", ranked),
        ("lanes", f"{lanes:,}", f"{_many(steps, 'step')} each" if even else f"up to {_many(steps, 'step')}"),
        ("steps spent", f"{result.steps_spent:,}", saved),
    ]
    for status in ("diverged", "dropped", "stalled"):
        count = result.status.count(status)
        if count or status == "diverged":
            found.append((status, f"{count:,}", f"{100 * count / lanes:.3g} % of the lanes"))
    tile = '<div class="tile"><div class="name">{}</div><div class="value">{}</div><div class="more">{}</div></div>'
    return "\n".join(tile.format(*map(_text, each)) for each in found)


# Sections -------------------------------------------------------------------------------------------------------------


def _sections(result: Any) -> tuple[str, list[dict[str, Any]]]:
    """The pictures and tables between the head and the table of lanes, and the figures in them."""
    axes = axes_of(result)
    said = figures.hover(result, axes)
    drawn: list[dict[str, Any]] = []
    parts = [_section("Training", _curves_note(result, axes), _place(drawn, figures.curves(result, axes, said)))]
    parts += _selection(result, drawn) + _evolution(result, drawn)
    parts += _maps(result, axes, said, drawn)
    picture = parallel(result, axes)
    if picture is not None:
        note = "A line a lane. Drag along an axis to keep the lanes that pass there, drag a name to move its axis."
        lost = int(np.sum(~np.isfinite(result.score)))
        note += f" {_many(lost, 'lane')} without a finite {title(result.metric)} left out." if lost else ""
        parts.append(_section("Parallel coordinates", note, _place(drawn, picture)))
    if len(result.points) > 1 and result.population.seeds is not None:
        parts.append(_section("Over seeds", "Mean and its 95 % interval, the best first.", _seeds(result)))
    return "\n".join(parts), drawn


def _curves_note(result: Any, axes: list[Axis]) -> str:
    lanes, shown = len(result.points), len(figures.chosen(result, figures.CURVES))
    coloured = f" Coloured by {title(axes[0].name)}." if axes else ""
    if result.history is not None and axes:
        coloured = f" Coloured by {axes[0].name} at the end."
    few = "" if shown == lanes else f" {shown} of {lanes:,} lanes: the best, the worst, and every so many between."
    if not np.isfinite(result.score[result.order[0]]):
        few += " All lanes diverged; a curve ends where the loss was no longer finite."
    records = result.loss.shape[1]
    mean = f" Each point is a mean over 1/{figures.RECORDS} of the run." if records > figures.RECORDS else ""
    return f"The training loss of every lane.{coloured}{mean}{few}"


def _selection(result: Any, drawn: list[dict[str, Any]]) -> list[str]:
    found = course.selection(result)
    if found is None:
        return []
    picture, rows = found
    head = ["after step", "dropped", "left", f"best {title(result.metric)} of the dropped"]
    return [_section("What was dropped when", "", _place(drawn, picture) + _table(head, rows))]


def _evolution(result: Any, drawn: list[dict[str, Any]]) -> list[str]:
    if result.history is None or not len(result.history.steps):
        return []
    found = course.numbers_over_time(result)
    pictures = _grid("".join(_place(drawn, figure) for figure in found), len(found))
    note = "Numbers over time: the line that led to the best lane, before all others."
    return [_section("How the best came about", note, pictures + _table(*course.lineage(result)))]


def _maps(result: Any, axes: list[Axis], said: list[str], drawn: list[dict[str, Any]]) -> list[str]:
    """The metric over the axes, if any lane has one."""
    if not np.isfinite(result.score).any():
        return []
    pictures = figures.pairs(result, axes, said) or figures.lines(result, axes, said)
    if not pictures:
        return []
    many = len(figures.together(axes))
    note = "Bright is good, the best is marked." if many else ""
    note += " Axes are the numbers that lanes ended with." if result.history is not None else ""
    note += f" The first {figures.PAIRS} of {many} pairs of axes." if many > figures.PAIRS else ""
    clouds = any(part["type"] == "scatter" for picture in pictures for part in picture["data"])
    if clouds and len(result.points) > figures.CLOUD:
        note += f" {figures.CLOUD} of {len(result.points):,} lanes: the best, the worst, and every so many between."
    places = "".join(_place(drawn, picture) for picture in pictures)
    return [_section(f"{_capital(title(result.metric))} over the axes", note, _grid(places, len(pictures)))]


def _seeds(result: Any) -> str:
    rows = result.over_seeds()
    columns = ["final_loss", *result.metrics]
    names = list(dict.fromkeys(n for row in rows for n in row))
    more = {f"{name}_{part}" for name in columns for part in ("std", "low", "high")}
    axes = [name for name in names if name not in {*columns, *more, "seeds"}]
    body = [
        [
            *(word_of(row.get(name, "–")) for name in axes),
            str(row["seeds"]),
            *(f"{short(row[name])} ({short(row[f'{name}_low'])} to {short(row[f'{name}_high'])})" for name in columns),
        ]
        for row in rows
    ]
    shown, most = body[:50], 50
    rest = f'<p class="note">The best {most} of {len(body):,} points.</p>' if len(body) > most else ""
    return _table([*axes, "seeds", *map(title, columns)], shown) + rest


def _grid(places: str, many: int) -> str:
    return f'<div class="grid{" single" * (many == 1)}">{places}</div>'


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _section(name: str, note: str, body: str) -> str:
    said = f'<p class="note">{_text(note.strip())}</p>' if note else ""
    return f"<section><h2>{_text(name)}</h2>{said}{body}</section>"


def _place(drawn: list[dict[str, Any]], figure: dict[str, Any]) -> str:
    """Room for a figure, which is drawn when it comes into sight."""
    drawn.append({"data": figure["data"], "layout": figure["layout"]})
    name = f"<h3>{_text(figure['heading'])}</h3>" if "heading" in figure else ""
    style = f"height:{figure['layout']['height']}px" + (f";min-width:{figure['width']}px" if "width" in figure else "")
    place = f'<div class="figure" data-figure="{len(drawn) - 1}" style="{style}"></div>'
    return f'<figure>{name}<div class="scroll">{place}</div></figure>'


def _table(head: list[str], rows: list[list[str]]) -> str:
    names = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(x)}</td>" for x in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


# The table of lanes ---------------------------------------------------------------------------------------------------


def table(result: Any) -> dict[str, Any]:
    """The table of the page: names, rows of numbers and words, which column is the metric, and which rows diverged."""
    rows = result.table()
    kinds = transformations(result)
    if len(set(kinds)) > 1 and TRANSFORMATION not in rows[0]:
        rows = [{"lane": row["lane"], TRANSFORMATION: kinds[row["lane"]], **row} for row in rows]
    return {
        "names": [title(name) for name in rows[0]],
        "rows": [[_entry(x) for x in row.values()] for row in rows],
        "metric": list(rows[0]).index(result.metric),
        "best": words(result.best.point),
        "lost": [not math.isfinite(result.final_loss[row["lane"]]) for row in rows],
    }


def _entry(x: Any) -> Any:
    """What a cell holds: a number, or a word; None for a number that is not finite."""
    if isinstance(x, float):
        return float(f"{x:.6g}") if math.isfinite(x) else None
    if isinstance(x, int) and not isinstance(x, bool):
        return x
    return "–" if x is None else word_of(x)


def _text(x: Any) -> str:
    return html.escape(str(x))


def _json(x: Any) -> str:
    """JSON that is safe in a page: nothing in it ends the script element."""
    return json.dumps(x, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
