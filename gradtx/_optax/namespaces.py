"""Optax's namespaces: ours where we have a name, and Optax's own where it is installed."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

Find = Callable[[str], Any]
MISSING = object()


def of_optax(path: str, name: str) -> Any:
    """A name of Optax itself. Raises `AttributeError`: there is none, or Optax is not installed."""
    where = f"optax.{path}" if path else "optax"
    try:
        place = importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name != "optax" and not where.startswith(f"{error.name}"):
            raise
        if importlib.util.find_spec("optax") is None:
            what = (
                f"gradtx.{where} has no {name!r} of its own; Optax's is taken where it is installed: pip install optax"
            )
        else:
            what = f"Optax has no {where}"
        raise AttributeError(what, name=name) from None
    found = getattr(place, name, MISSING)
    if found is MISSING:
        raise AttributeError(f"neither gradtx.optax nor Optax has {where.removeprefix('optax.')}.{name}", name=name)
    return found


class Namespace(types.ModuleType):
    """A module of Optax's, such as ``optax.contrib``: looks a name up among ours first."""

    def __init__(self, path: str, *places: Find):
        super().__init__(
            f"gradtx.optax.{path}", f"optax.{path}: gradtx's where it has the name, and Optax's elsewhere."
        )
        self.__dict__.update(_path=path, _places=places, __path__=[])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for find in self._places:
            found = find(name)
            if found is not MISSING:
                return found
        return of_optax(self._path, name)


def opened(path: str, *places: Find) -> Namespace:
    """A namespace that ``import gradtx.optax.<path>`` finds, too."""
    made = Namespace(path, *places)
    sys.modules[made.__name__] = made
    return made


def among(place: Any, prefix: str = "", **others: str) -> Find:
    """Looks up in a module or a mapping, without a prefix that the names have, and under other names."""

    def find(name: str) -> Any:
        if name not in others and not name.startswith(prefix):
            return MISSING
        own = others.get(name, name.removeprefix(prefix))
        return place.get(own, MISSING) if isinstance(place, dict) else getattr(place, own, MISSING)

    return find
