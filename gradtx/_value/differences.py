"""Says in words why two values that print alike differ in structure."""

import re
import types
from collections.abc import Iterator, Mapping
from typing import Any

from gradtx._value.frozen import Frozen
from gradtx._value.functions import Look, code_of, is_importable, parts_of
from gradtx._value.numbers import Name
from gradtx._value.value import Value

NOTHING = Frozen(None)


def hidden_difference(a: Value, b: Value) -> str | None:
    """Where and how two values that print alike differ; None if they are equal, or if the printed text tells.

    >>> from gradtx import sgd
    >>> def make(rate):
    ...     return sgd(lambda step: rate)
    >>> hidden_difference(make(0.1), make(0.2))
    'sgd.learning_rate.function: make.<locals>.<lambda>: rate, which it closes over: 0.1 and 0.2'
    """
    mine, yours = list(_structure(a, a.link_name)), list(_structure(b, b.link_name))
    if [(where, _printed(x)) for where, x in mine] != [(where, _printed(x)) for where, x in yours]:
        return None
    for (where, x), (_, y) in zip(mine, yours, strict=True):
        if x != y:
            return f"{where}: {_words(x.value, y.value)}" if _made_alike(x.value, y.value) else None
    return None


def _structure(value: Value, where: str) -> Iterator[tuple[str, Frozen]]:
    """All structure in a value, with its place."""
    yield where, value.call.what
    for name in value.call.structure:
        yield f"{where}.{name}", value.given[name]
    for name, part in value.parts():
        if isinstance(part, Value):
            yield from _structure(part, f"{where}.{name}")
        elif part is None or isinstance(part, Name):
            yield f"{where}.{name}", NOTHING if part is None else Frozen(str(part))


def _made_alike(x: Any, y: Any) -> bool:
    """Whether two things have the same code, so that reading the code does not show how they differ."""
    functions = isinstance(x, types.FunctionType) and isinstance(y, types.FunctionType)
    return not functions or code_of(x.__code__) == code_of(y.__code__)


def _words(x: Any, y: Any) -> str:
    """The first part in which two things differ, in words."""
    for where, a, b in _pairs(x, y):
        if Look(a, inside=True).key != Look(b, inside=True).key:
            return f"{where}{_words(a, b)}"
    words = [_printed(each) for each in (x, y)]
    return " and ".join(words) if words[0] != words[1] else f"two of type {type(x).__name__}, made anew"


def _pairs(x: Any, y: Any) -> Iterator[tuple[str, Any, Any]]:
    """The parts that two things of one kind have in common."""
    if isinstance(x, types.MethodType) and isinstance(y, types.MethodType):
        yield "", x.__func__, y.__func__
        yield f"{x.__qualname__}: bound to ", x.__self__, y.__self__
    elif isinstance(x, types.FunctionType) and isinstance(y, types.FunctionType) and not is_importable(x):
        for (where, a), (_, b) in zip(parts_of(x), parts_of(y), strict=False):
            yield f"{x.__qualname__}: {where}: ", a, b
    elif isinstance(x, Mapping) and isinstance(y, Mapping):
        yield from ((f"{name!r}: ", x[name], y[name]) for name in x if name in y)
    elif isinstance(x, tuple) and isinstance(y, tuple):
        yield from (("", a, b) for a, b in zip(x, y, strict=False))


def _printed(x: Any) -> str:
    """A thing as it prints, without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", getattr(x, "__qualname__", None) or repr(x))
