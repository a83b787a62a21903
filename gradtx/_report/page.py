"""The report of a sweep: a page of HTML that needs nothing but itself."""

import html
import json
import math
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from gradtx._report import course
from gradtx._report.axes import Axis, axes_of, short, title, transformations, word_of
from gradtx._report.code import as_code
from gradtx._report.contents import PAIRS, contents, curve_figure, maps
from gradtx._report.curves import drawn, packed
from gradtx._report.numbers import number
from gradtx._report.origin import facts
from gradtx.sweep._studies.importance import importance

SCRIPTS = ("numbers", "plot", "curves", "maps", "parallel", "table", "main")
BARS = 20  # of what matters
Figure = dict[str, Any]


def write(result: Any, file: str | Path) -> Path:
    """Write the report of a sweep; return where it is.

    The page holds its script and all of its numbers, so it can be sent to somebody, and opens without a network.
    """
    file, web = Path(file), files("gradtx._report") / "web"

    def part(name: str) -> str:
        return (web / name).read_text(encoding="utf-8")

    page = Page()
    sections = _sections(result, page)
    text = Template(part("page.html")).substitute(
        style=part("page.css"),
        script="\n".join(part(f"{name}.js") for name in SCRIPTS),
        heading=_text(_heading(result)),
        under=_text(_under(result)),
        tiles=_tiles(result),
        notes=_notes(result),
        best="The best configuration" if math.isfinite(result.score[result.order[0]]) else "The first of the lanes",
        code=_text(as_code(result)),
        sections=sections,
        origin=_origin(result),
        page=_json(contents(result) | {"figures": page.figures}),
        curves="\n".join(page.curves),
    )
    file.write_text(text, encoding="utf-8")
    return file


class Page:
    """The figures of a page as they are placed, and the packed curves of those that have some."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.curves: list[str] = []

    def place(self, figure: Figure) -> str:
        """Room for a figure, which is drawn when it comes into sight."""
        self.figures.append({name: x for name, x in figure.items() if name != "heading"})
        heading = f"<h3>{_text(figure['heading'])}</h3>" if figure.get("heading") else ""
        return f'<figure>{heading}<div class="figure" data-figure="{len(self.figures) - 1}"></div></figure>'

    def place_curves(self, name: str, steps: np.ndarray, losses: np.ndarray, end: int, heading: str) -> str:
        """Room for curves of all lanes."""
        own = f"curves-{len(self.curves)}"
        self.curves.append(f'<script type="text/plain" id="{own}">{packed(losses)}</script>')
        return self.place(curve_figure(name, own, steps, losses, end) | {"heading": heading})


# The head -------------------------------------------------------------------------------------------------------------


def _heading(result: Any) -> str:
    kinds = list(dict.fromkeys(transformations(result)))
    lanes = len(result.points)
    what = ", ".join(kinds[:4]) + (" …" if len(kinds) > 4 else "")
    return f"{_many(lanes, 'lane')} of {what}"


def _under(result: Any) -> str:
    """The line below the heading: which problem it was, and when."""
    origin = result.origin
    return ", ".join(str(origin[name]) for name in ("problem", "date") if origin.get(name))


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
    seconds = result.origin.get("seconds")
    if seconds:
        found.append(
            ("seconds", short(float(f"{seconds:.3g}")), f"{short(result.steps_spent / seconds)} lane-steps a second")
        )
    tile = '<div class="tile"><div class="name">{}</div><div class="value">{}</div><div class="more">{}</div></div>'
    return "\n".join(tile.format(*map(_text, each)) for each in found)


def _notes(result: Any) -> str:
    """What the sweep teaches, in sentences, if it says something."""
    said = result.notes()
    if not said:
        return ""
    lines = "".join(f"<li>{_text(line)}</li>" for line in said)
    return f'<section class="teaches"><h2>What to know</h2><ul>{lines}</ul></section>'


def _origin(result: Any) -> str:
    """Where the sweep comes from: command, machine, versions, cost."""
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(x)}</dd>" for name, x in facts(result).items())
    return f"<dl>{rows}</dl>"


# Sections -------------------------------------------------------------------------------------------------------------


def _sections(result: Any, page: Page) -> str:
    """The pictures and tables between the head and the table of lanes."""
    axes = axes_of(result)
    parts = [_section("Training", _curves_note(result, axes), _curves(result, page))]
    parts += _selection(result, page) + _evolution(result, page)
    parts += _maps(result, axes, page) + _importance(result, page)
    if axes and np.isfinite(result.score).any():
        note = "A line a lane. Drag along an axis to keep the lanes that pass there, drag a name to move its axis."
        lost = int(np.sum(~np.isfinite(result.score)))
        note += f" {_many(lost, 'lane')} without a finite {title(result.metric)} left out." if lost else ""
        parts.append(_section("Parallel coordinates", note, page.place({"kind": "parallel"})))
    if len(result.points) > 1 and result.population.seeds is not None:
        parts.append(_section("Over seeds", *_seeds(result)))
    return "\n".join(parts)


def _curves(result: Any, page: Page) -> str:
    """The training loss, and beside it the held-out curves, where there are some."""
    found, end = drawn(result), int(max(result.steps))
    heading = (lambda name: title(name)) if len(found) > 1 else (lambda name: "")
    places = [page.place_curves(title(name), *each, end, heading(name)) for name, each in found.items()]
    return places[0] if len(places) == 1 else _grid("".join(places), len(places))


def _curves_note(result: Any, axes: list[Axis]) -> str:
    coloured = f" Coloured by {title(axes[0].name)}." if axes else ""
    if result.history is not None and axes:
        coloured = f" Coloured by {axes[0].name} at the end."
    lost = ""
    if not np.isfinite(result.score[result.order[0]]):
        lost = " All lanes diverged; a curve ends where the loss was no longer finite."
    points, records = len(drawn(result)["training loss"][0]), result.loss.shape[1]
    mean = f" Each point is a mean over 1/{points} of the run." if records > points else ""
    return f"The training loss of every lane.{coloured}{mean}{lost} Drag over a part to enlarge it."


def _selection(result: Any, page: Page) -> list[str]:
    found = course.selection(result)
    if found is None:
        return []
    picture, rows = found
    head = ["after step", "dropped", "left", f"best {title(result.metric)} of the dropped"]
    return [_section("What was dropped when", "", page.place(picture) + _table(head, rows))]


def _evolution(result: Any, page: Page) -> list[str]:
    if result.history is None or not len(result.history.steps):
        return []
    found = course.numbers_over_time(result)
    pictures = _grid("".join(page.place(figure) for figure in found), len(found))
    note = "Numbers over time: the line that led to the best lane, before all others."
    return [_section("How the best came about", note, pictures + _table(*course.lineage(result)))]


def _maps(result: Any, axes: list[Axis], page: Page) -> list[str]:
    """The metric over the axes, if any lane has one."""
    if not np.isfinite(result.score).any():
        return []
    pictures, many = maps(axes)
    if not pictures:
        return []
    note = "Bright is good, the best is marked; the worst tenth shares one colour." if many else ""
    note += " Axes are the numbers that lanes ended with." if result.history is not None else ""
    note += f" The first {PAIRS} of {many} pairs of axes." if many > PAIRS else ""
    places = "".join(page.place(picture) for picture in pictures)
    return [_section(f"{_capital(title(result.metric))} over the axes", note, _grid(places, len(pictures)))]


def _importance(result: Any, page: Page) -> list[str]:
    """How much each number matters, where the sweep can tell."""
    try:
        table = importance(result).table()
    except (ImportError, ValueError):  # scikit-learn is not there; too few lanes, or nothing varies
        return []
    sure = any(math.isfinite(row["low"]) for row in table)
    note = f"The share of the variance of the {title(result.metric)} that each number explains alone, and that only two"
    note += f" explain together{', with their 90 % intervals' if sure else ''}."
    note += f" The first {BARS} of {len(table)}." if len(table) > BARS else ""
    rows = [
        {"number": " × ".join(map(title, row["number"].split(" × ")))}
        | {name: number(row[name]) for name in ("importance", "low", "high")}
        for row in table[:BARS]
    ]
    return [_section("What matters", note, page.place({"kind": "bars", "rows": rows}))]


def _seeds(result: Any) -> tuple[str, str]:
    """A note and a table: what each point came to over its seeds."""
    rows = result.over_seeds()
    columns = ["final_loss", *result.metrics]
    ends = {f"{name}{end}" for name in columns for end in ("_std", "_low", "_high")}
    names = list(dict.fromkeys(n for row in rows for n in row))
    axes = [n for n in names if n not in columns and n != "seeds" and n not in ends]
    body = [
        [
            *(word_of(row.get(name, "–")) for name in axes),
            str(row["seeds"]),
            *(_mean(row, name) for name in columns),
        ]
        for row in rows
    ]
    note = "Mean ± standard deviation [interval of the mean, 95 %], the best first."
    shown, most = body[:50], 50
    more = f'<p class="note">The best {most} of {len(body):,} points.</p>' if len(body) > most else ""
    return note, _table([*map(title, axes), "seeds", *map(title, columns)], shown) + more


def _mean(row: dict[str, Any], name: str) -> str:
    """A mean with its spread and its interval."""
    low, high = short(row[f"{name}_low"]), short(row[f"{name}_high"])
    return f"{short(row[name])} ± {short(row[f'{name}_std'])} [{low}, {high}]"


def _grid(places: str, many: int) -> str:
    return f'<div class="grid{" single" * (many == 1)}">{places}</div>'


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _section(name: str, note: str, body: str) -> str:
    said = f'<p class="note">{_text(note.strip())}</p>' if note else ""
    return f"<section><h2>{_text(name)}</h2>{said}{body}</section>"


def _table(head: list[str], rows: list[list[str]]) -> str:
    names = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(x)}</td>" for x in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(x: Any) -> str:
    return html.escape(str(x))


def _json(x: Any) -> str:
    """JSON that is safe in a page: nothing in it ends the script element."""
    return json.dumps(x, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
