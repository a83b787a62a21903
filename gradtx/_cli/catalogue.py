"""What there is, by name: read off the functions themselves."""

import inspect

import gradtx
from gradtx._value.call import Call

KINDS = {
    "_optimizers": "optimizers",
    "_wrappers": "combinators",
    "_rules": "combinators",
    "_roles": "combinators",
    "_links": "links",
    "_schedules": "schedules",
}


def catalogue() -> dict[str, list[str]]:
    """The names of all factories of transformations and schedules, by the room they stand in."""
    found: dict[str, list[str]] = {kind: [] for kind in dict.fromkeys(KINDS.values())}
    for name in gradtx.__all__:
        call = getattr(getattr(gradtx, name), "call", None)
        if isinstance(call, Call):
            found[KINDS[call.body.__module__.split(".")[1]]].append(name)
    return found


def factories() -> list[str]:
    """All names, of whatever kind."""
    return [name for names in catalogue().values() for name in names]


def summary(name: str) -> str:
    """The first sentence of the docstring."""
    return (inspect.getdoc(getattr(gradtx, name)) or "").partition("\n")[0]
