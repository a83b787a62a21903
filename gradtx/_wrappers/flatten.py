"""All parameters as one vector, for a transformation that is to see them so."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients
from gradtx._rules.packing import refuse_packed
from gradtx._rules.protocol import Context, Late, Make, Place, Points, Rule, Signals, State, Tree, widened
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import raveled, unraveled
from gradtx._value.errors import within
from gradtx._value.marks import Link


@transformation
def flatten(inner: Link) -> Late:
    """A transformation of all leaves as one vector; the update is taken apart again.

        u ← inner([u₁, u₂, ...])

    A norm or a preconditioner of one leaf becomes one of all leaves together. Extra keywords that are trees like the
    parameters are flattened too, and ``value_fn`` is called with trees. The traps: rules that choose leaves by path
    have nothing to choose inside; one vector of all parameters is not sharded as they are. (To run fewer kernels, see
    `gradtx.pack`.) State: that of ``inner``, for one vector.

    >>> from gradtx import scale_by_ewma
    >>> tx = flatten(scale_by_ewma(0.5))
    >>> updates = {"a": jnp.array([2.0, 4.0]), "b": jnp.array(6.0)}
    >>> u, state = tx.update(updates, tx.init(updates))
    >>> u["b"], state["mu"]
    (Array(3., dtype=float32), Array([1., 2., 3.], dtype=float32))
    """

    def rule(make: Make) -> Rule:
        inside = within(inner.link_name, make)(inner)

        def init(params: Tree, context: Context) -> State:
            refuse_packed(params, "it makes one vector of all leaves")
            return within(inner.link_name, inside.init)(_flat(params), context._replace(params=None))

        def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
            check_gradients(signals.updates, context.params)
            refuse_packed(signals.updates, "it makes one vector of all leaves")
            updates = _flat(signals.updates)
            flat = Signals(updates, updates if signals.gradient is signals.updates else _flat(signals.gradient))
            params = None if context.params is None else _flat(context.params)
            extra = {name: _keyword(name, x, signals.updates) for name, x in context.extra.items()}
            step = within(inner.link_name, inside.update)
            after, state = step(flat, state, context._replace(params=params, extra=extra))
            made = unraveled(after.updates, widened(signals.updates))
            return signals.then(made, conditions=after.updates is after.gradient), state

        def places(state: Any, step: Any) -> Iterator[Place]:
            yield Place(inner, state if isinstance(state, Mapping) else {}, step)
            yield from inside.places(state, step)

        def moved(which: str) -> Any:
            return lambda params, state: unraveled(getattr(inside.points, which)(_flat(params), state), params)

        points = Points(*map(moved, Points._fields)) if inside.points else None
        measures = {name: (lambda tree, of=of: of(_flat(tree))) for name, of in inside.measures.items()}
        return inside._replace(
            init=init, update=update, leaf=None, frozen=None, points=points, places=places, measures=measures
        )

    return Late(rule)


def _flat(tree: Tree) -> Any:
    """The leaves as one vector; a tree that only stands for the parameters stays."""
    ordinary = jax.tree.leaves(tree) or tree is None or isinstance(tree, dict | list | tuple)
    return raveled(tree) if ordinary else tree


def _keyword(name: str, x: Any, like: Tree) -> Any:
    if name == "value_fn" and callable(x):
        return lambda vector, *args, **kwargs: x(unraveled(vector, like), *args, **kwargs)
    (parts, structure), (leaves, treedef) = trees.flatten(x), trees.flatten(like)
    shapes, wanted = ([getattr(leaf, "shape", None) for leaf in each] for each in (parts, leaves))
    return raveled(x) if structure == treedef and shapes == wanted else x
