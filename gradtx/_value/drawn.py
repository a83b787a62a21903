"""What a notebook shows of a value: a small table, and a line as a picture. HTML as text, nothing else is needed."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

TABLE = "border-collapse:collapse;font-size:90%"
CELL = "text-align:left;padding:1px 14px 1px 0"
WIDE, HIGH, LEFT, BELOW = 320, 120, 52, 18


def table(rows: Iterable[Sequence[Any]], head: Sequence[Any] = ()) -> str:
    """Rows of cells as a table. Text is escaped; `Markup` stands as it is.

    >>> table([["b1", "<0.9>"]]).count("&lt;0.9&gt;")
    1
    """
    lines = [("th", head)] * bool(head) + [("td", row) for row in rows]
    body = "".join(
        "<tr>" + "".join(f'<{tag} style="{CELL}">{_inside(x)}</{tag}>' for x in row) + "</tr>" for tag, row in lines
    )
    return f'<table style="{TABLE}">{body}</table>'


class Markup(str):
    """Text that is HTML already."""


def _inside(x: Any) -> str:
    return x if isinstance(x, Markup) else html.escape(str(x))


def titled(title: str, *parts: str) -> str:
    """A title above parts."""
    return f'<div><div style="font-weight:600">{html.escape(title)}</div>{"".join(parts)}</div>'


def line(xs: Sequence[float], ys: Sequence[float]) -> Markup:
    """A curve with the ends of its axes, in the colours of the notebook."""
    finite = [y for y in ys if math.isfinite(y)] or [0.0]
    low, high = min(finite), max(finite)
    wide, tall = (xs[-1] - xs[0]) or 1.0, (high - low) or 1.0

    def at(x: float, y: float) -> str:
        level = (y - low) / tall if high > low else 0.5
        return f"{LEFT + (x - xs[0]) / wide * (WIDE - LEFT - 8):.1f},{8 + (1 - level) * (HIGH - BELOW - 14):.1f}"

    points = " ".join(at(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y))
    text = 'font-size="10" fill="currentColor" opacity="0.7"'
    ends = [(high, 14), (low, HIGH - BELOW)] if high > low else [(low, (HIGH - BELOW) / 2 + 6)]
    labels = "".join(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end" {text}>{x:.3g}</text>' for x, y in ends)
    labels += f'<text x="{LEFT}" y="{HIGH - 2}" {text}>{xs[0]:g}</text>'
    labels += f'<text x="{WIDE - 8}" y="{HIGH - 2}" text-anchor="end" {text}>{xs[-1]:g}</text>'
    stroke = 'fill="none" stroke="#0b7abf" stroke-width="2" stroke-linejoin="round"'
    box = f'width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}"'
    return Markup(f'<svg xmlns="http://www.w3.org/2000/svg" {box}><polyline points="{points}" {stroke}/>{labels}</svg>')
