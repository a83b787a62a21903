"""Whole numbers that a function is given: how many steps, rows, iterations."""

from typing import Any

from gradtx._value.errors import TransformationError


def whole_number(name: str, n: Any, least: int = 1) -> int:
    """``n`` as an int; raises `TransformationError` where it is no whole number, or below ``least``.

    >>> whole_number("steps", 3)
    3
    """
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < least:
        raise TransformationError(f"{name}: expected a whole number, {least} or more, found {n!r}")
    return int(n)
