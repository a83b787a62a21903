"""Rules made of rules: one after the other, side by side, in a scope, on some of the leaves."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients
from gradtx._rules.elementwise import check_elementwise
from gradtx._rules.packing import choice, is_packed
from gradtx._rules.per_leaf import fuse, lift
from gradtx._rules.protocol import Context, LeafRule, NamedRule, Points, Rule, Signals, State, Surroundings, Tree
from gradtx._value.errors import TransformationError, within


def scope(rule: Rule) -> Rule:
    """The rule in a scope of its own: its gradient is what enters it."""

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        inside = Signals(signals.updates, signals.updates)
        inner, state = rule.update(inside, state, context._replace(followed=False))
        return signals.then(inner.updates, conditions=inner.updates is inner.gradient), state

    leaf = rule.leaf
    if leaf is None:
        return rule._replace(update=update)

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        return leaf.formula(u, state, around._replace(gradient=u))

    return lift(leaf._replace(formula=formula))._replace(timed=rule.timed, frozen=rule.frozen, points=rule.points)


def serial(links: Sequence[NamedRule]) -> Rule:
    """Rules one after the other; the state of each under its name, and formulas that are neighbours fused."""
    runs: list[list[NamedRule]] = []
    for link in links:
        if runs and link.rule.leaf and runs[-1][-1].rule.leaf:
            runs[-1].append(link)
        else:
            runs.append([link])
    steps = [_fused(run) if run[0].rule.leaf else _filed(*run[0]) for run in runs]
    timed, frozen, points = (
        any(rule.timed for _, rule in links),
        any_frozen([rule for _, rule in links]),
        points_of(links),
    )
    if len(steps) == 1:
        return steps[0]._replace(timed=timed, frozen=frozen, points=points)

    def init(params: Tree) -> State:
        return {name: entry for step in steps for name, entry in step.init(params).items()}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        new: State = {}
        for n, step in enumerate(steps):
            followed = context.followed or n < len(steps) - 1
            signals, entries = step.update(signals, state, context._replace(followed=followed))
            new |= entries
        return signals, new

    return Rule(init, update, timed, None, frozen, points)


def _fused(run: Sequence[NamedRule]) -> Rule:
    """Formulas that are neighbours, lifted once; in two where links behind want the gradient that the first made."""
    fused = lift(fuse(run))
    ends = next((n for n, (_, rule) in enumerate(run) if rule.leaf and not rule.leaf.conditions), len(run))
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
    """The points of links one after the other: each moves on from where the one before it was."""

    def gradient_params(params: Tree, state: State) -> Tree:
        for name, rule in links:
            params = rule.points.gradient_params(params, state.get(name, {})) if rule.points else params
        return params

    def eval_params(params: Tree, state: State) -> Tree:
        for name, rule in links:
            params = rule.points.eval_params(params, state.get(name, {})) if rule.points else params
        return params

    return Points(gradient_params, eval_params) if any(rule.points for _, rule in links) else None


def located(name: str, rule: Rule) -> Rule:
    """The rule, whose errors say its name."""
    return rule._replace(init=within(name, rule.init), update=within(name, rule.update), leaf=None)


def _filed(name: str, rule: Rule) -> Rule:
    """A rule whose state stands under its name, and is no entry at all where there is none."""
    rule = located(name, rule)

    def init(params: Tree) -> State:
        state = rule.init(params)
        return {name: state} if state != {} else {}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        signals, entry = rule.update(signals, state.get(name, {}), context)
        return signals, {name: entry} if entry != {} else {}

    return rule._replace(init=init, update=update)


def parallel(links: Sequence[NamedRule], join: Callable[..., Any]) -> Rule:
    """Rules side by side, each from the same signals; ``join`` makes one array of theirs. State under their names."""
    if not links:
        raise TransformationError("expected at least one branch, found none")
    rules = [rule for _, rule in links]
    timed, frozen = any(rule.timed for rule in rules), any_frozen(rules, all) if all(r.frozen for r in rules) else None
    leaves = [rule.leaf for rule in rules]
    if all(leaves):
        return lift(_join(links, join))._replace(timed=timed, frozen=frozen, points=points_of(links))
    steps = [_filed(*link) for link in links]

    def init(params: Tree) -> State:
        return {name: entry for step in steps for name, entry in step.init(params).items()}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        made = [step.update(signals, state, context) for step in steps]
        outs = [branch.updates for branch, _ in made]
        if is_packed(signals.updates):
            trees.map(lambda *leaves: check_elementwise(join, *leaves), *outs)
        joined = trees.map(join, *outs)
        conditions = all(branch.updates is branch.gradient for branch, _ in made)
        return signals.then(joined, conditions=conditions), {k: v for _, entries in made for k, v in entries.items()}

    return Rule(init, update, timed, None, frozen, points_of(links))


def _join(links: Sequence[NamedRule], join: Callable[..., Any]) -> LeafRule:
    formulas = [(len(rule.leaf.fields), within(name, rule.leaf.formula)) for name, rule in links if rule.leaf]

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        rest, made, outs = list(state), [], []
        for width, branch in formulas:
            own, rest = tuple(rest[:width]), rest[width:]
            out, own = branch(u, own, around)
            outs.append(out)
            made += own
        if around.packed:
            check_elementwise(join, *outs)
        return join(*outs), tuple(made)

    return fuse(links)._replace(formula=formula)


def any_frozen(rules: Sequence[Rule], among: Callable[..., bool] = any) -> Callable[[Tree], Tree] | None:
    """Which leaves at least one of the rules freezes (or all of them, ``among=all``)."""
    asked = [rule.frozen for rule in rules if rule.frozen]
    if not asked:
        return None
    return lambda tree: jax.tree.map(lambda *each: among(each), *(frozen(tree) for frozen in asked))


def restrict(rule: Rule, choose: Callable[[Tree], Tree]) -> Rule:
    """The rule on the leaves that ``choose(tree)`` marks True; the others pass through and have no state."""
    chosen = functools.partial(choice, choose)

    def init(params: Tree) -> State:
        return rule.init(keep(params, chosen(params)))

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        check_gradients(signals.updates, context.params)
        mask = chosen(signals.updates if context.params is None else context.params)
        updates = keep(signals.updates, mask)
        gradient = updates if signals.gradient is signals.updates else keep(signals.gradient, mask)
        params = None if context.params is None else keep(context.params, mask)
        inner, state = rule.update(Signals(updates, gradient), state, context._replace(params=params))
        return merge(inner, signals), state

    def frozen(tree: Tree) -> Tree:
        mask = chosen(tree)
        inner = rule.frozen(keep(tree, mask)) if rule.frozen else {}
        return fill(inner, trees.map(lambda _: False, tree))

    def moved(point: Callable[[Tree, State], Tree]) -> Callable[[Tree, State], Tree]:
        return lambda params, state: fill(point(keep(params, chosen(params)), state), params)

    points = Points(*map(moved, rule.points)) if rule.points else None
    return rule._replace(init=init, update=update, leaf=None, frozen=frozen if rule.frozen else None, points=points)


def merge(inner: Signals, outer: Signals) -> Signals:
    """Both signals with the leaves that a rule has seen put back among the others."""
    updates = fill(inner.updates, outer.updates)
    together = inner.updates is inner.gradient and outer.updates is outer.gradient
    return Signals(updates, updates if together else fill(inner.gradient, outer.gradient))


def keep(tree: Tree, mask: Tree) -> Tree:
    """The tree with ``None`` where the mask is not True."""
    leaves, treedef = trees.flatten(tree)
    chosen = trees.flatten(mask)[0]
    return treedef.unflatten([leaf if choice else None for leaf, choice in zip(leaves, chosen, strict=True)])


def fill(tree: Tree, other: Tree) -> Tree:
    """The tree with the leaves of ``other`` where it has ``None``."""
    leaves, treedef = trees.flatten(other)
    return treedef.unflatten([b if a is None else a for a, b in zip(trees.flatten(tree)[0], leaves, strict=True)])
