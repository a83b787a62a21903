"""Whole numbers: how many of something, checked in one place."""

import operator
from typing import Any

import numpy as np

from gradtx._value.errors import TransformationError


def whole_number(name: str, n: Any, least: int = 1) -> int:
    """``n`` as a Python int. Raises `TransformationError`, under ``name``, unless it is a whole number ≥ ``least``.

    >>> whole_number("fit: steps", 3)
    3
    """
    try:
        found = None if isinstance(n, bool | np.bool_) else operator.index(n)
    except TypeError:
        found = None
    if found is None or found < least:
        raise TransformationError(f"{name}: expected a whole number, {least} or more, found {n!r}")
    return found
