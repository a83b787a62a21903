"""A call of a factory, kept: a pytree whose leaves are the numbers of the call, and whose structure is all the rest.

Transformations and schedules are such values. Nothing is computed when one is made: the factory's body runs when the
value is used, with its schedules resolved, so the same value can be printed, compared, pickled, stacked, swept over,
differentiated and passed through ``jit``.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import jax
import numpy as np
from jax.core import Tracer

from gradtx._errors import TransformationError, suggest, within
from gradtx._frozen import Frozen
from gradtx._numbers import Interval, Kept, SplitDecay, show

ATTRIBUTE = jax.tree_util.GetAttrKey


class Parameter(NamedTuple):
    """A parameter: ``kind`` is number, whole (a schedule that is kept), structure, link, links or group."""

    kind: str
    interval: Interval | None
    default: Any


class Call:
    """What is known of a factory: its body, its parameters, and how a call of it is checked and kept."""

    def __init__(self, body: Callable[..., Any], cls: type["Value"], *, associative: bool = False, symbol: str = ""):
        self.body, self.cls, self.associative, self.symbol = body, cls, associative, symbol
        self.name = body.__name__
        self.signature = inspect.signature(body)
        self.parameters = _parameters(body, self.signature)
        bare = [p.replace(annotation=p.empty) for p in self.signature.parameters.values()]
        self.plain = self.signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
        self.function: Callable[..., Any] = body
        order = list(self.parameters)
        self.ahead = order[: order.index("links")] if "links" in order else []  # what stands before *links
        self.children = [name for name, p in self.parameters.items() if p.kind != "structure"]
        self.structure = [name for name, p in self.parameters.items() if p.kind == "structure"]

    def __call__(self, *args: Any, **kwargs: Any) -> "Value":
        bound = self._bind(args, kwargs)
        given = {}
        for name, parameter in self.parameters.items():
            if parameter.kind == "links":
                given["links"] = self._links(*bound[name])
            else:
                given[name] = within(f"{self.name}: {name}", self._accept)(parameter, bound[name])
        return self.cls._make(self, given)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            known = [n for n, p in self.signature.parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            unknown = [name for name in kwargs if name not in known]
            hint = suggest(unknown[0], known) if unknown else ""
            keyword = [
                name
                for name in self.structure
                if self.signature.parameters[name].kind == inspect.Parameter.KEYWORD_ONLY
            ]
            by_keyword = (
                f"; {', '.join(keyword)} must be given by keyword" if "too many" in str(error) and keyword else ""
            )
            raise TransformationError(
                f"{self.name}: {error}{hint}{by_keyword}; it takes {self.name}{self.plain}"
            ) from None
        bound.apply_defaults()
        star = [
            (p.kind, n) for n, p in self.signature.parameters.items() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        together = {kind: bound.arguments.pop(name) for kind, name in star}
        if together:
            kinds = inspect.Parameter
            bound.arguments["links"] = (together.get(kinds.VAR_POSITIONAL, ()), together.get(kinds.VAR_KEYWORD, {}))
        return bound.arguments

    def _accept(self, parameter: Parameter, x: Any) -> Any:
        if parameter.kind == "structure":
            return Frozen(x)
        if parameter.kind == "link":
            return self.cls._link(x)
        if parameter.kind == "group":
            return Links.of((), {str(name): within(str(name), self.cls._link)(link) for name, link in dict(x).items()})
        return self.cls._number(x, parameter.interval)

    def _links(self, links: Iterable[Any], named: Mapping[str, Any]) -> "Links":
        pairs: list[tuple[str | None, Any]] = []
        for link in links:
            link = within(self.name, self.cls._link)(link)
            spliced = self.associative and link._call is self
            pairs += link._given["links"].pairs if spliced else [(None, link)]
        pairs += [(name, within(f"{self.name}: {name}", self.cls._link)(link)) for name, link in named.items()]
        names = [name for name, _ in pairs if name is not None]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise TransformationError(f"{self.name}: two links are named {twice!r}")
        return Links([name for name, _ in pairs], [link for _, link in pairs])

    def rebuild(self, given: dict[str, Any]) -> "Value":
        return self.cls._make(self, given)


def _parameters(body: Callable[..., Any], signature: inspect.Signature) -> dict[str, Parameter]:
    try:
        hints = get_type_hints(body, include_extras=True)
    except NameError:  # annotations that only a type checker can see
        hints = {}
    found = {}
    for name, p in signature.parameters.items():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            found["links"] = Parameter("links", None, p.empty)
            continue
        marks = get_args(hints.get(name))[1:] if get_origin(hints.get(name)) is Annotated else ()
        kept = next((mark.kind for mark in marks if isinstance(mark, Kept)), None)
        interval = next((mark for mark in marks if isinstance(mark, Interval)), None)
        kind = "structure" if p.kind == p.KEYWORD_ONLY else kept or "number"
        found[name] = Parameter(kind, interval, p.default)
    return found


class Value:
    """A call of a factory as a pytree. Numbers, structure and links are its attributes; `replace` makes a new one."""

    __slots__ = ("_call", "_given")
    _call: Call
    _given: dict[str, Any]

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_pytree_with_keys(cls, cls._flatten_with_keys, cls._unflatten, cls._flatten)

    # How the calls of this kind of value take numbers and links; the two kinds differ in no more than this.

    @classmethod
    def _number(cls, x: Any, interval: Interval | None) -> Any:
        raise TransformationError(f"{cls.__name__} takes no numbers, found {x!r}")

    @classmethod
    def _link(cls, x: Any) -> Any:
        raise TransformationError(f"{cls.__name__} takes no links, found {x!r}")

    @classmethod
    def _exchange(cls, part: Any, x: Any) -> Any:
        """What may stand where ``part`` stood: a link for a link, a number for a number."""
        return cls._link(x) if isinstance(part, cls) else cls._number(x, None)

    # Making and taking apart ------------------------------------------------------------------------------------------

    @classmethod
    def _make(cls, call: Call, given: dict[str, Any]) -> Any:
        self = object.__new__(cls)
        object.__setattr__(self, "_call", call)
        object.__setattr__(self, "_given", given)
        return self

    def _aux(self) -> tuple[Call, tuple[Any, ...]]:
        return self._call, tuple(self._given[name] for name in self._call.structure)

    def _flatten(self) -> Any:
        return tuple(self._given[name] for name in self._call.children), self._aux()

    def _flatten_with_keys(self) -> Any:
        return tuple((ATTRIBUTE(name), self._given[name]) for name in self._call.children), self._aux()

    @classmethod
    def _unflatten(cls, aux: Any, children: Any) -> Any:
        call, structure = aux
        return cls._make(
            call, dict(zip(call.children, children, strict=True)) | dict(zip(call.structure, structure, strict=True))
        )

    def __reduce__(self) -> Any:
        return _rebuild, (self._call.function, self._given)

    @property
    def _link_name(self) -> str:
        """Its name among the links of a chain: its factory's, or what its structure calls ``name``."""
        return self._given["name"].value if "name" in self._call.structure else self._call.name

    # The parts by name ------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[tuple[str, Any]]:
        """The children by name: numbers as they are given (a decay as one number), links under their names."""
        for name in self._call.children:
            child = self._given[name]
            if isinstance(child, Links):
                yield from zip(child.names(), child.values, strict=True)
            elif isinstance(child, tuple):
                yield from ((f"{name}.{n}", part) for n, part in enumerate(child))
            else:
                yield name, child

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            given = self._given.get(name, dict(self.parts()).get(name, _MISSING))
            if given is not _MISSING:
                return given.value if isinstance(given, SplitDecay | Frozen) else given
        raise AttributeError(f"{self._call.name} has no {name!r}; it has {', '.join(self._known())}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self._call.name} is a value: use tx.replace({name}=...)")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._known()})

    def _known(self) -> list[str]:
        return [name for name, _ in self.parts()] + self._call.structure

    def replace(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
        """The same call with other arguments: a new value, and no new compilation where only numbers change.

        Names are those of the call (``learning_rate=3e-4``) or dotted (``{"adam.learning_rate": 3e-4}``), as deep as
        they go. New values are checked as in the call itself. Raises `TransformationError`: an unknown name.
        """
        given = dict(self._given)
        for path, x in {**(changes or {}), **more}.items():
            given = self._replaced(given, path.removeprefix(f"{self._call.name}.") if not self._has(path) else path, x)
        return self._make(self._call, given)

    def _has(self, path: str) -> bool:
        return any(path == name or path.startswith(f"{name}.") for name in self._known())

    def _replaced(self, given: dict[str, Any], path: str, x: Any) -> dict[str, Any]:
        call = self._call
        if path in call.parameters and path != "links":
            return given | {path: within(f"{call.name}: {path}", call._accept)(call.parameters[path], x)}
        current = self._make(call, given)
        for name, part in current.parts():
            if path == name or path.startswith(f"{name}."):
                inside = path[len(name) + 1 :]
                if not inside:
                    new = within(f"{call.name}: {name}", call.cls._exchange)(part, x)
                elif isinstance(part, Value):
                    new = within(call.name, part.replace)({inside: x})
                else:
                    break
                return _put(given, name, new)
        known = self._known()
        raise TransformationError(f"{call.name}: it has no {path!r}{suggest(path, known)}; it has {', '.join(known)}")

    # Comparing and printing -------------------------------------------------------------------------------------------

    def __eq__(self, other: Any) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, yours = jax.tree.flatten(self), jax.tree.flatten(other)
        return mine[1] == yours[1] and all(_same(a, b) for a, b in zip(mine[0], yours[0], strict=True))

    def __hash__(self) -> int:
        leaves, treedef = jax.tree.flatten(self)
        return hash((treedef, tuple(leaf if isinstance(leaf, float) else None for leaf in leaves)))

    def __repr__(self) -> str:
        if self._call.symbol:
            left, right = (show(self._given[name]) for name in self._call.children)
            return f"({left} {self._call.symbol} {right})"
        words = []
        for name, parameter in self._call.parameters.items():
            child = self._given[name]
            if isinstance(child, Links) and parameter.kind == "links":
                words += child.words(self._call.name)
            elif parameter.kind != "structure":
                words.append(f"{name}={show(child)}")
            elif child != Frozen(parameter.default):
                words.append(f"{name}={child!r}")
        return f"{self._call.name}({', '.join(words)})"


def _rebuild(function: Callable[..., Any], given: dict[str, Any]) -> Value:
    return function.call.rebuild(given)  # pyright: ignore[reportFunctionMemberAccess]


def _put(given: dict[str, Any], name: str, new: Any) -> dict[str, Any]:
    """``given`` with the part of that name exchanged, be it a child, an entry of a tuple or a link."""
    if name in given:
        return given | {name: new}
    head, _, index = name.partition(".")
    if head in given and isinstance(given[head], tuple):
        return given | {head: tuple(new if str(n) == index else part for n, part in enumerate(given[head]))}
    for key, child in given.items():
        if isinstance(child, Links) and name in child.names():
            values = [new if own == name else value for own, value in zip(child.names(), child.values, strict=True)]
            return given | {key: Links(child.given_names, values)}
    raise KeyError(name)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    tracer = Tracer
    if isinstance(a, tracer) or isinstance(b, tracer) or isinstance(a, float) != isinstance(b, float):
        return False
    try:
        return np.shape(a) == np.shape(b) and bool(np.array_equal(np.asarray(a), np.asarray(b)))
    except Exception:  # an array that was donated, or anything else that cannot be read: not known to be equal
        return False


_MISSING = object()


@jax.tree_util.register_pytree_with_keys_class
class Links:
    """Transformations in order, some under a name that the user gave. The names are structure."""

    __slots__ = ("given_names", "values")

    def __init__(self, given_names: Iterable[str | None], values: Iterable[Any]):
        self.given_names, self.values = tuple(given_names), tuple(values)

    @classmethod
    def of(cls, links: Iterable[Any], named: Mapping[str, Any]) -> "Links":
        links = list(links)
        return cls([None] * len(links) + list(named), links + list(named.values()))

    @property
    def pairs(self) -> list[tuple[str | None, Any]]:
        return list(zip(self.given_names, self.values, strict=True))

    def names(self) -> list[str]:
        """One name a link: the given one, or its factory's, numbered from the second on (``scale``, ``scale_1``)."""
        taken = {name for name in self.given_names if name}
        found = []
        for given, link in self.pairs:
            name, n = given or link._link_name, 0
            base = name
            while given is None and name in taken:
                n += 1
                name = f"{base}_{n}"
            taken.add(name)
            found.append(name)
        return found

    def triples(self) -> list[tuple[str, str | None, Any]]:
        """Of each link its name, the name that was given to it if any, and the link."""
        return list(zip(self.names(), self.given_names, self.values, strict=True))

    def words(self, factory: str) -> list[str]:
        """How they are written in the call; what ends with a named link before an unnamed one is a call of its own."""
        words = [repr(link) if name is None else f"{name}={link!r}" for name, link in self.pairs]
        last = max((n for n, name in enumerate(self.given_names) if name is None), default=-1)
        early = next((n for n, name in enumerate(self.given_names) if name is not None), len(words))
        if early > last:
            return words
        return [
            f"{factory}({', '.join(Links(self.given_names[:last], self.values[:last]).words(factory))})",
            *words[last:],
        ]

    def tree_flatten_with_keys(self) -> Any:
        return tuple((ATTRIBUTE(n), v) for n, v in zip(self.names(), self.values, strict=True)), self.given_names

    def tree_flatten(self) -> Any:
        return self.values, self.given_names

    @classmethod
    def tree_unflatten(cls, names: Any, values: Any) -> "Links":
        return cls(names, values)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{n!r}: {v!r}" for n, v in zip(self.names(), self.values, strict=True)) + "}"


def factory(cls: type[Value], **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the body becomes a function that keeps its call as a value of class ``cls``."""

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        call = Call(body, cls, **options)

        @wraps(body)
        def keep(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **kwargs)

        keep.__dict__.update(call=call, __signature__=call.plain)
        call.function = keep
        return keep

    return decorate
