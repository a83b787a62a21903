"""What griffe reads of gradtx, made ready for the reference."""

from typing import Any

import griffe

import gradtx
from docs.make import docstrings, names

KINDS = {"transformation": "GradientTransformation", "schedule": "Schedule"}  # what a decorated factory returns


class Manual(griffe.Extension):
    """Docstrings with their formulas set and their names linked, and factories that return what users get."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """When all of gradtx is read."""
        if pkg.name == "gradtx":
            for name, (home, own) in gradtx._HOMES.items():
                if name != own:  # called otherwise where it is written
                    pkg.set_member(name, griffe.Alias(name, f"gradtx.{home}.{own}"))
            walk(pkg)


def walk(found: Any) -> None:
    """Each thing that gradtx itself defines, once."""
    if found.docstring is not None:
        home = found.path
        found.docstring.value = docstrings.shown(found.docstring.value, lambda word: public(word, home))
    if found.is_function:
        for decorator in found.decorators:
            kind = KINDS.get(str(decorator.value).rpartition(".")[2])
            if kind:
                found.returns = griffe.ExprName(kind)
    for member in found.members.values():
        if not member.is_alias:
            walk(member)


def public(word: str, home: str) -> str | None:
    """The public name that a word in a docstring stands for: at the door, or in the namespace where it is written."""
    spaces = [space for space in names.namespaces() if home.startswith((f"gradtx.{space}", f"gradtx._{space}"))]
    for name in (*(f"gradtx.{space}.{word}" for space in spaces), f"gradtx.{word}"):
        if name in names.public():
            return name
    head, _, last = word.rpartition(".")
    return f"gradtx.{word}" if head and f"gradtx.{head}" in names.public() and last.isidentifier() else None
