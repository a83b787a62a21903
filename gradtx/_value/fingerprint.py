"""A digest of a function that is the same in every process, so that it can be written to disk."""

import functools
import hashlib
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx._value.functions import EMPTY, is_importable, parts_of


class CannotTell(Exception):
    """Raised for an object that cannot be compared across processes; holds its name, or that of its type."""


def fingerprint(x: Any) -> str:
    """A digest of an object's content. Raises `CannotTell`, which names the part that has no digest.

    >>> def make(rate):
    ...     return lambda step: rate
    >>> fingerprint(make(0.1)) == fingerprint(make(0.1)), fingerprint(make(0.1)) == fingerprint(make(0.2))
    (True, False)
    """
    found = hashlib.sha256()
    for part in _parts(x, {}):
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:16]


def _parts(x: Any, seen: dict[int, int]) -> Iterator[str | bytes]:
    kind = type(x)
    if kind in (type(None), bool, int, float, complex, str, bytes, types.EllipsisType, range, slice) or x is EMPTY:
        yield f"{kind.__name__} {'' if x is EMPTY else repr(x)}"
    elif isinstance(x, np.ndarray | np.generic | jax.Array):
        array = np.asarray(x)
        yield f"{array.dtype}{array.shape}"
        yield array.tobytes()
    elif id(x) in seen:
        yield f"again {seen[id(x)]}"
    elif isinstance(x, types.ModuleType | types.BuiltinFunctionType) or _is_of_a_library(x):
        yield f"{getattr(x, '__module__', '')}.{getattr(x, '__qualname__', None) or x.__name__}"
    else:
        seen[id(x)] = len(seen)
        for part in _inside(x):
            yield from part if isinstance(part, _Words) else _parts(part, seen)
        yield f"end of {kind.__name__}"


class _Words(list[Any]):
    """Strings to digest as they are, not to be looked into."""


def _inside(x: Any) -> Iterator[Any]:
    if isinstance(x, tuple | list):
        yield from x
    elif isinstance(x, Mapping):
        yield from (part for item in x.items() for part in item)
    elif isinstance(x, set | frozenset):
        yield _Words(sorted(map(fingerprint, x)))
    elif isinstance(x, functools.partial):
        yield from (x.func, x.args, dict(sorted(x.keywords.items())))
    elif isinstance(x, types.MethodType):
        yield from (x.__func__, x.__self__)
    elif isinstance(x, types.FunctionType):
        yield x.__code__
        yield from (part for named in parts_of(x) for part in named)
    elif isinstance(x, types.CodeType):
        yield from (x.co_code, x.co_names, x.co_varnames, x.co_freevars, x.co_cellvars, x.co_flags, x.co_consts)
    else:
        raise CannotTell(getattr(x, "__qualname__", None) or type(x).__name__)


def _is_of_a_library(x: Any) -> bool:
    """Whether a function or a class belongs to an installed package, so that its name identifies it."""
    if not (isinstance(x, type) or (isinstance(x, types.FunctionType) and is_importable(x))):
        return False
    file = getattr(sys.modules.get(x.__module__), "__file__", None)
    if file is None:
        return x.__module__ == "builtins"
    places = {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
    return x.__module__.startswith("gradtx.") or any(str(Path(file).resolve()).startswith(place) for place in places)
