"""When two functions, or two other pieces of structure, count as equal.

Two functions are equal if their code, their defaults, the variables that they close over and the globals that they read
are equal. So ``lambda p: p > limit``, made anew for each lane of a sweep, is one function as long as ``limit`` is the
same number. Things are compared as follows:

- a function that can be imported, a class, a module, and anything that only its identity tells apart: by identity;
- any other function, a bound method, a ``functools.partial``: by its parts;
- an array: by its dtype, shape and bytes; a large one inside a function by identity, because reading it takes longer
  than compiling;
- anything hashable: by its own ``==``; a list, a dict or a set inside a function by identity, because it may change.

A variable that a function closes over may be rebound, and the function is then a different one. `Look` remembers what
was read, so that this is noticed when the function is next used.
"""

import functools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from gradtx._value.errors import TransformationError

LARGE = 1 << 16  # bytes: a larger array inside a function is not read to compare it
EMPTY: Any = object()  # stands for the value of an unbound variable


class Key:
    """A key to compare things by: hashed once, and quick to compare with itself."""

    __slots__ = ("_hash", "parts")

    def __init__(self, *parts: Any):
        self.parts, self._hash = parts, hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Key) and self._hash == other._hash and self.parts == other.parts


class Itself:
    """The key of an object that is equal only to itself."""

    __slots__ = ("x",)

    def __init__(self, x: Any):
        self.x = x

    def __hash__(self) -> int:
        return id(self.x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.x is other.x


class Made:
    """Something that may be compared by its parts."""

    def made_of(self) -> tuple[Any, ...] | None:
        """Its parts; None if it is compared by identity."""
        return None


class Look:
    """The ``key`` of something, and in ``reads`` a check for each thing that the key depends on and that may change.

    ``inside``: it is part of a function, where a list, a dict or a set is compared by identity.
    """

    __slots__ = ("_inside", "_seen", "key", "reads")

    def __init__(self, x: Any, *, inside: bool = False):
        self._seen: dict[int, int] = {}
        self._inside = inside
        self.reads: list[Callable[[], bool]] = []
        self.key = self._of(x)

    def holds(self) -> bool:
        """Whether everything that was read is unchanged."""
        return all(read() for read in self.reads)

    def _of(self, x: Any) -> Any:
        kind = type(x)
        if kind in _PLAIN:
            return kind, x
        if kind in (float, complex):
            return kind, repr(x)  # 0.0 is not −0.0, and NaN is itself
        if isinstance(x, tuple):
            return Key(kind, *map(self._of, x))
        if isinstance(x, np.ndarray | jax.Array):
            return self._array(x)
        if isinstance(x, functools.partial):
            return Key(kind, *(self._of(part) for part in (x.func, x.args, tuple(sorted(x.keywords.items())))))
        if isinstance(x, Made):
            parts = x.made_of()
            return Itself(x) if parts is None else Key(kind, *map(self._of, parts))
        if isinstance(x, types.MethodType):
            return Key(kind, self._of(x.__func__), self._of(x.__self__))
        if isinstance(x, types.FunctionType):
            return Itself(x) if is_importable(x) else self._function(x)
        if not self._inside and isinstance(x, list | Mapping):
            parts = x if isinstance(x, list) else x.items()
            return Key(kind, *map(self._of, parts))
        try:
            hash(x)
        except TypeError:
            return Itself(x) if self._inside else self._tree(x)
        return kind, x

    def _tree(self, x: Any) -> Key:
        leaves, treedef = jax.tree.flatten(x)
        if len(leaves) == 1 and leaves[0] is x:
            raise TransformationError(f"expected something hashable, or a tree of such things, found {x!r}") from None
        return Key(treedef, *map(self._of, leaves))

    def _array(self, x: Any) -> Any:
        if isinstance(x, Tracer) or (self._inside and x.nbytes > LARGE) or x.dtype == object:
            return Itself(x)
        try:
            seen = np.asarray(x).tobytes()
        except Exception:  # it cannot be read: donated, spread over hosts, or a random key
            return Itself(x)
        if isinstance(x, np.ndarray) and self._inside:
            self.reads.append(lambda: x.tobytes() == seen)
        return Key(type(x), str(x.dtype), x.shape, getattr(x, "weak_type", False), seen)

    def _function(self, f: types.FunctionType) -> Any:
        if id(f) in self._seen:
            return "the function", self._seen[id(f)]
        self._seen[id(f)] = len(self._seen)
        for cell in f.__closure__ or ():
            held = _held(cell)
            self.reads.append(lambda cell=cell, held=held: _held(cell) is held)
        for name in globals_of(f):
            bound = f.__globals__[name]
            if not isinstance(bound, types.ModuleType):
                self.reads.append(lambda name=name, bound=bound: f.__globals__.get(name, EMPTY) is bound)
        outside, self._inside = self._inside, True
        key = Key(code_of(f.__code__), *[(where, self._of(part)) for where, part in parts_of(f)])
        self._inside = outside
        return key


_PLAIN = {type(None), bool, int, str, bytes, type, types.ModuleType, types.EllipsisType, types.BuiltinFunctionType}


def parts_of(f: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function holds besides its code, and where: its defaults, what it closes over, the globals it reads."""
    if f.__defaults__ or f.__kwdefaults__:
        positional = f.__code__.co_varnames[: f.__code__.co_argcount]
        defaults = f.__defaults__ or ()
        named = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
        yield from ((f"the default of {name}", x) for name, x in {**named, **(f.__kwdefaults__ or {})}.items())
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
        yield f"{name}, which it closes over", _held(cell)
    for name in globals_of(f):
        yield f"{name}, which it reads", f.__globals__[name]
    for name, x in sorted(f.__dict__.items()):
        yield f"its attribute {name}", x


def is_importable(f: types.FunctionType) -> bool:
    """Whether a function can be imported by its name, and so is the same in any process."""
    if "<" in f.__qualname__:  # <lambda>, <locals>
        return False
    found: Any = sys.modules.get(f.__module__)
    for name in f.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is f


def globals_of(f: types.FunctionType) -> list[str]:
    """The globals that a function may read."""
    return [name for name in names_in(f.__code__) if name in f.__globals__]


@functools.lru_cache(4096)
def names_in(code: types.CodeType) -> tuple[str, ...]:
    """The names of globals and attributes in a code object, and in the functions that are defined in it."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return tuple(dict.fromkeys([*code.co_names, *(name for each in inner for name in names_in(each))]))


@functools.lru_cache(4096)
def code_of(code: types.CodeType) -> Key:
    """The key of a code object: what it computes, wherever it is written."""
    constants = (
        code_of(const) if isinstance(const, types.CodeType) else (type(const), repr(const)) for const in code.co_consts
    )
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return Key(code.co_code, code.co_exceptiontable, counts, names, *constants)


def _held(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return EMPTY
