"""The tables of a page of the manual."""

import re
from pathlib import Path
from typing import NamedTuple

PAGES = Path(__file__).parents[2] / "docs" / "pages"


class Table(NamedTuple):
    """A table in Markdown: the heading above it, the names of its columns, its cells."""

    heading: str
    columns: list[str]
    rows: list[list[str]]


def tables(page: str) -> list[Table]:
    """The tables of a page, in their order."""
    found: list[Table] = []
    heading, inside = "", False
    for line in (PAGES / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not line.startswith("|"):
            inside = False
        elif not inside:
            inside = True
            found.append(Table(heading, cells, []))
        elif set("".join(cells)) - set("-: "):
            found[-1].rows.append(cells)
    return found


def with_columns(page: str, *columns: str) -> list[Table]:
    """The tables of a page that begin with these columns."""
    found = [table for table in tables(page) if table.columns[: len(columns)] == list(columns)]
    assert found, f"{page} has no table with the columns {', '.join(columns)}"
    return found


def codes(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def code(cell: str) -> str:
    """The one piece of code of a cell."""
    (found,) = codes(cell)
    return found


def links(text: str) -> list[str]:
    """The names that a text links to in the reference: ``[gradtx.adam][]``, or ``[`adam`][gradtx.adam]``."""
    return [short or long for short, long in re.findall(r"\[(gradtx[\w.]*)\]\[\]|\]\[(gradtx[\w.]*)\]", text)]
