"""The interpreter: machines with memory that take one step after another, in float64, by loops over leaves.

A machine gets the two signals and the step now in force (0 is the first), and keeps what it remembers. Signals,
gradients and parameters are dicts by path.
"""

import inspect
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tests.fuzz import links
from tests.fuzz.case import C
from tests.fuzz.recipes import RECIPES
from tests.fuzz.rounding import DECAYS, JITTER, jittered
from tests.fuzz.schedules import value

Tree = dict[str, np.ndarray]


def each(function: Any, *trees: Tree) -> Tree:
    """A function of the arrays at every path."""
    return {path: function(*(tree[path] for tree in trees)) for path in trees[0]}


def only(tree: Tree, paths: Any) -> Tree:
    """The part of a tree."""
    return {path: tree[path] for path in tree if path in paths}


def zeros(tree: Tree) -> Tree:
    return each(np.zeros_like, tree)


STRUCTURE = ("num_betas", "bits")


class Machine(ABC):
    """What all machines can do; ``frozen`` are the paths that do not move, ``conditions`` is as in a chain."""

    frozen: frozenset[str] = frozenset()
    conditions = True

    def __init__(self, call: C, params: Tree):
        self.call = call

    def numbers(self, now: int) -> dict[str, Any]:
        """The arguments of the call, with schedules at the step."""
        return {key: JITTER.number(key, value(x, now)) for key, x in self.call.numbers.items()}

    @abstractmethod
    def step(self, u: Tree, g: Tree, p: Tree, now: int) -> Tree:
        """The update, from the update and the gradient that come in."""

    def onward(self, u: Tree, g: Tree, new: Tree) -> Tree:
        """The gradient for the next machine, after a step that made ``new`` of the update."""
        return new if self.conditions and u is g else g

    def named(self, prefix: str, now: int) -> Any:
        """The numbers by their dotted names, at the step that this machine takes next."""
        for key, x in self.call.numbers.items():
            if key not in STRUCTURE and not isinstance(x, bool | str | tuple):
                yield f"{prefix}.{key}", value(x, now)

    def ahead(self, p: Tree, now: int) -> Tree:
        """The point of the next gradient."""
        return p

    def deployed(self, p: Tree, now: int) -> Tree:
        """The point to deploy."""
        return p


class Link(Machine):
    """A formula of one leaf after the other."""

    def __init__(self, call: C, params: Tree):
        super().__init__(call, params)
        self.formula, self.conditions = links.LINKS[call.name], call.name in links.CONDITIONS
        self.average = call.name in links.AVERAGES
        self.mask = call.numbers.get("mask")
        names = inspect.signature(self.formula).parameters.items()
        self.decays = {
            name: x.default for name, x in names if name in DECAYS and x.default is not inspect.Parameter.empty
        }
        self.kept: Any = {path: {"average": x} if self.average else {} for path, x in params.items()}

    def step(self, u, g, p, now):
        given = {name: JITTER.number(name, x) for name, x in self.decays.items()} | self.numbers(now)
        given.pop("mask", None)
        made = {}
        for path in u:
            if self.mask is not None and path not in self.mask:
                made[path] = u[path]
                continue
            made[path] = self.formula(u[path], g[path], p[path], now + 1, self.kept[path], **given)
        self.kept = jittered(self.kept)
        return jittered(made)

    def ahead(self, p, now):
        if self.call.name != "lookahead_trace":
            return p
        mu = self.numbers(now)["decay"]
        return {path: x + mu * self.kept[path].get("v", 0.0) for path, x in p.items()}

    def deployed(self, p, now):
        if not self.average:
            return p
        share = self.numbers(now).get("share", 1.0)
        return {path: (1 - share) * x + share * self.kept[path]["average"] for path, x in p.items()}


class Whole(Machine):
    """A function of all leaves."""

    def __init__(self, call: C, params: Tree):
        super().__init__(call, params)
        if call.name == "set_to_zero":
            self.frozen = frozenset(params)

    def step(self, u, g, p, now):
        return jittered(links.WHOLE[self.call.name](u, **self.numbers(now)))


class Freeze(Machine):
    """No update of some leaves."""

    def __init__(self, call: C, params: Tree):
        super().__init__(call, params)
        self.frozen = frozenset(call.arguments["mask"]) & frozenset(params)

    def step(self, u, g, p, now):
        return {path: np.zeros_like(x) if path in self.frozen else x for path, x in u.items()}


class Chain(Machine):
    """Links one after the other; a scope if it has a name or is a recipe."""

    def __init__(self, call: C, params: Tree, inside: Any = None, scope: bool = False):
        super().__init__(call, params)
        calls = spliced(call.links) if inside is None else [(None, link) for link in inside]
        self.scope, self.names = scope, None if inside is not None else key_names(calls)
        self.frozen = frozen_by([link for _, link in calls], params)
        params = {path: x for path, x in params.items() if path not in self.frozen}
        self.links = [scoped(link, params) if name else machine(link, params) for name, link in calls]
        self.conditions = all(link.conditions for link in self.links)

    def step(self, u, g, p, now):
        given = u
        one = self.scope or u is g
        u, p = ({path: x for path, x in tree.items() if path not in self.frozen} for tree in (u, p))
        g = u if one else only(g, u)
        for link in self.links:
            new = link.step(u, g, p, now)
            u, g = new, link.onward(u, g, new)
        self.gradient = g
        return {path: u[path] if path in u else np.zeros_like(x) for path, x in given.items()}

    def onward(self, u, g, new):
        return super().onward(u, g, new) if self.scope or (u is g and self.conditions) else g | self.gradient

    def ahead(self, p, now):
        return through(self.links, "ahead", p, now, self.frozen)

    def deployed(self, p, now):
        return through(self.links, "deployed", p, now, self.frozen)

    def named(self, prefix, now):
        if self.names is None:  # a recipe, or one link that has a name
            is_recipe = self.call.name in RECIPES
            yield from Machine.named(self, prefix, now) if is_recipe else self.links[0].named(prefix, now)
            return
        for name, link in zip(self.names, self.links, strict=True):
            yield from link.named(f"{prefix}.{name}", now)


def key_names(calls: Any) -> list[str]:
    """The names of links in a chain: a second one of a name is ``name_1``; those that were given stay."""
    names: list[str] = []
    for key, call in calls:
        name = key or call.name
        others = [x for x, (given, other) in zip(names, calls, strict=False) if not given and other.name == call.name]
        names.append(f"{name}_{len(others)}" if others and not key else name)
    return names


def through(machines: Any, which: str, p: Tree, now: int, frozen: Any) -> Tree:
    """A point, from one machine to the next; what is frozen stays."""
    moved = {path: x for path, x in p.items() if path not in frozen}
    for link in machines:
        moved = getattr(link, which)(moved, now)
    return {path: moved.get(path, x) for path, x in p.items()}


def frozen_by(calls: list[C], params: Tree) -> frozenset[str]:
    """The paths that one of the calls freezes."""
    return frozenset().union(*(machine(link, params).frozen for link in calls)) if calls else frozenset()


def scoped(call: C, params: Tree) -> Machine:
    """A link that was given a name: a scope of its own."""
    return Chain(call, params, [call], scope=True)


def spliced(calls: Any) -> list[tuple[str | None, C]]:
    """The links of a chain, with those of chains among them that have no name."""
    found = []
    for key, call in calls:
        found += spliced(call.links) if call.name == "chain" and not key else [(key, call)]
    return found


def machine(call: C, params: Tree) -> Machine:
    """The machine of a call, at its start."""
    from tests.fuzz.wrappers import WRAPPERS

    if call.name in links.LINKS:
        return Link(call, params)
    if call.name in links.WHOLE:
        return Whole(call, params)
    if call.name in RECIPES:
        return Chain(call, params, RECIPES[call.name](**call.arguments), scope=True)
    if call.name == "chain":
        return Chain(call, params)
    if call.name == "freeze":
        return Freeze(call, params)
    return WRAPPERS[call.name](call, params)


class Interpreter:
    """A whole transformation, with the one clock that all of it reads."""

    def __init__(self, call: C, params: Tree):
        self.root, self.count = Chain(C("chain", call), params, [call], scope=True), 0

    def step(self, g: Tree, p: Tree) -> Tree:
        """The update of the next step."""
        u = self.root.step(g, g, p, self.count)
        self.count += 1
        return u

    def point(self, which: str, p: Tree) -> Tree:
        """Where the next gradient is taken (``ahead``), or what is deployed."""
        return getattr(self.root, which)(p, self.count)

    def numbers(self) -> dict[str, float]:
        """Every number that was given, by its dotted name, at the next step."""
        inner = self.root.links[0]
        prefix = "" if inner.call.name == "chain" else inner.call.name
        return {name.removeprefix("."): x for name, x in inner.named(prefix, self.count)}
