"""Rules made of rules: one after the other, side by side, in a scope, on some of the leaves."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from gradtx import tree as trees
from gradtx._rules.elementwise import check_elementwise
from gradtx._rules.foreign import is_own_kind
from gradtx._rules.packing import is_packed
from gradtx._rules.per_leaf import fuse, lift, merged
from gradtx._rules.protocol import (
    Context,
    Late,
    LeafRule,
    Make,
    NamedRule,
    Points,
    Rule,
    Signals,
    State,
    Surroundings,
    Tree,
    combined,
    is_empty,
)
from gradtx._rules.restrict import any_frozen, none_touches
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype, wide
from gradtx._value.named_links import Links


def scope(rule: Rule) -> Rule:
    """The rule in a scope of its own: its gradient is the update that enters the scope."""

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        inside = Signals(signals.updates, signals.updates)
        inner, state = rule.update(inside, state, context._replace(followed=False))
        return signals.then(inner.updates, conditions=inner.updates is inner.gradient), state

    leaf = rule.leaf
    if leaf is None:
        return rule._replace(update=update)

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        return leaf.formula(u, state, around._replace(gradient=u))

    lifted = lift(leaf._replace(formula=formula))
    return rule._replace(update=lifted.update, leaf=lifted.leaf)


def serial(links: Links) -> Late:
    """Links one after the other; each has its state under its name, and neighbouring formulas are fused."""
    return Late(lambda make: _serial(named_rules(links, make)))


def named_rules(links: Links, make: Make) -> list[NamedRule]:
    """The rules of links, each with its name; a link that the user named opens a scope of its own."""
    made = []
    for name, given, link in links.triples():
        rule = within(name, make)(link)
        if given is not None and rule.leaf is None and given != link.link_name:
            own = link.link_name
            rule = rule._replace(init=within(own, rule.init), update=within(own, rule.update))
        made.append(NamedRule(name, scope(rule) if given is not None else rule, link))
    return made


def _serial(links: Sequence[NamedRule]) -> Rule:
    runs: list[list[NamedRule]] = []
    for link in links:
        if runs and link.rule.leaf and runs[-1][-1].rule.leaf:
            runs[-1].append(link)
        else:
            runs.append([link])
    steps = [_fused(run) if run[0].rule.leaf else _filed(run[0]) for run in runs]
    rules = [link.rule for link in links]
    common = combined(links) | {"frozen": any_frozen(rules), "points": points_of(links)}
    common |= {"untouched": none_touches(rules)}
    common["examples"] = bool(links) and links[0].rule.examples
    if len(steps) == 1:
        return steps[0]._replace(**common)

    def init(params: Tree, context: Context) -> State:
        return {name: entry for step in steps for name, entry in step.init(params, context).items()}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        new: State = {}
        for n, step in enumerate(steps):
            around = context._replace(followed=context.followed or n < len(steps) - 1)
            if is_own_kind(context.params, signals.updates) and not step.foreign:
                around = around._replace(params=None)
            signals, entries = step.update(signals, state, around)
            new |= entries
        return signals, new

    return Rule(init, update, **common)


def _fused(run: Sequence[NamedRule]) -> Rule:
    """Neighbouring formulas, lifted once; in two parts if later links need the gradient that the first part made."""
    fused = lift(fuse(run))
    ends = next((n for n, link in enumerate(run) if link.rule.leaf and not link.rule.leaf.conditions), len(run))
    if ends in (0, len(run)):
        return fused
    first, second = lift(fuse(run[:ends])), lift(fuse(run[ends:]))

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        if not context.followed:
            return fused.update(signals, state, context)
        signals, entries = first.update(signals, state, context)
        signals, more = second.update(signals, state, context)
        return signals, entries | more

    return fused._replace(update=update)


def points_of(links: Sequence[NamedRule]) -> Points | None:
    """The points of links one after the other: each link starts from the point of the one before it."""

    def moved(which: str) -> Any:
        def point(params: Tree, state: State) -> Tree:
            for link in links:
                points = link.rule.points
                params = getattr(points, which)(params, link.own(state)) if points else params
            return params

        return point

    return Points(*map(moved, Points._fields)) if any(link.rule.points for link in links) else None


def placed(name: str, rule: Rule) -> Rule:
    """The rule as a link called ``name``: its errors, random keys and measurements are told apart by that name."""

    def init(params: Tree, context: Context) -> State:
        return rule.init(params, context.at(name))

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        return rule.update(signals, state, context.at(name))

    return rule._replace(init=within(name, init), update=within(name, update), leaf=None)


def _filed(link: NamedRule) -> Rule:
    """The rule of a link, with its state under the link's name; an empty state has no entry."""
    name, rule = link.name, placed(link.name, link.rule)

    def init(params: Tree, context: Context) -> State:
        state = rule.init(params, context)
        return {name: state} if not is_empty(state) else {}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        signals, entry = rule.update(signals, state.get(name, {}), context)
        return signals, {name: entry} if not is_empty(entry) else {}

    return rule._replace(init=init, update=update)


def parallel(links: Links, join: Callable[..., Any]) -> Late:
    """Links side by side, each given the same signals; ``join`` combines their arrays. States are kept by name."""
    if not links.values:
        raise TransformationError("expected at least one branch, found none")
    return Late(lambda make: _parallel(named_rules(links, make), join))


def _parallel(links: Sequence[NamedRule], join: Callable[..., Any]) -> Rule:
    rules = [link.rule for link in links]
    frozen = any_frozen(rules, all) if all(rule.frozen for rule in rules) else None
    common = combined(links) | {"frozen": frozen, "untouched": none_touches(rules), "points": points_of(links)}
    if all(rule.leaf for rule in rules):
        return lift(_join(links, join))._replace(**common)
    steps = [_filed(link) for link in links]

    def init(params: Tree, context: Context) -> State:
        return {name: entry for step in steps for name, entry in step.init(params, context).items()}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        made = [step.update(signals, state, context) for step in steps]
        outs = [branch.updates for branch, _ in made]
        if is_packed(signals.updates):
            trees.map(lambda *leaves: check_elementwise(join, *leaves), *outs)
        joined = trees.map(lambda *leaves: join(*_alike(leaves)), *outs)
        conditions = all(branch.updates is branch.gradient for branch, _ in made)
        return signals.then(joined, conditions=conditions), {k: v for _, entries in made for k, v in entries.items()}

    return Rule(init, update, **common)


def _alike(leaves: Sequence[jax.Array]) -> list[jax.Array]:
    """The leaves in the precision of the widest; a branch that leaves one alone has it as it came, in bfloat16 say."""
    real = real_dtype(*(x.dtype for x in leaves))
    return [wide(x, real) for x in leaves]


def _join(links: Sequence[NamedRule], join: Callable[..., Any]) -> LeafRule:
    branches = [(link.name, link.rule.leaf) for link in links if link.rule.leaf]
    formulas = [(name, len(leaf.fields), within(name, leaf.formula)) for name, leaf in branches]

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        rest, made, outs = list(state), [], []
        for name, width, branch in formulas:
            own, rest = tuple(rest[:width]), rest[width:]
            out, own = branch(u, own, around._replace(path=(*around.path, name)))
            outs.append(out)
            made += own
        if around.packed:
            check_elementwise(join, *outs)
        return join(*outs), tuple(made)

    return LeafRule(formula, conditions=all(leaf.conditions for _, leaf in branches), **merged(branches))
