"""A call of a factory, kept: a pytree whose leaves are the numbers of the call, and whose structure is all the rest.

Transformations and schedules are such values. Nothing is computed when one is made: the factory's body runs when the
value is used, with its schedules resolved, so the same value can be printed, compared, pickled, stacked, swept over,
differentiated and passed through ``jit``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from operator import attrgetter
from typing import Any, ParamSpec, Self, TypeVar

import jax
import numpy as np
from jax.core import Tracer

from gradtx._value.call import Call
from gradtx._value.decay import SplitDecay
from gradtx._value.drawn import Markup, table, titled
from gradtx._value.errors import TransformationError, suggest, within
from gradtx._value.frozen import Frozen
from gradtx._value.marks import INTERVAL_OF_DECAYS, Interval
from gradtx._value.named_links import Links
from gradtx._value.numbers import show
from gradtx._value.structure import Structure, exportable, looks_of, places, taken_apart

ATTRIBUTE = jax.tree_util.GetAttrKey
P = ParamSpec("P")
V = TypeVar("V", bound="Value")


class Value:
    """A call of a factory as a pytree. Numbers, structure and links are its attributes; `replace` makes a new one."""

    __slots__ = ("__weakref__", "_flat", "_last", "call", "given")
    call: Call
    given: dict[str, Any]
    _flat: tuple[tuple[Any, ...], Structure]  # what JAX sees, worked out when it is first asked for

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TransformationError(f"{type(self).__name__}: values are made by their factories, such as gradtx.adam")

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_pytree_with_keys(cls, cls._flatten_with_keys, cls._unflatten, attrgetter("_flat"))
        exportable(cls)

    # How this kind of value takes numbers and links: the only difference between transformations and schedules.

    @classmethod
    def _number(cls, x: Any, interval: Interval | None) -> Any:
        raise TransformationError(f"{cls.__name__} takes no numbers, found {x!r}")

    @classmethod
    def _link(cls, x: Any) -> Any:
        raise TransformationError(f"{cls.__name__} takes no links, found {x!r}")

    @classmethod
    def _exchange(cls, part: Any, x: Any) -> Any:
        """What may stand where ``part`` stood: a link for a link, a number for a number."""
        if isinstance(part, cls):
            return cls._link(x)
        return cls._number(x, INTERVAL_OF_DECAYS if isinstance(part, SplitDecay) else None)

    # Making and taking apart ------------------------------------------------------------------------------------------

    @classmethod
    def _make(cls, call: Call, given: dict[str, Any]) -> Self:
        self = object.__new__(cls)
        object.__setattr__(self, "call", call)
        object.__setattr__(self, "given", given)
        return self

    @classmethod
    def _unflatten(cls, structure: Structure, children: Iterable[Any]) -> Self:
        return cls._make(structure.call, structure.given(children))

    def _flattened(self) -> tuple[tuple[Any, ...], Structure]:
        """The children and the static part, cached; where functions may change, only as long as they do not."""
        try:
            flat, looks = object.__getattribute__(self, "_last")
            if flat[1].holds() and all(look.holds() for look in looks):
                return flat
        except AttributeError:  # this is the first time
            pass
        flat = taken_apart(self.call, self.given)
        looks = looks_of(self.call, [self.given[name] for name in self.call.structure])
        object.__setattr__(self, "_last" if looks else "_flat", (flat, looks) if looks else flat)
        return flat

    def _flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], Structure]:
        children, structure = self._flat
        names = places(self.call, self.given)
        return tuple([(ATTRIBUTE(name), child) for name, child in zip(names, children, strict=True)]), structure

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _rebuild, (self.call.function, self.given)

    @property
    def link_name(self) -> str:
        """Its name as a link of a chain: that of its factory, or the ``name`` of a foreign transformation."""
        return self.given["name"].value if self.call.names_link else self.call.name

    # The parts by name ------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[tuple[str, Any]]:
        """The children by name: numbers as they are given (a decay as one number), links under their names."""
        for name in self.call.children:
            child = self.given[name]
            if isinstance(child, Links):
                yield from zip(child.names(), child.values, strict=True)
            else:
                yield from _entries(name, child)

    def walk(self) -> Iterator["Value"]:
        """This value and all values in it."""
        yield self
        for _, part in self.parts():
            if isinstance(part, Value):
                yield from part.walk()

    def __getattr__(self, name: str) -> Any:
        if name == "_flat":
            return self._flattened()
        if not name.startswith("_"):
            given = self.given.get(name, dict(self.parts()).get(name, _MISSING))
            if given is not _MISSING:
                if isinstance(given, SplitDecay):
                    return given.exact()
                return given.value if isinstance(given, Frozen) else given
        raise AttributeError(f"{self.call.name} has no {name!r}; it has {', '.join(self._known())}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self.call.name} is a value: nothing of it can be deleted")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self.call.name} is a value: use tx.replace({name}=...)")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._known()})

    def _known(self) -> list[str]:
        return [name for name, _ in self.parts()] + self.call.structure

    def replace(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """The same call with other arguments, as a new value. If only numbers change, nothing is compiled again.

        Names are those of the call (``learning_rate=3e-4``), or dotted at any depth (``{"adam.learning_rate": 3e-4}``).
        New values are checked as in the call itself. Raises `TransformationError`: an unknown name.
        """
        return within(self.link_name, self._with)({**(changes or {}), **more})

    def _with(self, changes: Mapping[str, Any]) -> Self:
        given = self.given
        for path, x in changes.items():
            own = path if self._has(path) else path.removeprefix(f"{self.link_name}.")
            given = self._replaced(given, own, x)
        return self._make(self.call, given)

    def _has(self, path: str) -> bool:
        return any(path == name or path.startswith(f"{name}.") for name in self._known())

    def _replaced(self, given: dict[str, Any], path: str, x: Any) -> dict[str, Any]:
        call = self.call
        if path in call.parameters and path != "links":
            return given | {path: within(path, call._accept)(call.parameters[path], x)}
        for name, part in self._make(call, given).parts():
            if path == name:
                return _put(given, name, within(name, call.cls._exchange)(part, x))
            if path.startswith(f"{name}.") and isinstance(part, Value):
                place = name if isinstance(part, call.cls) else f"{name}: {part.link_name}"
                return _put(given, name, within(place, part._with)({path[len(name) + 1 :]: x}))
        known = self._known()
        if any(name.startswith(f"{path}.") for name in known):  # a tuple of numbers inside a tuple
            return _put(given, path, within(path, call._number)(x, call.parameters[path.partition(".")[0]], deep=True))
        deep = [name for name in _dotted(self) if name.endswith(f".{path}")]
        hint = f" (did you mean {' or '.join(map(repr, deep))}?)" if deep else suggest(path, known)
        raise TransformationError(f"it has no {path!r}{hint}; it has {', '.join(known)}")

    # Comparing and printing -------------------------------------------------------------------------------------------

    def __eq__(self, other: Any) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, yours = jax.tree.flatten(self), jax.tree.flatten(other)
        return mine[1] == yours[1] and all(_same(a, b) for a, b in zip(mine[0], yours[0], strict=True))

    def __hash__(self) -> int:
        leaves, treedef = jax.tree.flatten(self)
        return hash((treedef, tuple(leaf if isinstance(leaf, float) else None for leaf in leaves)))

    def _repr_html_(self) -> str:
        """What a notebook shows: the numbers of the call, and below them what has a picture."""
        rows = [
            (name, Markup(part._repr_html_()) if isinstance(part, Value) else show(part)) for name, part in self.parts()
        ]
        fixed = [(name, repr(self.given[name])) for name in self.call.structure]
        rows += [(name, x) for name, x in fixed if x != repr(Frozen(self.call.parameters[name].default))]
        return titled(self.call.name, table(rows) if rows else "", self._picture())

    def _picture(self) -> str:
        return ""

    def __repr__(self) -> str:
        if self.call.symbol:
            left, right = (show(self.given[name]) for name in self.call.children)
            return f"({left} {self.call.symbol} {right})"
        words = []
        for name, parameter in self.call.parameters.items():
            child = self.given[name]
            if name in self.call.ahead:  # before *links nothing may be given by keyword
                words.append(repr(child))
                continue
            if isinstance(child, Links) and parameter.kind == "links":
                words += child.words(self.call.name)
            elif parameter.kind != "structure":
                words.append(f"{name}={show(child)}")
            elif child != Frozen(parameter.default):
                words.append(f"{name}={child!r}")
        return f"{self.call.name}({', '.join(words)})"


def _rebuild(function: Callable[..., Any], given: dict[str, Any]) -> Value:
    return function.call.rebuild(given)  # pyright: ignore[reportFunctionMemberAccess]


def _put(given: dict[str, Any], name: str, new: Any) -> dict[str, Any]:
    """``given`` with the part called ``name`` replaced by ``new``: a child, an entry of a tuple or a link."""
    if name in given:
        return given | {name: new}
    head, _, inside = name.partition(".")
    if head in given and isinstance(given[head], tuple):
        entries = _put({str(n): part for n, part in enumerate(given[head])}, inside, new)
        return given | {head: tuple(entries.values())}
    for key, child in given.items():
        if isinstance(child, Links) and name in child.names():
            values = [new if own == name else value for own, value in zip(child.names(), child.values, strict=True)]
            return given | {key: Links(child.given_names, values)}
    raise KeyError(name)


def _dotted(value: Value) -> Iterator[str]:
    """The dotted names of all parts, however deep."""
    for name, part in value.parts():
        yield name
        if isinstance(part, Value):
            yield from (f"{name}.{inside}" for inside in _dotted(part))


def _entries(name: str, child: Any) -> Iterator[tuple[str, Any]]:
    """A child, or the entries of a tuple of them, however deep."""
    if not isinstance(child, tuple):
        yield name, child
    else:
        for n, part in enumerate(child):
            yield from _entries(f"{name}.{n}", part)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, Tracer) or isinstance(b, Tracer) or isinstance(a, float) != isinstance(b, float):
        return False
    try:
        return np.shape(a) == np.shape(b) and bool(np.array_equal(np.asarray(a), np.asarray(b)))
    except Exception:  # an array that was donated, or anything else that cannot be read: not known to be equal
        return False


_MISSING = object()


def factory(cls: type[V], **options: Any) -> Callable[[Callable[P, Any]], Callable[P, V]]:
    """A decorator that turns a body into a factory, whose calls are values of class ``cls``."""

    def decorate(body: Callable[P, Any]) -> Callable[P, V]:
        call = Call(body, cls, **options)

        @wraps(body)
        def keep(*args: P.args, **kwargs: P.kwargs) -> V:
            return call(*args, **kwargs)

        keep.__dict__.update(call=call)
        call.function = keep
        return keep

    return decorate
