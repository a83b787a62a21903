"""Formulas for one array, and how they are lifted to trees.

Formulas compose to a formula (`fuse`), so neighbours in a chain are lifted once: one upcast, one check, and one inner
``jit`` for every distinct kind of leaf that repeats, which makes tracing cheap.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.experimental.shard_alike import shard_alike

from gradtx import tree as trees
from gradtx._checks import check_like, leaf_error, structure_error
from gradtx._errors import TransformationError, within
from gradtx._numbers import real_dtype, wide
from gradtx._rules import Context, LeafRule, NamedRule, Rule, Signals, State, Surroundings, Tree, keywords, missing

# Initialisers of state fields -----------------------------------------------------------------------------------------


def zeros(param: Any, dtype: Any = None) -> jax.Array:
    """Zeros like ``param``, in ``dtype`` or in float32 at least, and sharded as it is."""
    return full(param, 0, dtype)


def real_zeros(param: Any, dtype: Any = None) -> jax.Array:
    """Zeros like ``param``, real also where it is complex: the start of a second moment."""
    return full(param, 0, real_dtype(param.dtype) if dtype is None else dtype)


def full(param: Any, value: Any, dtype: Any = None) -> jax.Array:
    """``value`` everywhere, shaped and sharded like ``param``, in ``dtype`` or in float32 at least."""
    made = jnp.full_like(param, value, dtype=jax.eval_shape(wide, param).dtype if dtype is None else dtype)
    if isinstance(param, Tracer) and param.ndim:  # under jit nothing else ties the state to the parameters
        made = shard_alike(jax.lax.stop_gradient(param), made)[1]
    return made


# Formulas for one array -----------------------------------------------------------------------------------------------


def per_leaf(formula: Callable[..., Any], *, conditions: bool = False, **fields: Callable[..., jax.Array]) -> Rule:
    """A rule from a formula for one array.

    ``formula(u, *state, *, <names>) -> (u, *state)``, or just ``u`` where there is no state. ``fields`` name the
    state and say how each field starts, ``nu=real_zeros``: a function of one parameter. By keyword the formula asks
    for what it needs: ``gradient`` (what entered the chain), ``param``, ``t`` (1 at the first update), or an extra
    keyword of ``update``. It computes in float32 or float64; trees, dtypes, counts and checks are not its business.
    ``conditions=True`` says that it rewrites the gradient itself (see `gradtx.chain`).
    """
    needs = keywords(formula)

    def leaf(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        made = formula(u, *state, **around.ask(needs))
        made = made if fields else (made,)
        return made[0], tuple(made[1:])

    return lift(LeafRule(leaf, {(name,): start for name, start in fields.items()}, conditions, needs))


def fuse(neighbours: Sequence[NamedRule]) -> LeafRule:
    """The formulas of neighbouring links as one; the state of each is filed under its name."""
    links = [(name, rule.leaf) for name, rule in neighbours if rule.leaf]
    fields = {(name, *path): start for name, link in links for path, start in link.fields.items()}

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        rest, made, shared = list(state), [], around.gradient is u
        for _, link in links:
            own, rest = tuple(rest[: len(link.fields)]), rest[len(link.fields) :]
            u, own = link.formula(u, own, around)
            made += own
            shared = shared and link.conditions
            around = around._replace(gradient=u) if shared else around
        return u, tuple(made)

    needs = frozenset[str]().union(*(link.needs for _, link in links))
    culprit = next(((name, *link.blame) for name, link in links if link.fields), (links[0][0], *links[0][1].blame))
    return LeafRule(formula, fields, all(link.conditions for _, link in links), needs, culprit)


def lift(leaf: LeafRule) -> Rule:
    """The rule on trees that applies a formula leaf by leaf."""

    def init(params: Tree) -> State:
        state: State = {}
        for path, start in leaf.fields.items():
            _file(state, path, trees.map(start, params))
        return state

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        updates, treedef = trees.flatten(signals.updates)
        if context.params is not None:
            check_like(signals.updates, context.params)
        columns = [
            updates,
            *(_column(_find(state, path), treedef, signals.updates, start) for path, start in leaf.fields.items()),
        ]
        same = signals.gradient is signals.updates
        gradients = [None] * len(updates) if same else trees.flatten(signals.gradient)[0]
        params = trees.flatten(context.params)[0] if "param" in leaf.needs else [None] * len(updates)
        there = {"gradient", "t", *context.extra} | ({"param"} if context.params is not None else set())
        absent = leaf.needs - there
        if absent:
            raise missing(min(absent))
        made = _each(_on_arrays(leaf, context), list(zip(gradients, params, *columns, strict=True)))
        new: State = {}
        for n, path in enumerate(leaf.fields):
            _file(new, path, treedef.unflatten([row[n + 1] for row in made]))
        return signals.then(treedef.unflatten([row[0] for row in made]), conditions=leaf.conditions), new

    blamed = update
    for name in reversed(leaf.blame):
        blamed = within(name, blamed)
    return Rule(init, blamed, "t" in leaf.needs, leaf)


def _on_arrays(leaf: LeafRule, context: Context) -> Callable[..., Any]:
    """The formula with its casts: at the widest precision of what it is given, state back in the dtype that it had."""
    reals = {jnp.dtype(real): real for real in (jnp.float32, jnp.result_type(float)) if "t" in leaf.needs}
    times = {dtype: (context.step + 1).astype(real) for dtype, real in reals.items()}  # outside the inner jit, once

    def step(gradient: Any, param: Any, u: jax.Array, *state: jax.Array) -> tuple[jax.Array, ...]:
        present = [x for x in (gradient, param, u, *state) if x is not None]
        real = real_dtype(*(x.dtype for x in present if jnp.issubdtype(x.dtype, jnp.inexact)))
        u, *old = (wide(x, real) for x in (u, *state))
        gradient, param = (None if x is None else wide(x, real) for x in (gradient, param))
        t = times.get(jnp.dtype(real))
        around = Surroundings(u if gradient is None else gradient, param, t, context.extra)
        new, made = leaf.formula(u, tuple(old), around)
        return new.astype(u.dtype), *(x.astype(was.dtype) for x, was in zip(made, state, strict=True))

    return step


def _each(step: Callable[..., Any], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """``step`` on every row; under a trace, rows of a kind that repeats share one inner jit."""
    width = len(rows[0]) - 1 if rows else 0
    kinds = [None if row[2] is None else tuple(x if x is None else jax.typeof(x) for x in row) for row in rows]
    often = Counter(kinds)
    shared = jax.jit(step) if any(isinstance(row[2], Tracer) for row in rows) else step
    call = {kind: shared if count > 1 else step for kind, count in often.items()}
    return [(None,) * width if kind is None else call[kind](*row) for kind, row in zip(kinds, rows, strict=True)]


# State by path -------------------------------------------------------------------------------------------------------


def _find(state: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(state, Mapping) or name not in state:
            raise TransformationError(f"the state has no {'.'.join(path)!r}: it was made by another transformation")
        state = state[name]
    return state


def _file(state: State, path: tuple[str, ...], entry: Any) -> None:
    for name in path[:-1]:
        state = state.setdefault(name, {})
    state[path[-1]] = entry


def _column(field: Tree, treedef: Any, updates: Tree, start: Callable[..., jax.Array]) -> list[Any]:
    """The leaves of a state field, beside those of the updates that they belong to."""
    leaves, structure = trees.flatten(field)
    if structure != treedef:
        raise structure_error(field, updates)
    for path, leaf, update in zip(trees.paths(updates), leaves, trees.flatten(updates)[0], strict=True):
        if leaf is None and update is None:
            continue
        if leaf is None or update is None:
            raise leaf_error(path, leaf, update)
        if leaf.shape != jnp.shape(update) and leaf.shape != jax.eval_shape(start, update).shape:
            raise leaf_error(path, leaf, update)
    return leaves
