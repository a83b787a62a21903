"""Rules on some of the leaves, and what is frozen."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients
from gradtx._rules.packing import choice
from gradtx._rules.protocol import Context, Late, Make, Place, Points, Rule, Signals, State, Tree, nowhere
from gradtx._value.errors import within


def any_frozen(rules: Sequence[Rule], among: Callable[..., bool] = any) -> Callable[[Tree], Tree] | None:
    """Which leaves at least one of the rules freezes (or all of them, ``among=all``)."""
    return _together([rule.frozen for rule in rules if rule.frozen], among)


def none_touches(rules: Sequence[Rule]) -> Callable[[Tree], Tree] | None:
    """Which leaves none of the rules looks at."""
    asked = [rule.untouched for rule in rules if rule.untouched]
    return _together(asked, all) if len(asked) == len(rules) else None


def _together(asked: Sequence[Callable[[Tree], Tree]], among: Callable[..., bool]) -> Callable[[Tree], Tree] | None:
    if not asked:
        return None
    return lambda tree: jax.tree.map(lambda *each: among(each), *(which(tree) for which in asked))


def restrict(link: Any, choose: Callable[[Tree], Tree]) -> Late:
    """A link, or a rule, on the leaves that ``choose(tree)`` marks True; the others pass through and have no state."""
    return Late(lambda make: restricted(_named(link, make), choose)._replace(places=_places_of(link, make)))


def _named(link: Any, make: Make) -> Rule:
    """The rule of a link, whose errors say the name of the link."""
    if isinstance(link, Rule):
        return link
    rule = within(link.link_name, make)(link)
    return rule._replace(init=within(link.link_name, rule.init), update=within(link.link_name, rule.update))


def _places_of(link: Any, make: Make) -> Any:
    if isinstance(link, Rule):
        return nowhere

    def places(state: Any, step: Any) -> Iterator[Place]:
        yield Place(link, state, step)
        yield from make(link, step).places(state, step)

    return places


def restricted(rule: Rule, choose: Callable[[Tree], Tree]) -> Rule:
    """The rule on the leaves that ``choose(tree)`` marks True."""
    chosen = functools.partial(choice, choose)

    def init(params: Tree, context: Context) -> State:
        return rule.init(keep(params, chosen(params)), context)

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        check_gradients(signals.updates, context.params)
        mask = chosen(signals.updates if context.params is None else context.params)
        inner, state = rule.update(*on_leaves(mask, signals, context, state))
        return merge(inner, signals), state

    def frozen(tree: Tree) -> Tree:
        mask = chosen(tree)
        inner = rule.frozen(keep(tree, mask)) if rule.frozen else {}
        return fill(inner, trees.map(lambda _: False, tree))

    def untouched(tree: Tree) -> Tree:
        mask = chosen(tree)
        inner = rule.untouched(keep(tree, mask)) if rule.untouched else trees.map(lambda _: False, keep(tree, mask))
        return fill(inner, trees.map(lambda _: True, tree))

    def moved(point: Callable[[Tree, State], Tree]) -> Callable[[Tree, State], Tree]:
        return lambda params, state: fill(point(keep(params, chosen(params)), state), params)

    points = Points(*map(moved, rule.points)) if rule.points else None
    measures = {name: lambda params, of=of: of(keep(params, chosen(params))) for name, of in rule.measures.items()}
    frozen_here = frozen if rule.frozen else None
    return rule._replace(
        init=init,
        update=update,
        leaf=None,
        frozen=frozen_here,
        untouched=untouched,
        points=points,
        measures=measures,
    )


def on_leaves(mask: Tree, signals: Signals, context: Context, state: State) -> tuple[Signals, State, Context]:
    """What a rule on some leaves is handed: both signals, the parameters, and the keywords that are like them."""
    updates = keep(signals.updates, mask)
    gradient = updates if signals.gradient is signals.updates else keep(signals.gradient, mask)
    params = None if context.params is None else keep(context.params, mask)
    extra = of_some(context.extra, mask, context.params)
    return Signals(updates, gradient), state, context._replace(params=params, extra=extra)


def of_some(extra: Mapping[str, Any], mask: Tree, params: Tree) -> dict[str, Any]:
    """The keywords of an update on some of the leaves.

    Trees like the parameters come without the other leaves. ``value_fn``, ``obj_fn`` and ``grad_fn`` become functions
    of the chosen leaves alone; the others keep their values in ``params``.
    """
    structure = trees.flatten(mask)[1]
    found = dict(extra)
    for name, x in extra.items():
        if name in ("value_fn", "obj_fn") and callable(x) and params is not None:
            found[name] = _held(x, params)
        elif name == "grad_fn" and callable(x) and params is not None:
            found[name] = _held(x, params, mask)
        elif x is not None and trees.flatten(x)[1] == structure and (name == "grad" or not is_leaf(structure)):
            found[name] = keep(x, mask)
    return found


def is_leaf(structure: Any) -> bool:
    """Whether a structure is that of a single leaf without a container."""
    return structure == trees.flatten(0.0)[1]


def _held(function: Callable[..., Any], params: Tree, mask: Tree = None) -> Callable[..., Any]:
    """A function of all leaves as one of those that move; with a mask its result is a tree, of which those are kept."""

    @functools.wraps(function, assigned=(), updated=())
    def of_moving(at: Tree, *args: Any, **kwargs: Any) -> Any:
        made = function(fill(at, params), *args, **kwargs)
        return made if mask is None else keep(made, mask)

    return of_moving


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
