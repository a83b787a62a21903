"""Rules over whole trees, for what needs all leaves at once, such as a norm."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from gradtx import tree as trees
from gradtx._rules.checks import check_floating, check_gradients, check_like
from gradtx._rules.fields import entries_of, settled
from gradtx._rules.packing import refuse_packed
from gradtx._rules.protocol import Context, Names, Rule, Signals, State, Tree, asked_of, one_number, widened
from gradtx._value.errors import TransformationError

REFUSED = {"param": "a function of whole trees is given the tree: ask for 'params'"}


def whole_tree(
    update: Callable[..., Any],
    *,
    init: Callable[[Tree], State] | None = None,
    conditions: bool = False,
    packs: bool = False,
    examples: bool = False,
    seed: Any = None,
    measure: Mapping[str, Callable[..., Any]] | None = None,
) -> Rule:
    """A rule from a function of trees, for what needs all leaves at once, such as a norm.

    ``update(updates, state, *, <names>) -> (updates, state)``; ``init(params)`` returns the first state, a mapping of
    arrays. Without ``init``, ``state`` is ``{}``. Names that may be asked for: ``gradient``, ``params``, ``t`` (1 at
    the first update), ``key`` (a random key of this step and this link, from ``seed``), or an extra keyword of
    ``update``. A name with a default keeps it if nothing is given. Leaves come and go in float32 or float64;
    ``None`` stays ``None``.

    ``packs=True`` says that nothing depends on where one leaf ends and the next begins, as in a norm over all of them;
    without it packed parameters (`gradtx.pack`) are refused. ``examples=True`` says that the updates come with a
    leading axis, along which there is one of each leaf for every example, and leave without it; such a link stands
    first in its chain. ``measure`` maps names to functions ``(before, after, *, <fields>)`` that return one number,
    from the update before and after and the fields of the new state that they ask for. They run only inside
    `gradtx.measured`.

    >>> import jax
    >>> from gradtx import transformation
    >>> @transformation
    ... def divide_by_count_of_leaves():
    ...     def update(updates, state):
    ...         return jax.tree.map(lambda u: u / len(jax.tree.leaves(updates)), updates), state
    ...     return whole_tree(update, conditions=True)
    >>> divide_by_count_of_leaves().update({"a": jnp.array(4.0), "b": jnp.array(2.0)}, {})[0]["a"]
    Array(2., dtype=float32)
    """
    names = Names.of(update, refuse=REFUSED)
    measures = measure or {}

    def started(params: Tree, context: Context) -> State:
        if not packs:
            refuse_packed(params, "it looks at whole leaves")
        return init(widened(params)) if init else {}

    def on_trees(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        one = _first_example(signals.updates) if examples else signals.updates
        check_gradients(one, context.params)
        if not packs:
            refuse_packed(signals.updates, "it looks at whole leaves")
        updates = widened(signals.updates)
        with entries_of(state):
            new, state = update(updates, state, **asked_of(names, signals, context, updates))
        check_like(new, one)
        context.measured(measures, updates, new, state)
        return signals.then(new, conditions=conditions), settled(state)

    random = "key" in names.all
    seeds = (0.0 if seed is None else seed,) if random else ()
    return Rule(
        started,
        on_trees,
        "t" in names.all or random,
        seeds=seeds,
        measures=dict.fromkeys(measures, one_number),
        examples=examples,
    )


def _first_example(updates: Tree) -> Tree:
    """What one example has, by its shape. Raises `TransformationError`: leaves with other numbers of examples."""
    check_floating(updates, "gradient")
    counts = {}
    for path, x in zip(trees.paths(updates), trees.flatten(updates)[0], strict=True):
        if x is not None:
            if x.ndim == 0:
                raise TransformationError(f"leaf {path}: expected a leading axis of examples, found one number")
            counts[path] = x.shape[0]
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{n} of {path}" for path, n in counts.items())
        raise TransformationError(f"expected as many examples of each leaf, found {found}")
    return trees.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), updates)
