"""A factory: its parameters, and how a call of it is checked and stored."""

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, within
from gradtx._value.frozen import Frozen
from gradtx._value.functions import Made
from gradtx._value.hints import instead_of_argument
from gradtx._value.named_links import Links
from gradtx._value.numbers import Name
from gradtx._value.parameters import Parameter, parameters_of

CLOCK = {"count": "the step is", "key": "the random key is", "measurements": "measurements are"}
TAKEN = ("init", "update", "replace", "parts")
_ABSENT: Any = object()  # stands in for the default of a required argument


class Call(Made):
    """A factory: its body, its parameters, and how a call of it is checked and stored."""

    def __init__(
        self,
        body: Callable[..., Any],
        cls: Any,
        *,
        associative: bool = False,
        symbol: str = "",
        names_link: bool = False,
        opaque: bool = False,
    ):
        self.body, self.cls, self.associative, self.symbol, self.names_link = body, cls, associative, symbol, names_link
        self.opaque = opaque  # its calls may have side effects that a trace does not see
        self.name = body.__name__
        self.options = (cls, associative, symbol, names_link, opaque)
        self.function: Callable[..., Any] = body
        code = body.__code__
        taken = [name for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if name in TAKEN]
        if taken:
            raise TransformationError(f"{self.name}: no parameter may be called {taken[0]!r}: that is a method")

    # The properties below are computed at the first call, so that importing a hundred factories is cheap.

    @cached_property
    def what(self) -> Frozen:
        """The body as structure: its name; for a factory made inside a function, the body itself, by content."""
        return Frozen(self.body if "<locals>" in self.body.__qualname__ else self.name)

    def made_of(self) -> tuple[Any, ...] | None:
        """The parts of a factory that was made inside a function; None for any other factory."""
        return (self.name, self.options, self.body) if "<locals>" in self.body.__qualname__ else None

    @property
    def key(self) -> Any:
        """What the factory is compared by: itself, or its parts if it was made inside a function."""
        return (self.name, self.options, self.what.key) if "<locals>" in self.body.__qualname__ else self

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature of the body."""
        return inspect.signature(self.body)

    @cached_property
    def plain(self) -> inspect.Signature:
        """The same without annotations, to print."""
        bare = [p.replace(annotation=p.empty) for p in self.signature.parameters.values()]
        return self.signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name; all links together are one parameter, ``links``."""
        return parameters_of(self.body, self.signature)

    @cached_property
    def children(self) -> list[str]:
        """The names of the parameters that are subtrees of the value."""
        return [name for name, p in self.parameters.items() if p.kind != "structure"]

    @cached_property
    def structure(self) -> list[str]:
        """The names of the parameters that are static."""
        return [name for name, p in self.parameters.items() if p.kind == "structure"]

    @cached_property
    def ahead(self) -> list[str]:
        """The names of the parameters before ``*links``, if the factory takes links."""
        order = list(self.parameters)
        return order[: order.index("links")] if "links" in order else []

    @cached_property
    def template(self) -> dict[str, Any]:
        """The arguments of a call that gives none: the defaults, checked once."""
        empty = inspect.Parameter.empty
        return {
            name: _ABSENT if p.default is empty else within(f"{self.name}: {name}", self._accept)(p, p.default)
            for name, p in self.parameters.items()
        }

    @cached_property
    def by_position(self) -> tuple[str, ...]:
        """The names of the parameters that may be given by position."""
        kinds = inspect.Parameter
        by_keyword = (kinds.KEYWORD_ONLY, kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        return tuple(name for name, p in self.signature.parameters.items() if p.kind not in by_keyword)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The names of the parameters that must be given."""
        return tuple(name for name, x in self.template.items() if x is _ABSENT)

    @cached_property
    def takes_links_alone(self) -> bool:
        """Whether it is called with links and nothing else."""
        any_links = any(p.kind == p.VAR_POSITIONAL for p in self.signature.parameters.values())
        return any_links and list(self.parameters) == ["links"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self._with_links(args, kwargs) if "links" in self.parameters else self._given(args, kwargs)
        return self.cls._make(self, given)

    def _given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call without links. A wrong call goes to `_bind`, which raises the error."""
        given = self.template.copy()
        names = self.by_position
        if len(args) > len(names):
            self._bind(args, kwargs)
        for name, x in zip(names, args, strict=False):
            if kwargs and name in kwargs:
                self._bind(args, kwargs)
            given[name] = self._kept(name, x)
        for name, x in kwargs.items():
            if name not in given:
                self._bind(args, kwargs)
            given[name] = self._kept(name, x)
        for name in self.required:
            if given[name] is _ABSENT:
                self._bind(args, kwargs)
        return given

    def _kept(self, name: str, x: Any) -> Any:
        """An argument in its stored form: a float in range at once, anything else after all checks."""
        parameter = self.parameters[name]
        if type(x) is float and parameter.low <= x <= parameter.top:
            return SplitDecay.of(x) if parameter.split else x
        return within(f"{self.name}: {name}", self._accept)(parameter, x)

    def _with_links(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.takes_links_alone and not kwargs:
            return {"links": self._links(args, {})}
        bound = self._bind(args, kwargs)
        given = {}
        for name, parameter in self.parameters.items():
            if parameter.kind == "links":
                given["links"] = self._links(*bound[name])
            else:
                given[name] = within(f"{self.name}: {name}", self._accept)(parameter, bound[name])
        return given

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            known = [n for n, p in self.signature.parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            unknown = [name for name in kwargs if name not in known]
            keyword = [name for name, p in self.signature.parameters.items() if p.kind == p.KEYWORD_ONLY]
            what = str(error)
            if unknown:
                what = f"no argument {unknown[0]!r}{instead_of_argument(self.name, unknown[0], known)}"
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
        if x is None and parameter.optional:
            return None
        if parameter.kind == "link":
            return self.cls._link(x)
        if parameter.kind == "group":
            if not isinstance(x, Mapping):
                raise TransformationError(f"expected a mapping from labels to transformations, found {x!r}")
            if len({str(name) for name in x}) < len(x):
                raise TransformationError(f"two labels read the same: {', '.join(map(repr, x))}")
            adapted = {str(name): parameter.adapt(link) if parameter.adapt else link for name, link in x.items()}
            return _named({name: within(name, self.cls._link)(link) for name, link in adapted.items()})
        x = parameter.adapt(x) if parameter.adapt else x
        return x if isinstance(x, Name) else self._number(x, parameter, deep=parameter.kind != "number")

    def _number(self, x: Any, parameter: Parameter, *, deep: bool) -> Any:
        if not deep or not isinstance(x, list | tuple | Mapping):
            return self.cls._number(x, parameter.interval)
        entries = sorted(x.items()) if isinstance(x, Mapping) else x
        return tuple(self._number(entry, parameter, deep=True) for entry in entries)

    def _link(self, x: Any) -> Any:
        if isinstance(x, list | types.GeneratorType) or type(x) is tuple:
            raise TransformationError(
                f"expected a transformation, found a {type(x).__name__}: write {self.name}(*links)"
            )
        return self.cls._link(x)

    def _links(self, links: Iterable[Any], named: Mapping[str, Any]) -> "Links":
        names: list[str | None] = []
        values: list[Any] = []
        for link in links:
            link = link if isinstance(link, self.cls) else within(self.name, self._link)(link)
            if self.associative and link.call is self:
                spliced = link.given["links"]
                names += spliced.given_names
                values += spliced.values
            else:
                names.append(None)
                values.append(link)
        names += named
        values += [within(f"{self.name}: {name}", self.cls._link)(link) for name, link in named.items()]
        given = [name for name in names if name is not None]
        twice = next((name for name in given if given.count(name) > 1), None)
        if twice is not None:
            raise TransformationError(
                f"{self.name}: two links are named {twice!r}, with those of a {self.name} inside counted: rename one"
            )
        return within(self.name, _named)(Links(names, values))

    def rebuild(self, given: dict[str, Any]) -> Any:
        return self.cls._make(self, given)


def call_of(factory: Any) -> Call | None:
    """The call of one of our factories; None for anything else, also for a function that decorates a factory."""
    call = getattr(factory, "call", None)
    return call if isinstance(call, Call) and call.function is factory else None


def _named(links: Links | Mapping[str, Any]) -> Links:
    """The links, if none of them has a reserved name: that of a method or of the clock, such as ``count``."""
    links = links if isinstance(links, Links) else Links.of((), links)
    for name in links.names():
        if name in CLOCK or name in TAKEN:
            what = f"that is where {CLOCK[name]} kept" if name in CLOCK else "that is a method"
            raise TransformationError(f"no link may be named {name!r}: {what}")
    return links
