"""Several transformations, put together as Optax does: states in tuples, one signal, a count for each."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._interop.optax_types import EmptyState, MaskedState, PartitionState
from gradtx._interop.pieces import with_nodes, without_nodes
from gradtx._optax.base import is_placeholder
from gradtx._rules import clock
from gradtx._rules.checks import still
from gradtx._rules.foreign import takes_keywords
from gradtx._rules.protocol import Context, Late, Make, Place, Points, Rule, Signals, State, Tree
from gradtx._rules.restrict import keep, of_some
from gradtx._rules.transformation import GradientTransformation, foreign, transformation
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Group, Link, Static


class Part:
    """A transformation among others: it keeps its own clock, and sees the update alone."""

    def __init__(self, link: GradientTransformation, make: Make):
        self.link, self.make = link, make
        self.pair = link.given["transformation"].value if link.call is foreign.call else None  # pyright: ignore

    def rule(self, step: Any) -> Rule:
        """Its rule at a step of its own."""
        return within(self.link.link_name, self.make)(self.link, jnp.zeros([], jnp.int32) if step is None else step)

    def init(self, params: Tree, context: Context) -> Any:
        """Its state before the first update."""
        if self.pair is not None:
            return self.pair.init(params)
        return within(self.link.link_name, clock.start)(self.rule(None), params, context, nested=True)

    def update(self, updates: Tree, state: Any, context: Context) -> tuple[Tree, Any]:
        """One update."""
        if self.pair is not None:
            extra = dict(context.extra) if takes_keywords(self.pair.update) else {}
            return self.pair.update(updates, state, context.params, **extra)
        step, here = clock.count_of(state), context._replace(path=(), followed=False)
        signals = Signals(updates, updates)
        after, new = within(self.link.link_name, clock.tick)(self.rule(step), signals, state, here, step)
        return after.updates, new

    def places(self, state: Any) -> Iterator[Place]:
        """Where its links are, and at which steps."""
        if self.pair is None:
            step = clock.count_of(state)
            yield Place(self.link, state, step)
            yield from self.rule(step).places(state, step)

    def point(self, which: str, params: Tree, state: Any) -> Tree:
        """Where it wants the gradient, or which parameters it deploys."""
        points = None if self.pair is not None else self.rule(clock.count_of(state)).points
        return params if points is None else getattr(points, which)(params, state)


def serial(links: Mapping[str, GradientTransformation] | tuple[Any, ...], kind: Callable[..., Any]) -> Late:
    """Transformations one after the other; ``kind`` is the container of their states."""
    named = dict(links) if isinstance(links, Mapping) else dict(enumerate(links))

    def rule(make: Make) -> Rule:
        parts = {name: Part(link, make) for name, link in named.items()}

        def init(params: Tree, context: Context) -> Any:
            return kind({name: part.init(params, context.at(str(name))) for name, part in parts.items()})

        def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
            if len(state) != len(parts):
                raise TransformationError(
                    f"chain: expected the states of {len(parts)} transformations, found {len(state)}: call init again"
                )
            updates, new = signals.updates, {}
            for name, part in parts.items():
                updates, new[name] = part.update(updates, state[name], context)
            return signals.then(updates, conditions=False), kind(new)

        def places(state: Any, step: Any) -> Iterator[Place]:
            for name, part in parts.items():
                yield from part.places(state[name])

        def moved(which: str) -> Callable[[Tree, State], Tree]:
            def point(params: Tree, state: Any) -> Tree:
                for name, part in parts.items():
                    params = part.point(which, params, state[name])
                return params

            return point

        points = Points(*map(moved, Points._fields))
        return Rule(init, update, points=points, places=places, foreign=True, own_form=True)

    return Late(rule)


@transformation
def chain(*args: Any) -> Late:
    """One transformation after another, each with the update of the one before; the state is a tuple of their states.

    Here the update is the only signal, as in Optax. In `gradtx.chain` links also see the gradient.
    """
    return serial(args, lambda states: tuple(states.values()))


@transformation
def _named(transforms: Group) -> Late:
    return serial(transforms, OrderedDict)


def named_chain(*args: tuple[str, Any]) -> GradientTransformation:
    """`chain` of pairs of a name and a transformation; the state is a dictionary by name."""
    names = [name for name, _ in args]
    if len(set(names)) < len(names):
        raise ValueError(f"named_chain: names must differ, found {names}")
    return _named(dict(args))


def _chosen(mask: Any, tree: Tree) -> Tree:
    return trees.map(bool, trees.labels(mask, tree))


@transformation
def masked(inner: Link, mask: Static, *, mask_compatible_extra_args: bool = False) -> Late:
    """A transformation of the leaves where ``mask`` is true; the others pass through, whatever they are."""
    return Late(lambda make: _masked(Part(inner, make), mask, mask_compatible_extra_args))


@transformation
def set_to_zero() -> Rule:
    """No update: zeros of the dtypes that come in. What has no zero, a random key or a float0, stays as it is."""

    def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
        return signals.then(trees.map(lambda u: still(u, u), signals.updates), conditions=True), state

    return Rule(lambda params, context: EmptyState(), update, foreign=True, own_form=True)


@transformation
def freeze(mask: Static) -> GradientTransformation:
    """No update of the leaves that a mask chooses; the others pass through."""
    return masked(set_to_zero(), mask)


def selective_transform(optimizer: Any, *, freeze_mask: Any) -> GradientTransformation:
    """A transformation of all leaves but those that a mask freezes."""

    def labels(tree: Tree) -> Tree:
        return trees.map(lambda frozen: "freeze" if frozen else "train", _chosen(freeze_mask, tree))

    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)


def _masked(part: Part, mask: Any, split: bool) -> Rule:
    def init(params: Tree, context: Context) -> Any:
        if is_placeholder(params):
            return MaskedState(part.init(params, context))
        return MaskedState(with_nodes(part.init(keep(params, _chosen(mask, params)), context)))

    def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
        updates = signals.updates
        chosen = _chosen(mask, updates if context.params is None or not callable(mask) else context.params)
        extra = of_some(context.extra, chosen, context.params) if split else context.extra
        params = None if context.params is None else keep(context.params, chosen)
        here = context._replace(params=params, extra=extra)
        new, after = part.update(keep(updates, chosen), without_nodes(state.inner_state), here)
        leaves, treedef = trees.flatten(updates)
        done, own = trees.flatten(new)[0], trees.flatten(chosen)[0]
        made = treedef.unflatten([d if c else u for u, d, c in zip(leaves, done, own, strict=True)])
        return signals.then(made, conditions=False), MaskedState(with_nodes(after))

    def places(state: Any, step: Any) -> Iterator[Place]:
        return part.places(without_nodes(state.inner_state))

    def moved(which: str) -> Callable[[Tree, State], Tree]:
        def point(params: Tree, state: Any) -> Tree:
            chosen = _chosen(mask, params)
            at = part.point(which, keep(params, chosen), without_nodes(state.inner_state))
            return trees.map(lambda c, x, y: y if c else x, chosen, params, at)

        return point

    points = Points(*map(moved, Points._fields))
    return Rule(init, update, points=points, places=places, foreign=True, own_form=True)


@transformation
def _grouped(
    transforms: Group, names: Static, param_labels: Static, *, mask_compatible_extra_args: bool = False
) -> Late:
    def rule(make: Make) -> Rule:
        labels = dict(zip(transforms, names, strict=True))

        def labelled(tree: Tree) -> Tree:
            found = trees.labels(param_labels, tree)
            for path, label in zip(trees.paths(found), trees.flatten(found)[0], strict=True):
                if label is not None and label not in names:
                    raise ValueError(
                        f"partition: leaf {path}: no group {label!r}; there are {', '.join(map(str, names))}"
                    )
            return found

        def group(label: Any) -> Callable[[Tree], Tree]:
            return lambda tree: trees.map(lambda own: own == label, labelled(tree))

        parts = {
            label: _masked(Part(transforms[name], make), group(label), mask_compatible_extra_args)
            for name, label in labels.items()
        }

        def init(params: Tree, context: Context) -> Any:
            return PartitionState({label: part.init(params, context.at(str(label))) for label, part in parts.items()})

        def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
            new, result = {}, signals.updates
            for label, part in parts.items():
                made, new[label] = part.update(signals, state.inner_states[label], context)
                result = trees.map(lambda c, x, y: y if c else x, group(label)(result), result, made.updates)
            return signals.then(result, conditions=False), PartitionState(new)

        def places(state: Any, step: Any) -> Iterator[Place]:
            for label, part in parts.items():
                yield from part.places(state.inner_states[label], step)

        def moved(which: str) -> Callable[[Tree, State], Tree]:
            def point(params: Tree, state: Any) -> Tree:
                for label, part in parts.items():
                    params = getattr(part.points, which)(params, state.inner_states[label])
                return params

            return point

        points = Points(*map(moved, Points._fields))
        return Rule(init, update, points=points, places=places, foreign=True, own_form=True)

    return Late(rule)


def partition(
    transforms: Mapping[Any, Any], param_labels: Any, *, mask_compatible_extra_args: bool = False
) -> GradientTransformation:
    """Groups of leaves, each with a transformation of its own; labels are any hashable values."""
    return _grouped(transforms, tuple(transforms), param_labels, mask_compatible_extra_args=mask_compatible_extra_args)


multi_transform = partition
