"""What the command line says about a sweep, read: axes, distributions, optimizers and the names of their numbers."""

import ast
import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gradtx
from gradtx._cli.calls import read
from gradtx._cli.catalogue import catalogue
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.value import Value
from gradtx.sweep import Distribution, Population
from gradtx.sweep._engine.room import check_room

RANGE = "NAME=LOW:HIGH:lin|log:COUNT"
DRAWN = "NAME=LOW:HIGH:lin|log|int"


# Axes and distributions -----------------------------------------------------------------------------------------------


def axis(text: str) -> tuple[str, list[Any]]:
    """An axis of a grid.

    >>> axis("learning_rate=1e-3:1e-1:log:3")
    ('learning_rate', [0.001, 0.01, 0.1])
    >>> axis("b1=1-1e-2:1e-1:log:2"), axis("momentum=0,0.9")
    (('b1', [0.99, 0.9]), ('momentum', [0, 0.9]))
    """
    name, spec = _named("--grid", text, RANGE)
    parts = spec.split(":")
    if len(parts) == 1:
        return name, _values(f"--grid {text}", spec)
    low, high, spacing, minus = _bounds(f"--grid {text}", parts, RANGE, ("lin", "log"))
    if len(parts) == 3:
        raise TransformationError(f"--grid {text}: how many values? such as {name}={spec}:16")
    if len(parts) != 4 or not parts[3].isdigit() or int(parts[3]) < 1:
        raise TransformationError(f"--grid {text}: expected {RANGE} with a whole COUNT, 1 or more")
    check_room(f"--grid {text}", int(parts[3]))
    made = (np.geomspace if spacing == "log" else np.linspace)(low, high, int(parts[3]))
    values = [float(f"{1 - x if minus else x:.12g}") for x in made.tolist()]
    return name, values


def distribution(text: str) -> tuple[str, Distribution]:
    """What an axis is drawn from.

    >>> distribution("learning_rate=1e-4:1e-1:log"), distribution("b1=1-1e-3:1e-1:log")
    (('learning_rate', log_uniform(0.0001, 0.1)), ('b1', one_minus(log_uniform(0.001, 0.1))))
    >>> distribution("n=1:4:int"), distribution("momentum=0,0.9")
    (('n', integers(1, 4)), ('momentum', choice([0, 0.9])))
    """
    sweep = gradtx.sweep
    name, spec = _named("--random", text, DRAWN)
    parts = spec.split(":")
    if len(parts) == 1:
        return name, sweep.choice(_values(f"--random {text}", spec))
    low, high, kind, minus = _bounds(f"--random {text}", parts, DRAWN, ("lin", "log", "int"))
    if len(parts) == 4:
        raise TransformationError(
            f"--random {text}: it is drawn, so it has no count: say {DRAWN}, and --draws {parts[3]}"
        )
    if len(parts) != 3:
        raise TransformationError(f"--random {text}: expected {DRAWN}")
    if kind == "int":
        if low != int(low) or high != int(high):
            raise TransformationError(f"--random {text}: expected whole numbers, found {low:g} and {high:g}")
        return name, sweep.integers(int(low), int(high))
    made = sweep.log_uniform(low, high) if kind == "log" else sweep.uniform(low, high)
    return name, sweep.one_minus(made) if minus else made


def _named(option: str, text: str, form: str) -> tuple[str, str]:
    name, equals, spec = (part.strip() for part in text.partition("="))
    if not equals or not name or not spec:
        raise TransformationError(f"{option} {text}: expected {form}, or a list NAME=A,B,C")
    return name, spec


def _bounds(where: str, parts: Sequence[str], form: str, kinds: Sequence[str]) -> tuple[float, float, str, bool]:
    minus = parts[0].startswith("1-")
    first = parts[0][2:] if minus else parts[0]
    numbers = []
    for word in (first, parts[1]):
        try:
            numbers.append(float(word))
        except ValueError:
            raise TransformationError(f"{where}: {word!r} is no number; expected {form}") from None
    low, high = numbers
    if len(parts) < 3:
        raise TransformationError(f"{where}: say {' or '.join(kinds)}: expected {form}")
    if parts[2] not in kinds:
        raise TransformationError(f"{where}: {parts[2]!r} is not {' or '.join(kinds)}; expected {form}")
    if not math.isfinite(low) or not math.isfinite(high) or low > high:
        raise TransformationError(f"{where}: expected LOW ≤ HIGH, found {low:g} and {high:g}")
    if parts[2] == "log" and low <= 0:
        raise TransformationError(f"{where}: a log range begins above 0, found {low:g}; lin may begin there")
    if minus and parts[2] == "int":
        raise TransformationError(f"{where}: 1- goes with lin or log")
    return low, high, parts[2], minus


def _values(where: str, spec: str) -> list[Any]:
    found = []
    for word in spec.split(","):
        try:
            x = ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(word.strip(), word.strip()))
        except (ValueError, SyntaxError):
            raise TransformationError(f"{where}: {word.strip()!r} is no number, True, False or None") from None
        if not isinstance(x, int | float | str) and x is not None:
            raise TransformationError(f"{where}: {word.strip()!r} is no number, True, False or None")
        found.append(x)
    return found


# Optimizers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Optimizer:
    """An optimizer as it was written: a factory (``adam``) or a whole call (``adam(0.01, b2=0.99)``)."""

    text: str
    made: Any

    @property
    def name(self) -> str:
        """The name of its factory."""
        return self.made.call.name if isinstance(self.made, Value) else self.text

    @property
    def needed(self) -> list[str]:
        """The numbers that a factory has no default for."""
        if isinstance(self.made, Value):
            return []
        found = self.made.call.parameters
        return [name for name, p in found.items() if p.default is inspect.Parameter.empty and p.kind != "structure"]

    def names(self) -> list[str]:
        """Every name that an axis may have, from the outside in."""
        return _deep(self.made) if isinstance(self.made, Value) else list(self.made.call.parameters)

    def find(self, asked: str) -> str | None:
        """The full name of what is asked for, which may leave out what stands in front; None where it has none."""
        names = self.names()
        own = asked.removeprefix(f"{self.name}.")
        for name in (asked, own):
            if name in names:
                return name
        found = [name for name in names if name.endswith(f".{asked}")]
        if len(found) > 1:
            raise TransformationError(f"{asked}: {self.text} has {' and '.join(found)}: say which")
        return found[0] if found else None

    def make(self, numbers: Mapping[str, Any]) -> Any:
        """The transformation with these numbers, by their full names."""
        return self.made.replace(numbers) if isinstance(self.made, Value) else self.made(**numbers)


def optimizer(text: str) -> Optimizer:
    """An optimizer of a name, or of a call that is written out.

    >>> optimizer("adam").needed, optimizer("chain(clip(1.0), sgd(0.1))").find("learning_rate")
    (['learning_rate'], 'sgd.learning_rate')
    """
    text = text.strip()
    if text.isidentifier():
        found = catalogue()
        known = [name for kind, names in found.items() if kind != "schedules" for name in names]
        if text not in known:
            raise TransformationError(
                f"no optimizer {text!r}{suggest(text, known)}; `python -m gradtx list` has them all"
            )
        return Optimizer(text, getattr(gradtx, text))
    made = read(text)
    if not isinstance(made, GradientTransformation):
        raise TransformationError(f"--optimizer {text}: expected a transformation, found {type(made).__name__}")
    return Optimizer(text, made)


def _deep(value: Value) -> list[str]:
    found = list(value.call.structure)
    for name, part in value.parts():
        found.append(name)
        if isinstance(part, Value):
            found += [f"{name}.{inner}" for inner in _deep(part)]
    return found


def numbers_of_loss(loss: Callable[..., Any]) -> list[str]:
    """The names of the numbers that a loss takes behind parameters and batch."""
    try:
        parameters = list(inspect.signature(loss).parameters.values())[2:]
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def needed_by_loss(loss: Callable[..., Any]) -> list[str]:
    """Those of them that have no default."""
    names = numbers_of_loss(loss)
    return [name for name in names if inspect.signature(loss).parameters[name].default is inspect.Parameter.empty]


# The points of a sweep ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Space:
    """Optimizers, axes and distributions, every name with its place: which optimizers take it, or the loss."""

    optimizers: list[Optimizer]
    axes: dict[str, list[Any]]
    drawn: dict[str, Distribution]
    of_loss: dict[str, str] = field(default_factory=dict)
    of_optimizers: list[dict[str, str]] = field(default_factory=list)

    @property
    def several(self) -> bool:
        """Whether there is more than one optimizer, and so a column that says which."""
        return len(self.optimizers) > 1

    def maker(self) -> Callable[..., Any]:
        """A factory of all optimizers, for points whose names are as they were written."""

        def make(*, optimizer: str | None = None, **numbers: Any) -> Any:
            n = next((n for n, own in enumerate(self.optimizers) if own.text == optimizer), 0)
            names = self.of_optimizers[n]
            return self.optimizers[n].make({names[name]: x for name, x in numbers.items()})

        return make

    def rows(self, draws: int, seed: int) -> list[dict[str, Any]]:
        """The points: of each optimizer the grid, or the grid at every draw. Numbers it does not have are left out."""
        rng = np.random.default_rng(seed)
        drawn = [{name: d.draw(rng) for name, d in self.drawn.items()} for _ in range(draws)] if self.drawn else [{}]
        found = []
        for n, own in enumerate(self.optimizers):
            names = {*self.of_optimizers[n], *self.of_loss}
            axes = {name: values for name, values in self.axes.items() if name in names}
            grid = [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]
            first = {"optimizer": own.text} if self.several else {}
            seen = []
            for draw in drawn:
                here = {name: x for name, x in draw.items() if name in names}
                if here in seen:  # nothing that is drawn concerns this optimizer
                    continue
                seen.append(here)
                found += [{**first, **here, **each} for each in grid]
        return found

    def redrawn(self) -> dict[str, Distribution]:
        """What a population may draw anew, by full names: the distributions of numbers."""
        numbers = {n: d for n, d in self.drawn.items() if all(isinstance(x, int | float) for x in d.values)}
        own = self.optimizers[0]
        call = own.made.call
        front = "" if call.associative else f"{own.name}."
        names = {name: f"{front}{full}" for name, full in self.of_optimizers[0].items()} | self.of_loss
        return {names[name]: d for name, d in numbers.items()}

    def size(self, draws: int) -> int:
        """How many points there are at the most."""
        found = 0
        for names in self.of_optimizers:
            axes = [values for name, values in self.axes.items() if name in names or name in self.of_loss]
            found += math.prod(map(len, axes)) * (draws if self.drawn else 1)
        return found

    def population(self, draws: int, seed: int, seeds: Sequence[int] | None) -> Population:
        """The population of all points."""
        rows = [{self.of_loss.get(name, name): x for name, x in row.items()} for row in self.rows(draws, seed)]
        numbers = list(self.of_loss.values())
        return gradtx.sweep.points(self.maker(), rows, numbers=numbers, seeds=seeds)


def space(
    optimizers: Sequence[Optimizer], axes: Mapping[str, list[Any]], drawn: Mapping[str, Distribution], loss: Any
) -> Space:
    """Every name in its place. Raises `TransformationError`: a name that nobody has, or that could be two things."""
    made = Space(list(optimizers), dict(axes), dict(drawn), {}, [{} for _ in optimizers])
    texts = [own.text for own in optimizers]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise TransformationError(f"--optimizer {twice}: given twice")
    for_loss = numbers_of_loss(loss)
    for name in (*axes, *drawn):
        option = "--grid" if name in axes else "--random"
        if name in axes and name in drawn:
            raise TransformationError(f"{name}: both --grid and --random: one of them")
        try:
            found = [own.find(name) for own in optimizers]
        except TransformationError as error:
            raise TransformationError(f"{option} {error}") from None
        mine = name.removeprefix("loss.") in for_loss
        if mine and any(found) and not name.startswith("loss."):
            own = next(own.name for own, full in zip(optimizers, found, strict=True) if full)
            raise TransformationError(f"{option} {name}: say {own}.{name} or loss.{name}: both have it")
        places = [(names, full) for names, full in zip(made.of_optimizers, found, strict=True) if full]
        if mine:
            places = [(made.of_loss, name.removeprefix("loss."))]
        for names, full in places:
            twice = next((other for other, place in names.items() if place == full), None)
            if twice is not None:
                raise TransformationError(f"{option} {name}: the same as {twice}: one of them")
            names[name] = full
        if not places:
            raise TransformationError(f"{option} {name}: {_unknown(name, optimizers, for_loss)}")
    missing = next((name for name in needed_by_loss(loss) if name not in ("key", *made.of_loss.values())), None)
    if missing is not None:
        raise TransformationError(f"the loss takes {missing}, which has no default: say --grid {missing}=0,1e-4")
    _check_needed(made)
    return made


def _unknown(name: str, optimizers: Sequence[Optimizer], for_loss: Sequence[str]) -> str:
    known = list(dict.fromkeys(part for own in optimizers for part in own.names()))
    who = " and ".join(dict.fromkeys(own.name for own in optimizers))
    have = "has" if len({own.name for own in optimizers}) == 1 else "have"
    hint = suggest(name, [*known, *(part.rpartition(".")[2] for part in known), *for_loss])
    loss = f", nor the loss, which takes {', '.join(for_loss)}" if for_loss else ""
    return f"{who} {have} no {name!r}{loss}{hint}" + ("" if hint else f"; there are {', '.join(known)}")


def _check_needed(made: Space) -> None:
    for own, names in zip(made.optimizers, made.of_optimizers, strict=True):
        missing = next((name for name in own.needed if name not in names.values()), None)
        if missing == "learning_rate":
            raise TransformationError(
                f"{own.text} needs a learning_rate: add --grid learning_rate=1e-4:1e-1:log:16, or give the call: "
                f'--optimizer "{own.text}(0.001)"'
            )
        if missing is not None:
            raise TransformationError(
                f'{own.text} needs {missing}: give the call, --optimizer "{own.text}({missing}=...)"'
            )
