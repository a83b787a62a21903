"""How the names and signatures of gradtx differ from those of the installed Optax.

python -m tests.conventions.optax_names      # prints the tables of docs/pages/coming/optax.md
"""

import inspect
import warnings
from functools import cache
from typing import Any

import numpy as np
import optax

import gradtx
import gradtx.curvature
import gradtx.projections
import gradtx.tree

SPACES: dict[str, tuple[str, Any]] = {  # of Optax: where its names are here
    "optax": ("gradtx", gradtx),
    "optax.contrib": ("gradtx", gradtx),
    "optax.schedules": ("gradtx", gradtx),
    "optax.transforms": ("gradtx", gradtx),
    "optax.tree": ("gradtx.tree", gradtx.tree),
    "optax.projections": ("gradtx.projections", gradtx.projections),
    "optax.second_order": ("gradtx.curvature", gradtx.curvature),
}
ROOMS = {
    "Optimizers": ("_optimizers", "contrib"),
    "Links": ("_links",),
    "Wrappers": ("_wrappers",),
    "Schedules": ("_schedules",),
    "Functions": ("",),
}
STAYS = ("losses", "perturbations", "assignment", "microbatching", "experimental")
ANOTHER = ("bias_correction",)  # has the name of something else here
REQUIRED = "required"


def of(path: str) -> Any:
    """A namespace of Optax."""
    return optax if path == "optax" else getattr(optax, path.removeprefix("optax."))


def public(path: str) -> list[str]:
    """The functions in a namespace of Optax; types, and losses where they are repeated, are not among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {name: getattr(of(path), name) for name in dir(of(path)) if name[0] not in "_ABCDEFGHIJKLNOPQRSTUVWXYZ"}
        theirs = {name for space in STAYS for name in dir(of(f"optax.{space}"))}
    found = {name: each for name, each in found.items() if not inspect.ismodule(each) and name not in theirs}
    return [name for name in found if name != "microbatch" and (name[0] != "M" or name == "MultiSteps")]


@cache
def pairs() -> dict[str, tuple[Any, Any]]:
    """By its name in gradtx: Optax's function, and ours."""
    found: dict[str, tuple[Any, Any]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path, (where, place) in SPACES.items():
            for name in public(path):
                found.setdefault(f"{where}.{name}", (getattr(of(path), name), getattr(place, name, None)))
    return found


def room(name: str, ours: Any) -> str:
    """The row of the table in which a name stands."""
    where = name.rpartition(".")[0]
    if where == "gradtx.tree":
        return "Of trees: `gradtx.tree`"
    if where != "gradtx":
        return f"{where.removeprefix('gradtx.').capitalize()}: `{where}`"
    module = getattr(inspect.unwrap(getattr(ours, "call", ours)), "__module__", "") or ""
    function = getattr(getattr(ours, "call", None), "function", ours)
    module = getattr(function, "__module__", module)
    return next((row for row, parts in ROOMS.items() if f"gradtx.{parts[0]}." in f"{module}."), "Functions")


def signatures() -> dict[str, tuple[dict[str, inspect.Parameter], dict[str, inspect.Parameter]]]:
    """The parameters of Optax's function and ours, of each name that is the same thing here."""
    found = {}
    for name, (theirs, ours) in pairs().items():
        if callable(theirs) and ours is not None and name.rpartition(".")[2] not in ANOTHER:
            found[name] = tuple(dict(inspect.signature(each).parameters) for each in (theirs, ours))
    return found


def shown(default: Any) -> str:
    """A default, as a table says it: what has no short form is a function."""
    if default is inspect.Parameter.empty:
        return REQUIRED
    if isinstance(default, type) or type(default).__name__ == "_ScalarMeta":
        return repr(np.dtype(default).name)
    return "a function" if callable(default) or hasattr(default, "init") else repr(default)


def _same(theirs: Any, ours: Any) -> bool:
    try:
        return shown(theirs) == shown(ours) or bool(theirs == ours)
    except (TypeError, ValueError):
        return False


def defaults() -> set[tuple[str, str, str, str]]:
    """The arguments of both whose defaults differ: name, argument, Optax's, ours."""
    return {
        (name, argument, shown(parameter.default), shown(ours[argument].default))
        for name, (theirs, ours) in signatures().items()
        for argument, parameter in theirs.items()
        if argument in ours and not _same(parameter.default, ours[argument].default)
    }


def absent() -> set[tuple[str, str]]:
    """The arguments of Optax that ours does not have, lists of arguments apart."""
    return {
        (name, argument)
        for name, (theirs, ours) in signatures().items()
        for argument, parameter in theirs.items()
        if argument not in ours and parameter.kind != parameter.VAR_POSITIONAL and not _unnamed(argument, theirs, ours)
    }


def _unnamed(argument: str, theirs: Any, ours: Any) -> bool:
    """Whether it is a first argument, which is given by position, under another name."""
    return list(theirs).index(argument) == 0 and next(iter(ours)) not in theirs


def by_keyword() -> dict[str, set[str]]:
    """The arguments that Optax takes by position too, and we by keyword only; each with the names that have it."""
    found: dict[str, set[str]] = {}
    for name, (theirs, ours) in signatures().items():
        for argument, parameter in theirs.items():
            kinds = parameter.kind, getattr(ours.get(argument), "kind", None)
            if kinds == (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(argument, set()).add(name)
    return found


def shifted() -> dict[str, int]:
    """The names whose numbers do not all stand at Optax's places, and how many arguments do."""
    found = {}
    for name, (theirs, ours) in signatures().items():
        there, here = (
            [each for each, p in side.items() if p.kind == p.POSITIONAL_OR_KEYWORD] for side in (theirs, ours)
        )
        alike = next((n for n, (a, b) in enumerate(zip(there, here, strict=False)) if a != b and n), None)
        if alike is not None:
            found[name] = alike
    return found


def _short(name: str) -> str:
    return name.removeprefix("gradtx.")


def _listed(names: Any) -> str:
    return ", ".join(f"[`{_short(name)}`][{name}]" for name in sorted(names))


def main() -> None:
    """Print the tables."""
    rows: dict[str, list[str]] = {}
    for name, (_, ours) in pairs().items():
        rows.setdefault("?" if ours is None else room(name, ours), []).append(name)
    for row, names in rows.items():
        print(f"| {row} | {_listed(names)} |")
    for name, argument, theirs, ours in sorted(defaults()):
        print(f"| [`{_short(name)}`][{name}] | `{argument}` | `{theirs}` | `{ours}` | |")
    for name, argument in sorted(absent()):
        print(f"| [`{_short(name)}`][{name}] | `{argument}` | |")
    for argument, names in sorted(by_keyword().items()):
        print(f"| `{argument}` | {_listed(names)} |")
    for name, n in sorted(shifted().items()):
        print(f"| [`{_short(name)}`][{name}] | {n} |")


if __name__ == "__main__":
    main()
