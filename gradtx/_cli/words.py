"""What the command line reads and prints: names, whole numbers, tables, errors of one line."""

import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gradtx._report.axes import short
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

MOST = 2**31 - 1  # what a step of a compiled program is counted in


class OneOf(click.ParamType):
    """A name from a list. A wrong one is answered with the nearest known name."""

    name = "name"

    def __init__(self, what: str, known: list[str]):
        self.what, self.known = what, known

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The name, if it is known."""
        if value in self.known:
            return value
        raise unknown(self.what, value, self.known)


class Whole(click.ParamType):
    """A whole number of ``least`` to ``most``."""

    name = "integer"

    def __init__(self, least: int, most: int):
        self.least, self.most = least, most

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The number, if it is in the range."""
        option = param.opts[-1] if param else "number"
        with suppress(ValueError, OverflowError):  # 1000, 1_000 or 1e3
            value = (
                int(value) if str(value).lstrip("+-").replace("_", "").isdecimal() else whole_of(float(value), value)
            )
        found = whole_number(option, value, self.least)
        if found > self.most:
            raise TransformationError(f"{option}: expected {self.most} at the most, found {found}")
        return found


def whole_of(number: float, word: Any) -> Any:
    """A float that is whole as an int, and anything else as it was written."""
    return int(number) if number == int(number) else word


class Real(click.ParamType):
    """A number, perhaps with a least; ``says`` is added where it is none."""

    name = "float"

    def __init__(self, least: float | None = None, says: str = ""):
        self.least, self.says = least, says

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number, if it is one."""
        option = param.opts[-1] if param else "number"
        try:
            found = float(value)
        except ValueError:
            raise TransformationError(f"{option}: expected a number, found {value!r}{self.says}") from None
        if found != found or (self.least is not None and found < self.least):
            raise TransformationError(f"{option}: expected {self.least:g} or more, found {value}")
        return found


def many(count: int, what: str) -> str:
    """A number of things.

    >>> many(1, "lane"), many(1200, "lane")
    ('1 lane', '1,200 lanes')
    """
    return f"{count:,} {what}{'s' * (count != 1)}"


def whole(least: int = 1, most: int = MOST) -> Whole:
    """The type of an option that is a whole number."""
    return Whole(least, most)


def console() -> Console:
    """The console to print on: as wide as the terminal, or 200 columns where there is none."""
    return Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def unknown(what: str, value: str, known: list[str]) -> click.UsageError:
    """The error that says which name was meant."""
    close = get_close_matches(value, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
    return click.UsageError(f"no {what} {value!r}; {hint}")


def best_and_worst(rows: list[dict[str, Any]], by: str, ends: int = 5) -> Table:
    """The first and the last of sorted rows, as a table."""
    few = len(rows) <= 2 * ends
    which = f"all {len(rows)}" if few else f"the best {ends} and the worst {ends} of {len(rows)}"
    table = Table(title=f"{which} by {heading(by)}", title_justify="left")
    rows = [with_intervals(row) for row in rows]
    for name in rows[0]:
        table.add_column(heading(name), justify="right", no_wrap=name != "optimizer")
    for n, row in enumerate(rows):
        if few or n < ends or n >= len(rows) - ends:
            table.add_row(*map(cell, row.values()), end_section=not few and n == ends - 1)
    return table


def with_intervals(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose means have their intervals beside them: ``loss``, ``loss_low`` and ``loss_high`` in one cell."""
    found = {}
    for name, x in row.items():
        low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
        if name.removesuffix("_low") in row and name.endswith("_low"):
            continue
        if name.removesuffix("_high") in row and name.endswith("_high"):
            continue
        finite = isinstance(low, float) and isinstance(high, float) and low == low and high == high
        found[name] = f"{cell(x)} [{cell(low)}, {cell(high)}]" if finite else x
    return found


def heading(name: str) -> str:
    """The name of a column as a reader sees it."""
    return name.replace("_", " ").replace("held out", "held-out")


def cell(x: Any) -> str:
    """The value of a cell as a reader sees it."""
    return short(x) if isinstance(x, float) else "" if x is None else str(x)
