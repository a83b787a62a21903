"""How ``*links`` and ``**named_links`` are stored: transformations in order, some under a name that the user gave."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax


class NamedLink(NamedTuple):
    """A link and the name that the user gave it, as a factory's body gets them among its ``*links``."""

    name: str
    link: Any


@jax.tree_util.register_pytree_with_keys_class
class Links:
    """Transformations in order, some under a name that the user gave. The names are structure."""

    __slots__ = ("_names", "given_names", "values")

    def __init__(self, given_names: Iterable[str | None], values: Iterable[Any], names: Sequence[str] = ()):
        self.given_names, self.values = tuple(given_names), tuple(values)
        self._names = names  # of the original links, in case JAX has put other objects in their place

    @classmethod
    def of(cls, links: Iterable[Any], named: Mapping[str, Any]) -> "Links":
        links = list(links)
        names = [link.name if isinstance(link, NamedLink) else None for link in links]
        values = [link.link if isinstance(link, NamedLink) else link for link in links]
        return cls([*names, *named], [*values, *named.values()])

    @property
    def pairs(self) -> list[tuple[str | None, Any]]:
        return list(zip(self.given_names, self.values, strict=True))

    @property
    def static(self) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
        """The static part: the names that the user gave, and all names."""
        return self.given_names, tuple(self.names())

    def names(self) -> list[str]:
        """One name per link: the given one, or its factory's, numbered from the second on (``scale``, ``scale_1``)."""
        if self._names and not all(hasattr(link, "link_name") for link in self.values):
            return list(self._names)
        taken = {name for name in self.given_names if name}
        found = []
        for given, link in self.pairs:
            name, n = given or link.link_name, 0
            base = name
            while given is None and name in taken:
                n += 1
                name = f"{base}_{n}"
            taken.add(name)
            found.append(name)
        return found

    def triples(self) -> list[tuple[str, str | None, Any]]:
        """For each link: its name, the name that the user gave it (or None), and the link."""
        return list(zip(self.names(), self.given_names, self.values, strict=True))

    def words(self, factory: str) -> list[str]:
        """The links as the call prints them; named links before an unnamed one are printed in a nested call."""
        words = [repr(link) if name is None else f"{name}={link!r}" for name, link in self.pairs]
        last = max((n for n, name in enumerate(self.given_names) if name is None), default=-1)
        early = next((n for n, name in enumerate(self.given_names) if name is not None), len(words))
        if early > last:
            return words
        return [
            f"{factory}({', '.join(Links(self.given_names[:last], self.values[:last]).words(factory))})",
            *words[last:],
        ]

    def __reduce__(self) -> Any:
        return Links, (self.given_names, self.values)

    def tree_flatten_with_keys(self) -> Any:
        key = jax.tree_util.GetAttrKey
        return tuple((key(n), v) for n, v in zip(self.names(), self.values, strict=True)), self.static

    def tree_flatten(self) -> Any:
        return self.values, self.static

    @classmethod
    def tree_unflatten(cls, static: Any, values: Any) -> "Links":
        given_names, names = static
        return cls(given_names, values, names)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{n!r}: {v!r}" for n, v in zip(self.names(), self.values, strict=True)) + "}"
