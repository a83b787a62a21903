"""The table of published numbers, as text for a terminal, as Markdown and as JSON."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from gradtx._prove.row import Outcome, Source

HEADINGS = ("setting", "published", "ours", "difference", "verdict")


def cells(outcome: Outcome) -> tuple[str, str, str, str, str]:
    """A line of the table; of several numbers it shows the one that is farthest off, and says how many there are."""
    words, k = outcome.row.published.split(), outcome.farthest
    of = f" (of {len(words)})" if len(words) > 1 else ""
    found = float(outcome.ours[k])
    return outcome.row.setting, words[k] + of, digits(found, words[k]), short(outcome.differences[k]), outcome.verdict


def digits(number: float, published: str) -> str:
    """Our number with two digits more than were published, 17 at most.

    >>> digits(0.0604661759, "0.060466"), digits(10916.0, "5264"), digits(8.2148773e-3, "8.21487e-3")
    ('0.06046618', '10916', '8.2148773e-03')
    """
    given = Decimal(published)
    behind = -int(given.as_tuple().exponent)
    if not np.isfinite(number) or behind == 0:
        return f"{number:.10g}"
    if "e" in published.lower():
        return f"{number:.{min(len(given.as_tuple().digits) + 1, 16)}e}"
    return f"{number:.{min(behind + 2, 17)}f}"


def short(difference: Any) -> str:
    """A difference in two digits."""
    return "0" if difference == 0 else f"{difference:.1e}"


def line(source: Source, found: list[Outcome]) -> str:
    """What stands over the rows of a source."""
    return f"{source.title} [{source.name}]: {sum(o.agrees for o in found)} of {len(found)} agree"


def text(source: Source, found: list[Outcome]) -> str:
    """The rows of a source for a terminal; below a row that differs, why."""
    rows = [cells(outcome) for outcome in found]
    widths = [max(len(row[n]) for row in (*rows, HEADINGS)) for n in range(len(HEADINGS))]
    lines = [line(source, found), f"  {source.where}", *(_columns(row, widths) for row in (HEADINGS, *rows))]
    below = {len(lines) - len(found) + n: outcome for n, outcome in enumerate(found) if not outcome.agrees}
    for at, outcome in sorted(below.items(), reverse=True):
        lines.insert(at + 1, f"    why: {outcome.row.reason or 'nobody knows'}")
    return "\n".join(lines)


def markdown(all_found: Iterable[tuple[Source, list[Outcome]]]) -> str:
    """The whole table as a page."""
    parts = ["# Published numbers", ""]
    for source, found in all_found:
        parts += [f"## {source.title}", "", f"{source.where}. {_agreement(found)}.", ""]
        parts += [_piped(HEADINGS), _piped(("---",) * len(HEADINGS))]
        parts += [_piped(cells(outcome)) for outcome in found]
        parts += [""]
        different = [outcome for outcome in found if not outcome.agrees]
        parts += [f"- {outcome.row.setting}: {outcome.row.reason}." for outcome in different] + [""] * bool(different)
    return "\n".join(parts)


def as_json(all_found: Iterable[tuple[Source, list[Outcome]]]) -> str:
    """The whole table with all its numbers."""
    rows = [
        {
            "source": source.name,
            "setting": outcome.row.setting,
            "published": outcome.row.published.split(),
            "ours": outcome.ours.tolist(),
            "difference": float(outcome.differences[outcome.farthest]),
            "verdict": outcome.verdict,
            "reason": outcome.row.reason if not outcome.agrees else "",
        }
        for source, found in all_found
        for outcome in found
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def summary(all_found: list[tuple[Source, list[Outcome]]]) -> str:
    """How many rows there are, and how many agree."""
    found = [outcome for _, outcomes in all_found for outcome in outcomes]
    return f"{len(found)} rows from {len(all_found)} sources: {_agreement(found)}"


def _agreement(found: list[Outcome]) -> str:
    agree = sum(outcome.agrees for outcome in found)
    return f"{agree} agree to the published digits, {len(found) - agree} differ"


def _columns(row: tuple[str, ...], widths: list[int]) -> str:
    setting, *numbers, verdict = row
    return f"  {setting:<{widths[0]}}  " + "  ".join(
        [*(f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=False)), verdict]
    )


def _piped(row: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
