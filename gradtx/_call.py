"""What is known of a factory: its parameters, and how a call of it is checked and kept."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import jax.numpy as jnp

from gradtx._errors import TransformationError, suggest, within
from gradtx._frozen import Frozen
from gradtx._links import Links
from gradtx._numbers import Interval, Kept


class Parameter(NamedTuple):
    """A parameter: ``kind`` is number, numbers (a tuple too), whole (schedules kept), structure, link, links or group.

    ``interval`` is where a number must lie; ``check`` raises where structure is not one of a ``Literal``, or no dtype.
    """

    kind: str
    interval: Interval | None
    default: Any
    check: Callable[[Any], None] | None = None


class Call:
    """What is known of a factory: its body, its parameters, and how a call of it is checked and kept."""

    def __init__(self, body: Callable[..., Any], cls: Any, *, associative: bool = False, symbol: str = ""):
        self.body, self.cls, self.associative, self.symbol = body, cls, associative, symbol
        self.name = body.__name__
        self.signature = inspect.signature(body)
        bare = [p.replace(annotation=p.empty) for p in self.signature.parameters.values()]
        self.plain = self.signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
        self.function: Callable[..., Any] = body

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name, all links as one, ``links``; read at the first call, so that importing is cheap."""
        return _parameters(self.body, self.signature)

    @cached_property
    def children(self) -> list[str]:
        """What is a subtree of the value."""
        return [name for name, p in self.parameters.items() if p.kind != "structure"]

    @cached_property
    def structure(self) -> list[str]:
        """What is static."""
        return [name for name, p in self.parameters.items() if p.kind == "structure"]

    @cached_property
    def ahead(self) -> list[str]:
        """What stands before ``*links``, where there are any."""
        order = list(self.parameters)
        return order[: order.index("links")] if "links" in order else []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
            keyword = [name for name, p in self.signature.parameters.items() if p.kind == p.KEYWORD_ONLY]
            what = str(error)
            if unknown:
                what = f"no argument {unknown[0]!r}{suggest(unknown[0], known)}"
            elif "too many" in what and keyword:
                what = f"{what}; {', '.join(keyword)} must be given by keyword"
            raise TransformationError(f"{self.name}: {what}; it takes {self.name}{self.plain}") from None
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
            if parameter.check is not None:
                parameter.check(x)
            return Frozen(x)
        if parameter.kind == "link":
            return self.cls._link(x)
        if parameter.kind == "group":
            if not isinstance(x, Mapping):
                raise TransformationError(f"expected a mapping from labels to transformations, found {x!r}")
            return _named({str(name): within(str(name), self.cls._link)(link) for name, link in x.items()})
        if x is None and parameter.default is None:
            return None
        return self._number(x, parameter, deep=parameter.kind != "number")

    def _number(self, x: Any, parameter: Parameter, *, deep: bool) -> Any:
        if not deep or not isinstance(x, list | tuple | Mapping):
            return self.cls._number(x, parameter.interval)
        entries = sorted(x.items()) if isinstance(x, Mapping) else x
        return tuple(self._number(entry, parameter, deep=True) for entry in entries)

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
        return within(self.name, _named)(Links([name for name, _ in pairs], [link for _, link in pairs]))

    def rebuild(self, given: dict[str, Any]) -> Any:
        return self.cls._make(self, given)


def _named(links: Links | Mapping[str, Any]) -> Links:
    """The links, if none takes the place where the step is kept."""
    links = links if isinstance(links, Links) else Links.of((), links)
    if "count" in links.names():
        raise TransformationError("no link may be named 'count': that is where the step is kept")
    return links


def _one_of(choices: tuple[Any, ...], x: Any) -> None:
    if x not in choices:
        raise TransformationError(f"expected {' or '.join(map(repr, choices))}, found {x!r}")


def _floating(x: Any) -> None:
    try:
        right = x is None or jnp.issubdtype(jnp.dtype(x), jnp.floating)
    except TypeError:
        right = False
    if not right:
        raise TransformationError(f"expected a floating-point dtype such as 'bfloat16', found {x!r}")


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
        bare = get_args(hints[name])[0] if marks else hints.get(name)
        check = partial(_one_of, get_args(bare)) if get_origin(bare) is Literal else None
        check = _floating if kept == "dtype" else check
        kind = "structure" if p.kind == p.KEYWORD_ONLY else kept or "number"
        found[name] = Parameter(kind, interval, p.default, check)
    return found
