"""What a user's function asks for: its parameters, by name."""

import inspect
from collections.abc import Callable
from typing import Any

from gradtx._value.signatures import signature_of


def asks_for(function: Callable[..., Any], name: str, after: int = 1) -> bool:
    """Whether a function has a parameter of that name, which stands after so many others or is keyword-only."""
    return parameter_of(function, name, after) is not None


def parameter_of(function: Callable[..., Any], name: str, after: int) -> inspect.Parameter | None:
    """The parameter that `asks_for` finds."""
    try:
        found = list(signature_of(function).parameters.values())
    except (TypeError, ValueError):
        return None
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = (p for n, p in enumerate(found) if p.name == name and p.kind in by_keyword)
    return next((p for p in named if p.kind == p.KEYWORD_ONLY or found.index(p) >= after), None)


def takes_any(function: Callable[..., Any]) -> bool:
    """Whether a function takes any keyword, as far as can be told."""
    try:
        found = signature_of(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind == p.VAR_KEYWORD for p in found)
