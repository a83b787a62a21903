"""``python -m gradtx show``: what a transformation or a schedule computes, its formula and its links."""

import inspect
import re
from collections.abc import Callable
from textwrap import dedent
from typing import Any

import click

import gradtx
from gradtx._cli.catalogue import factories, summary
from gradtx._cli.words import OneOf
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.named_links import Links
from gradtx._value.value import Value


@click.command(short_help="What one of them computes: its formula and its links.")
@click.argument("name", type=OneOf("transformation or schedule", factories()))
def show(name: str) -> None:
    """What NAME computes: its call, its formula, its links and theirs."""
    click.echo(explain(name))


def formula(name: str) -> str:
    """The formula in the docstring: its first indented block."""
    lines = (inspect.getdoc(getattr(gradtx, name)) or "").splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("    ")), len(lines))
    end = next((n for n in range(start, len(lines)) if lines[n] and not lines[n].startswith("    ")), len(lines))
    return dedent("\n".join(lines[start:end])).strip("\n")


def symbolic(function: Callable[..., Any]) -> Value | None:
    """A call with symbols for numbers, which print as their names; None where it needs more than numbers."""
    parameters = function.call.parameters  # pyright: ignore[reportFunctionMemberAccess]
    needed = inspect.Parameter.empty
    if any(p.kind != "number" and (p.kind != "structure" or p.default is needed) for p in parameters.values()):
        return None
    return function(**{n: Symbol(n) for n, p in parameters.items() if p.kind == "number" and p.default is not None})


class Symbol:
    """Stands for a number in a call that is only printed."""

    def __init__(self, name: str):
        self.__qualname__ = name

    def __call__(self, step: Any) -> Any:
        raise TypeError(f"{self.__qualname__} is a symbol: it has no value")


def links(tx: Value) -> list[GradientTransformation]:
    """The links of a recipe, in order; what it returns if that is no chain; none of anything else."""
    given = {name: child.value if name in tx.call.structure else child for name, child in tx.given.items()}
    made = None if tx.call.associative or Links in map(type, given.values()) else tx.call.body(**given)
    if not isinstance(made, GradientTransformation):
        return []
    return list(made.given["links"].values) if "links" in made.given else [made]


def explain(name: str) -> str:
    """What ``python -m gradtx show`` prints: the call, the summary, the formula, and the links with theirs."""
    function = getattr(gradtx, name)
    parts = [f"{name}{function.call.plain}", summary(name), _indented(formula(name))]
    tx = symbolic(function)
    chained = links(tx) if isinstance(tx, GradientTransformation) else []
    if chained:
        parts.append("As a chain, in reading order:")
        parts += [f"  {_written(link)}\n{_indented(formula(link.call.name), 8)}" for link in chained]
    return "\n\n".join(part for part in parts if part.strip())


def _written(link: Value) -> str:
    return re.sub(r"function_of_step\(function=(\w+)\)", r"\1", repr(link))


def _indented(text: str, by: int = 4) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
