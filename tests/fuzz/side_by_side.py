"""What stands side by side, as machines: groups of leaves, and branches of one signal."""

from typing import Any

import numpy as np

from tests.fuzz.case import C
from tests.fuzz.links import norm, over
from tests.fuzz.machine import Machine, Tree, each, key_names, machine, only
from tests.fuzz.rounding import jittered


class Groups(Machine):
    """Leaves by label, each group with a machine of its own; both signals are restricted."""

    def __init__(self, call: C, params: Tree):
        super().__init__(call, params)
        labels = dict(call.numbers["labels"])
        of = {path: labels.get(path, labels.get("*")) for path in params}
        groups = [(tuple(path for path in params if of[path] == label), link) for label, link in call.links]
        self.groups = [(paths, machine(link, only(params, paths))) for paths, link in groups]
        self.names = [name for name, _ in call.links]
        self.frozen = frozenset(path for _, one in self.groups for path in one.frozen)
        self.conditions = all(one.conditions for _, one in self.groups)

    def step(self, u, g, p, now):
        made, self.gradient = dict(u), dict(g)
        for paths, one in self.groups:
            v = only(u, paths)
            w = v if u is g else only(g, paths)
            new = one.step(v, w, only(p, paths), now)
            made |= new
            self.gradient |= one.onward(v, w, new)
        return made

    def onward(self, u, g, new):
        return new if u is g and self.conditions else self.gradient

    def ahead(self, p, now):
        return p | {path: x for paths, one in self.groups for path, x in one.ahead(only(p, paths), now).items()}

    def deployed(self, p, now):
        return p | {path: x for paths, one in self.groups for path, x in one.deployed(only(p, paths), now).items()}

    def named(self, prefix, now):
        for name, (_, one) in zip(self.names, self.groups, strict=True):
            yield from one.named(f"{prefix}.{name}", now)


class Masked(Groups):
    """One group; the rest passes."""

    def __init__(self, call: C, params: Tree):
        Machine.__init__(self, call, params)
        paths = tuple(path for path in params if path in call.numbers["mask"])
        one = machine(call.links[0][1], only(params, paths))
        self.groups, self.frozen, self.conditions, self.names = [(paths, one)], one.frozen, one.conditions, ["inner"]


class Fork(Machine):
    """Branches of the same signals; a function joins what they make."""

    def __init__(self, call: C, params: Tree):
        super().__init__(call, params)
        self.branches = [machine(link, params) for _, link in call.links]
        self.frozen = frozenset.intersection(*(b.frozen for b in self.branches))
        self.conditions = all(b.conditions for b in self.branches)

    def step(self, u, g, p, now):
        made = [b.step(u, g, p, now) for b in self.branches]
        return jittered(each(self.join, *made))

    def join(self, *branches):
        return JOINS[self.call.numbers["join"]](*branches)

    def ahead(self, p, now):
        for b in self.branches:
            p = b.ahead(p, now)
        return p

    def deployed(self, p, now):
        for b in self.branches:
            p = b.deployed(p, now)
        return p

    def named(self, prefix, now):
        keys = key_names(self.call.links) if self.call.name == "fork" else ["direction", "magnitude"]
        for key, b in zip(keys, self.branches, strict=True):
            yield from b.named(f"{prefix}.{key}", now)


class Graft(Fork):
    """The direction of one with the length of another, leaf by leaf."""

    def join(self, *branches):
        d, m = branches
        return over(d * norm(m), norm(d)) if norm(d) else np.zeros_like(d)


def summed(*branches: Any) -> Any:
    return sum(branches[1:], branches[0])


JOINS = {"summed": summed}
