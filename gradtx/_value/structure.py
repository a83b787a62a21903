"""The static part of a value: its factory, its structure, and how its numbers are laid out.

JAX compares the static part of every argument at every compiled call. So equal static parts are one object here, which
makes the comparison immediate.
"""

import pickle
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

import jax
import jax.export

from gradtx._value.decay import SplitDecay
from gradtx._value.frozen import Frozen
from gradtx._value.functions import Look
from gradtx._value.named_links import Links

Layout = tuple[Any, ...]
DECAY = "decay"


class Structure:
    """The static part of a value. ``layout`` says what each child is: a decay, named links, or (None) a plain child."""

    __slots__ = ("__weakref__", "_hash", "call", "frozen", "key", "layout", "looks")

    def __init__(self, call: Any, frozen: tuple[Frozen, ...], layout: Layout, key: tuple[Any, ...]):
        self.call, self.frozen, self.layout, self.key, self._hash = call, frozen, layout, key, hash(key)
        self.looks = looks_of(call, frozen)

    def holds(self) -> bool:
        """Whether its functions are still what they were."""
        return all(look.holds() for look in self.looks)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Structure) and self.key == other.key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{self.call.name}({', '.join(map(repr, self.frozen))})"

    def __reduce__(self) -> Any:
        return _rebuilt, (self.call.function, self.frozen, self.layout)

    def given(self, children: Any) -> dict[str, Any]:
        """The arguments of the call, with ``children`` in place of those that it was given."""
        rest = iter(children)
        given: dict[str, Any] = dict(zip(self.call.structure, self.frozen, strict=True))
        for name, made_of in zip(self.call.children, self.layout, strict=True):
            if made_of is None:
                given[name] = next(rest)
            elif made_of == DECAY:
                given[name] = SplitDecay(next(rest), next(rest))
            else:
                given_names, names = made_of
                given[name] = Links(given_names, [next(rest) for _ in names], names)
        return given


def looks_of(call: Any, frozen: Iterable[Frozen]) -> tuple[Look, ...]:
    """The looks at structure that may still change (see `Look`)."""
    return tuple([each.look for each in (call.what, *frozen) if each.look.reads])


_known: WeakValueDictionary[Any, Structure] = WeakValueDictionary()


def structure_of(call: Any, frozen: tuple[Frozen, ...], layout: Layout) -> Structure:
    """The one object for this structure."""
    key = _key_of(call, frozen, layout)
    found = _known.get(key)
    if found is None or not found.holds():
        found = _known[key] = Structure(call, frozen, layout, key)
    return found


def _key_of(call: Any, frozen: tuple[Frozen, ...], layout: Layout) -> tuple[Any, ...]:
    return call.key, tuple([each.key for each in frozen]), layout


def taken_apart(call: Any, given: dict[str, Any]) -> tuple[tuple[Any, ...], Structure]:
    """The children of a value as one flat tuple, and its static part."""
    children: list[Any] = []
    layout: list[Any] = []
    for name in call.children:
        child = given[name]
        kind = type(child)
        if kind is SplitDecay:
            children += (child.near, child.rest)
            layout.append(DECAY)
        elif kind is Links:
            children += child.values
            layout.append(child.static)
        else:
            children.append(child)
            layout.append(None)
    return tuple(children), structure_of(call, tuple([given[name] for name in call.structure]), tuple(layout))


def places(call: Any, given: dict[str, Any]) -> list[str]:
    """The names of the children, in the order of `taken_apart`: ``b1.near``, ``links.clip``."""
    found: list[str] = []
    for name in call.children:
        child = given[name]
        if type(child) is SplitDecay:
            found += (f"{name}.near", f"{name}.rest")
        elif type(child) is Links:
            found += [f"{name}.{own}" for own in child.names()]
        else:
            found.append(name)
    return found


def _rebuilt(function: Any, frozen: tuple[Frozen, ...], layout: Layout) -> Structure:
    return structure_of(function.call, frozen, layout)


# Exported programs ----------------------------------------------------------------------------------------------------


def exportable(cls: type) -> None:
    """Let `jax.export` serialize programs that take or return values of ``cls``.

    Their static part is pickled: as with any pickle, only load programs from a source that you trust.
    """
    jax.export.register_pytree_node_serialization(
        cls, serialized_name=f"gradtx.{cls.__name__}", serialize_auxdata=pickle.dumps, deserialize_auxdata=_read
    )


def _read(written: bytes | bytearray) -> Any:
    return pickle.loads(bytes(written))


for _node in (SplitDecay, Links):
    exportable(_node)
