"""Rules: what the body of a factory returns, and how transformations act on trees.

A chain carries two signals: the *update*, which flows from link to link, and the *gradient*, which is what entered the
chain. A rule that *conditions* gradients (clipping, decay, scaling ...) rewrites both while they are still the same
tree; after the first rule that does not, it changes the update alone.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients, check_like
from gradtx._rules.packing import refuse_packed
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide

Tree = Any
State = dict[str, Any]


class Signals(NamedTuple):
    """The update, and the gradient; they are one object as long as every link has conditioned."""

    updates: Tree
    gradient: Tree

    def then(self, updates: Tree, *, conditions: bool) -> "Signals":
        return Signals(updates, updates if conditions and self.updates is self.gradient else self.gradient)


class Context(NamedTuple):
    """What an update was called with besides the signals: parameters, t (None where no link needs it), keywords.

    ``followed``: links behind this one may look at the gradient, so it must come out as they are to see it.
    """

    params: Tree
    t: Any
    extra: Mapping[str, Any]
    followed: bool = False


class Rule(NamedTuple):
    """How a transformation acts on trees: ``init(params)``, ``update(signals, state, context)``.

    ``timed``: needs the step. ``leaf``: the formula for one array, where there is one. ``frozen``: which leaves of a
    tree have no state and no update, where there are such. ``points``: where the gradient is to be taken and which
    parameters to deploy, where that is not at the parameters themselves.
    """

    init: Callable[[Tree], State]
    update: Callable[[Signals, State, Context], tuple[Signals, State]]
    timed: bool = False
    leaf: "LeafRule | None" = None
    frozen: Callable[[Tree], Tree] | None = None
    points: "Points | None" = None


class Points(NamedTuple):
    """Two functions of parameters and state: where the gradient is to be taken, and what to deploy."""

    gradient_params: Callable[[Tree, State], Tree]
    eval_params: Callable[[Tree, State], Tree]


class NamedRule(NamedTuple):
    """A link as the body of a combinator gets it."""

    name: str
    rule: Rule


class LeafRule(NamedTuple):
    """A formula for one array, and what it takes.

    ``fields`` maps the path of each state field to how it starts, ``needs`` what the formula asks for to the path of
    the link that asks; ``blame`` is the path of the link that is named when trees do not fit.
    """

    formula: Callable[[jax.Array, tuple[Any, ...], "Surroundings"], tuple[jax.Array, tuple[Any, ...]]]
    fields: dict[tuple[str, ...], Callable[[jax.Array], jax.Array]]
    conditions: bool
    needs: dict[str, tuple[str, ...]]
    blame: tuple[str, ...] = ()


class Surroundings(NamedTuple):
    """What a formula may ask for by name; ``packed``: it is being tried, and must be elementwise."""

    gradient: Any
    param: Any
    t: Any
    extra: Mapping[str, Any]
    packed: bool = False

    def ask(self, names: Iterable[str]) -> dict[str, Any]:
        """What is asked for, by name."""
        own = ("gradient", "param", "t")
        return {name: getattr(self, name) if name in own else self.extra[name] for name in names}


def keywords(function: Callable[..., Any]) -> list[str]:
    """The names that a formula asks for: its keyword-only parameters."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY]


def missing(name: str) -> TransformationError:
    """A keyword of ``update`` that a rule needs and did not get."""
    given = "state, params)" if name in ("param", "params") else f"state, params, {name}=...)"
    what = "the parameters" if name in ("param", "params") else repr(name)
    return TransformationError(f"it needs {what}: call update(updates, {given}")


def widened(tree: Tree) -> Tree:
    """Every leaf in float32 at least."""
    return trees.map(lambda x: wide(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)


def whole_tree(
    update: Callable[..., Any],
    *,
    init: Callable[[Tree], State] | None = None,
    conditions: bool = False,
    packs: bool = False,
) -> Rule:
    """A rule from a function of trees, for what needs all leaves at once, such as a norm.

    ``update(updates, state, *, <names>) -> (updates, state)``; ``init(params)`` returns a mapping of arrays, and
    there is none where it is not given (``state`` is then ``{}``). Names that may be asked for: ``gradient``,
    ``params``, ``t``, or an extra keyword of ``update``. Leaves come in float32 or float64 and go out so; ``None``
    stays ``None``. ``packs=True`` says that nothing depends on where one leaf ends and the next begins, as in a norm
    over all of them; without it packed parameters (`gradtx.pack`) are refused.

    >>> from gradtx import transformation
    >>> @transformation
    ... def divide_by_count_of_leaves():
    ...     def update(updates, state):
    ...         return jax.tree.map(lambda u: u / len(jax.tree.leaves(updates)), updates), state
    ...     return whole_tree(update, conditions=True)
    >>> divide_by_count_of_leaves().update({"a": jnp.array(4.0), "b": jnp.array(2.0)}, {})[0]["a"]
    Array(2., dtype=float32)
    """
    needs = keywords(update)

    def started(params: Tree) -> State:
        if not packs:
            refuse_packed(params, "it looks at whole leaves")
        return init(params) if init else {}

    def on_trees(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        check_gradients(signals.updates, context.params)
        if not packs:
            refuse_packed(signals.updates, "it looks at whole leaves")
        updates = widened(signals.updates)
        given = {**context.extra, "gradient": updates, "params": None, "t": None}
        if signals.gradient is not signals.updates:
            given["gradient"] = widened(signals.gradient)
        if "params" in needs and context.params is not None:
            given["params"] = widened(context.params)
        if "t" in needs:
            given["t"] = context.t
        absent = [name for name in needs if given.get(name) is None]
        if absent:
            raise missing(absent[0])
        new, state = update(updates, state, **{name: given[name] for name in needs})
        check_like(new, updates)
        return signals.then(new, conditions=conditions), state

    return Rule(started, on_trees, "t" in needs)
