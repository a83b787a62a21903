"""Transformations on some of the leaves: `masked` and `partition`, by path, by function or by label tree."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients
from gradtx._rules.compose import placed, points_of, serial
from gradtx._rules.packing import choice
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Context, Late, Make, NamedRule, Rule, Signals, State, Tree, combined, is_empty
from gradtx._rules.restrict import any_frozen, keep, merge, none_touches, restrict, restricted
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.errors import TransformationError, suggest, within
from gradtx._value.marks import Group, Link, Static
from gradtx._value.named_links import Links

Choice = Callable[[Tree], Tree]


@transformation
def masked(inner: Link, mask: Static) -> Late:
    """A transformation of the leaves that a mask chooses; the others pass through unchanged.

        u ← inner(u) where the mask is True,   u elsewhere

    ``mask`` is a path pattern (``"*.w"``) or several, a mapping from patterns to bools, a tree of bools or a prefix
    of one, or a function of the parameters that returns one. The leaves that are not chosen have no state and do not
    count in norms. The trap: what passes through is the update as it is, so as a whole optimizer this leaves raw
    gradients where the mask is False; to train some leaves and hold others still, use `partition` with `set_to_zero`.
    State: that of ``inner``, with ``None`` where the mask is False.

    >>> from gradtx import scale
    >>> tx = masked(scale(-1.0), "*w")
    >>> tx.update({"w": jnp.array(4.0), "b": jnp.array(4.0)}, {})[0]
    {'b': Array(4., dtype=float32), 'w': Array(-4., dtype=float32)}
    """
    return restrict(inner, lambda tree: trees.mask(mask, tree))


@transformation
def set_to_zero() -> Rule:
    """No update: zeros.

        u ← 0

    As a group of `partition` it freezes the leaves of that group: they have no state, no update, and no part in any
    norm.

    >>> set_to_zero().update(jnp.array([4.0]), {})[0]
    Array([0.], dtype=float32)
    """
    return per_leaf(lambda u: 0 * u, conditions=True)._replace(frozen=lambda tree: trees.map(lambda _: True, tree))


@transformation
def partition(transforms: Group, param_labels: Static) -> Late:
    """Groups of leaves, each with a transformation of its own.

        u ← transforms[label of the leaf](u)

    ``transforms`` maps labels to transformations. ``param_labels`` says which leaf has which label: a mapping from path
    patterns to labels, of which the first that matches counts (``{"*.b": "bias", "*": "rest"}``), a tree of labels or a
    prefix of one, or a function of the parameters that returns one. Each group sees its own leaves alone, so a norm
    inside it is the norm of the group; a clip before the partition takes one norm over all that is trained. A group
    whose transformation is `set_to_zero` is frozen: its leaves may even be integers. State: a mapping with the state
    of each group under its label.

    Raises `TransformationError`: a leaf that no pattern matches, a label that is no group.

    >>> from gradtx import sgd
    >>> tx = partition({"slow": sgd(0.1), "still": set_to_zero()}, {"enc": "still", "*": "slow"})
    >>> gradients = {"enc": {"w": jnp.array(2.0)}, "out": jnp.array(2.0)}
    >>> tx.update(gradients, tx.init(gradients))[0]
    {'enc': {'w': Array(0., dtype=float32)}, 'out': Array(-0.2, dtype=float32)}
    """

    def labels_of(tree: Tree) -> Tree:
        found = trees.labels(param_labels, tree)
        for path, label in zip(trees.paths(found), trees.flatten(found)[0], strict=True):
            if label is not None and str(label) not in transforms:
                hint = suggest(str(label), transforms)
                raise TransformationError(f"leaf {path}: no group {label!r}{hint}; there are {', '.join(transforms)}")
        for path, label, leaf in zip(trees.paths(tree), trees.flatten(found)[0], trees.flatten(tree)[0], strict=True):
            if label is None and leaf is not None:
                raise TransformationError(f"leaf {path}: expected the label of a group, found None")
        return found

    labels = functools.partial(choice, labels_of)

    def group(label: str) -> Any:
        return lambda tree: trees.map(lambda own: str(own) == label, labels(tree))

    return Late(lambda make: _grouped(transforms, labels, group, make))


@transformation
def multi_transform(transforms: Group, param_labels: Static) -> GradientTransformation:
    """`partition` under the name that Optax had for it.

        u ← transforms[label of the leaf](u)

    >>> from gradtx import sgd
    >>> tx = multi_transform({1: sgd(0.1), 0: set_to_zero()}, {"enc": 0, "out": 1})
    >>> gradients = {"enc": jnp.array(2.0), "out": jnp.array(2.0)}
    >>> tx.update(gradients, tx.init(gradients))[0]
    {'enc': Array(0., dtype=float32), 'out': Array(-0.2, dtype=float32)}
    """
    return partition(transforms, param_labels)


@transformation
def freeze(mask: Static) -> GradientTransformation:
    """No update of the leaves that a mask chooses; the others pass through.

        u ← 0 where the mask is True,   u elsewhere

    ``mask`` is as in `masked`. The frozen leaves have no state anywhere in the chain, and no part in any norm; they may
    even be integers.

    >>> from gradtx import chain, sgd
    >>> tx = chain(freeze("enc"), sgd(0.1))
    >>> gradients = {"enc": jnp.array(2.0), "out": jnp.array(2.0)}
    >>> tx.update(gradients, tx.init(gradients))[0]
    {'enc': Array(0., dtype=float32), 'out': Array(-0.2, dtype=float32)}
    """
    return masked(set_to_zero(), mask)


@transformation
def selective_transform(optimizer: Link, *, freeze_mask: Any) -> Late:
    """A transformation of all leaves but those that a mask freezes.

        u ← 0 where the mask is True,   optimizer(u) elsewhere

    ``freeze_mask`` is as in `masked`. The frozen leaves have no state and no part in any norm. State: that of
    ``optimizer``, under its name.

    >>> from gradtx import sgd
    >>> tx = selective_transform(sgd(0.1), freeze_mask="enc")
    >>> gradients = {"enc": jnp.array(2.0), "out": jnp.array(2.0)}
    >>> tx.update(gradients, tx.init(gradients))[0]
    {'enc': Array(0., dtype=float32), 'out': Array(-0.2, dtype=float32)}
    """
    return serial(Links.of([freeze(freeze_mask), optimizer], {}))


def _grouped(transforms: Mapping[str, Any], labels: Choice, group: Callable[[str], Choice], make: Make) -> Rule:
    named = [
        NamedRule(label, restricted(placed(label, within(label, make)(link)), group(label)), link)
        for label, link in transforms.items()
    ]
    parts = {label: rule for label, rule, _ in named}

    def init(params: Tree, context: Context) -> State:
        entries = {label: part.init(params, context) for label, part in parts.items()}
        return {label: entry for label, entry in entries.items() if not is_empty(entry)}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        check_gradients(signals.updates, context.params)
        labels(signals.updates)
        made = {label: part.update(signals, state.get(label, {}), context) for label, part in parts.items()}
        merged = signals
        for label, (after, _) in made.items():
            own = group(label)(signals.updates)
            updates = keep(after.updates, own)
            shared = after.updates is after.gradient
            merged = merge(Signals(updates, updates if shared else keep(after.gradient, own)), merged)
        return merged, {k: entry for k, (_, entry) in made.items() if not is_empty(entry)}

    rules = list(parts.values())
    aside = {"frozen": any_frozen(rules), "untouched": none_touches(rules)}
    return Rule(init, update, points=points_of(named), **aside, **combined(named))
