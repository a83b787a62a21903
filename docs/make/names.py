"""What there is: every public name of gradtx, and on which page of the reference it stands."""

import functools
import importlib
import inspect
from typing import NamedTuple

ROOMS = {  # of the names at the door: the rooms that a page is of, its title, and what it says first
    "optimizers": (("_optimizers",), "Optimizers", "Whole recipes, and the links that serve one of them only."),
    "links": (("_links",), "Links", "What a chain is made of: one idea each."),
    "wrappers": (("_wrappers",), "Chains, groups and wrappers", "What takes other transformations, in any order."),
    "schedules": (("_schedules",), "Schedules", "Numbers that change with the step, and what one can do with them."),
    "roles": (("_roles",), "Roles", "What a parameter is, read from its name, its shape and its layer."),
    "rules": (
        ("_rules", "_value"),
        "Rules and marks",
        "What rules, wrappers and factories of your own are written with.",
    ),
    "training": (("_training",), "Training", "The loops that are included."),
    "functions": (("_numeric", "_tree"), "Functions", "Arithmetic and linear algebra for rules and losses."),
}
NAMESPACES = (
    "tree", "projections", "sweep", "sweep.engines", "tune", "curvature", "initializers", "interop", "sharding",
    "diagnostics", "testing", "plot",
)  # fmt: skip


class Section(NamedTuple):
    """Names that one file of gradtx has: its first sentence, and the names."""

    title: str
    names: tuple[str, ...]


class Page(NamedTuple):
    """A page of the reference."""

    name: str
    title: str
    intro: str
    sections: tuple[Section, ...]


@functools.cache
def pages() -> tuple[Page, ...]:
    """All pages of the reference but that of `gradtx.optax`."""
    return (*(_of_rooms(name) for name in ROOMS), *(_of_namespace(name) for name in namespaces()))


@functools.cache
def namespaces() -> tuple[str, ...]:
    """The namespaces of gradtx, those that this manual orders first; `gradtx.optax` has a page of another kind."""
    import gradtx

    found = {*gradtx._NAMESPACES, "sweep.engines"} - {"optax"}
    return (*(name for name in NAMESPACES if name in found), *sorted(found - set(NAMESPACES)))


@functools.cache
def public() -> frozenset[str]:
    """Every public name, from `gradtx.` on."""
    return frozenset(name for page in pages() for section in page.sections for name in section.names)


@functools.cache
def page_of() -> dict[str, str]:
    """The page of each name, from the folder of the pages on."""
    return {n: f"reference/{page.name}.md" for page in pages() for section in page.sections for n in section.names}


def found(name: str) -> object:
    """What a public name stands for."""
    home, _, last = name.rpartition(".")
    return getattr(importlib.import_module(home), last)


def _of_rooms(name: str) -> Page:
    import gradtx

    rooms, title, intro = ROOMS[name]
    homes: dict[str, list[str]] = {}
    for own, (home, _) in gradtx._HOMES.items():
        if home.partition(".")[0] in rooms:
            homes.setdefault(f"gradtx.{home}", []).append(f"gradtx.{own}")
    return Page(name, title, intro, tuple(Section(_title(home), tuple(names)) for home, names in homes.items()))


def _of_namespace(name: str) -> Page:
    module = importlib.import_module(f"gradtx.{name}")
    homes: dict[str, list[str]] = {}
    for own in module.__all__:
        if f"{name}.{own}" not in namespaces():
            home = getattr(getattr(module, own), "__module__", None) or module.__name__
            homes.setdefault(home if home.startswith("gradtx.") else module.__name__, []).append(own)
    sections = [Section(_title(home), tuple(f"gradtx.{name}.{own}" for own in owns)) for home, owns in homes.items()]
    return Page(name, f"gradtx.{name}", _first(module), tuple(sections))


def _title(home: str) -> str:
    return _first(importlib.import_module(home)).partition(". ")[0].rstrip(".")


def _first(module: object) -> str:
    text = inspect.getdoc(module) or ""
    return " ".join(text.partition("\n\n")[0].split())
