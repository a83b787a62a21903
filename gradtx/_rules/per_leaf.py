"""Formulas for one array, and how they are lifted to trees.

Formulas compose to a formula (`fuse`), so neighbours in a chain are lifted once: one upcast, one check, and one inner
``jit`` for every distinct kind of leaf that repeats, which makes tracing cheap.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients
from gradtx._rules.elementwise import check_elementwise
from gradtx._rules.fields import column, file, find, narrowed, reals_in, widened_state
from gradtx._rules.packing import is_packed
from gradtx._rules.protocol import (
    MEASUREMENTS,
    Context,
    LeafRule,
    NamedRule,
    Names,
    Path,
    Points,
    Probe,
    Rule,
    Signals,
    State,
    Surroundings,
    Tree,
    missing,
    number_a_leaf,
    widened,
)
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype, wide

REFUSED = {"params": "a formula is given one parameter: ask for 'param'", "updates": "that is its first argument"}
OF_TREES = {"updates", "gradient"}  # results of earlier links, which a function in ``once`` may ask for


def per_leaf(
    formula: Callable[..., Any],
    *,
    conditions: bool = False,
    once: Mapping[str, Callable[..., Any]] | None = None,
    seed: Any = None,
    measure: Mapping[str, Callable[..., Any]] | None = None,
    gradient_params: Callable[..., jax.Array] | None = None,
    eval_params: Callable[..., jax.Array] | None = None,
    **fields: Callable[..., Any],
) -> Rule:
    """A rule from a formula for one array.

    ``formula(u, *state, *, <names>) -> (u, *state)``, or just ``u`` where there is no state. ``fields`` name the
    state and say how each field starts, ``nu=real_zeros``: a function of one parameter, in float32 at least, which
    returns an array or a tree of arrays (a tuple of factors, codes and scales). The formula asks for what it needs by
    keyword: ``gradient`` (what entered the chain), ``param``, ``t`` (1 at the first update), ``key`` (a random key of
    this step, this link and this leaf, from ``seed``), or an extra keyword of ``update``; one that is a tree like the
    parameters comes leaf by leaf. A name with a default keeps it if nothing is given. The formula computes in
    float32 or float64; trees, dtypes, counts and checks are taken care of.

    ``once`` names values that all leaves share, computed outside of the loop over leaves: ``once={"correction":
    lambda t: 1 - decay**t}``. Such a function may ask for ``t``, ``updates``, ``gradient`` and ``params`` (trees), or
    an extra keyword. ``conditions=True`` says that the formula rewrites the gradient itself (see `gradtx.chain`).
    ``gradient_params(param, *state)`` and ``eval_params(param, *state)`` are formulas too, for rules that need the
    gradient at another point than the parameters, or that deploy other parameters. ``measure`` maps names to functions
    ``(before, after, *, <fields>)`` that return one number, from the update of a leaf before and after the formula and
    the fields of its new state that they ask for. They run only inside `gradtx.measured`.

    Raises `TransformationError`: a field or a name that stands for something else.
    """
    once, measures = once or {}, measure or {}
    names = Names.of(formula, refuse=REFUSED)
    for name in ("count", "key", "inner", MEASUREMENTS):
        if name in fields:
            raise TransformationError(f"no field may be called {name!r}: that name is taken for what a scope keeps")

    def leaf(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        asked = around.ask(names)
        if around.packed and "key" in names.all:
            raise TransformationError("it draws at random, for every leaf its own")
        if around.packed:
            check_elementwise(formula, u, *state, **asked)
        found: Any = formula(u, *state, **asked)
        made: tuple[Any, ...] = found if isinstance(found, tuple) else (found,)
        if len(made) != 1 + len(fields):
            wanted = ", ".join(["the update", *fields])
            raise TransformationError(f"expected the formula to return {wanted}; found {len(made)} values")
        if around.probe is not None:
            for name, of in measures.items():
                after = dict(zip(fields, made[1:], strict=True))
                around.probe.put((*around.root, *around.path, name), of, u, made[0], after)
        return made[0], tuple(made[1:])

    needs = dict.fromkeys([name for name in names.needed if name not in once], ())
    needs |= {name: () for of in once.values() for name in _parameters(of) if name not in OF_TREES | {"params"}}
    needs |= {"t": ()} if "t" in names.all else {}
    needs |= {"params": ()} if any("params" in _parameters(of) for of in once.values()) else {}
    paths = {(name,): start for name, start in fields.items()}
    rule = lift(LeafRule(leaf, paths, conditions, needs, {(name,): of for name, of in once.items()}))
    if any(OF_TREES & set(_parameters(of)) for of in once.values()):
        rule = rule._replace(leaf=None)  # the links before it must have run, on all leaves
    if "key" in names.all:
        rule = rule._replace(timed=True, seeds=(0.0 if seed is None else seed,))
    if gradient_params is not None or eval_params is not None:
        rule = rule._replace(points=Points(_at(gradient_params, list(fields)), _at(eval_params, list(fields))))
    return rule._replace(measures=dict.fromkeys(measures, number_a_leaf))


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _at(formula: Callable[..., jax.Array] | None, fields: list[str]) -> Callable[[Tree, State], Tree]:
    """A formula for one parameter and its state, lifted to trees; it returns the dtype of the parameter."""

    def point(params: Tree, state: State) -> Tree:
        if formula is None:
            return params
        packed, at = is_packed(params), formula
        leaves, treedef = trees.flatten(params)
        columns = [column(find(state, (name,)), params, None) for name in fields]

        def of_leaf(param: jax.Array, *state: Any) -> jax.Array:
            real = real_dtype(*reals_in((param, state)))
            values = [wide(param, real), *(widened_state(x, real) for x in state)]
            if packed:
                check_elementwise(at, *values)
            return at(*values).astype(param.dtype)

        return treedef.unflatten(
            [None if row[0] is None else of_leaf(*row) for row in zip(leaves, *columns, strict=True)]
        )

    return point


# Formulas in order ----------------------------------------------------------------------------------------------------


def fuse(neighbours: Sequence[NamedRule]) -> LeafRule:
    """The formulas of neighbouring links as one; the state of each is filed under its name."""
    links = [(named.name, named.rule.leaf) for named in neighbours if named.rule.leaf]
    formulas = [(name, len(link.fields), link.conditions, within(name, link.formula)) for name, link in links]

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        rest, made, shared, gradient = list(state), [], around.shared, around.gradient
        for name, width, conditions, link in formulas:
            own, rest = tuple(rest[:width]), rest[width:]
            u, own = link(u, own, around._replace(gradient=gradient, shared=shared, path=(*around.path, name)))
            made += own
            shared = shared and conditions
            gradient = u if shared else gradient
        return u, tuple(made)

    return LeafRule(formula, conditions=all(link.conditions for _, link in links), **merged(links))


def merged(links: Sequence[tuple[str, LeafRule]]) -> dict[str, Any]:
    """What the formulas of several links need and keep, each under the name of its link."""
    return {
        "fields": {_kept_at(name, link, path): start for name, link in links for path, start in link.fields.items()},
        "needs": {asked: (name, *path) for name, link in reversed(links) for asked, path in link.needs.items()},
        "once": {(name, *path): of for name, link in links for path, of in link.once.items()},
        "blame": next(((name, *link.blame) for name, link in links if link.fields), (links[0][0], *links[0][1].blame)),
    }


def _kept_at(name: str, link: LeafRule, path: Path) -> Path:
    """Where a field of a link is kept: under the link's name, unless it is the only one and has that name itself."""
    return path if path == (name,) and len(link.fields) == 1 else (name, *path)


# Formulas on trees ----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What belongs to one leaf: update, gradient and parameter (where they are needed), key, keywords, state."""

    update: Any
    gradient: Any
    param: Any
    key: Any
    extra: dict[str, Any]
    state: tuple[Any, ...]


def lift(leaf: LeafRule) -> Rule:
    """The rule on trees that applies a formula leaf by leaf."""

    def init(params: Tree, context: Context) -> State:
        state: State = {}
        packed = is_packed(params)
        for path, start in leaf.fields.items():
            if packed:
                check = within(": ".join(path), check_elementwise)
                trees.map(lambda param, start=start, check=check: check(start, param), params)
            file(state, path, trees.map(start, widened(params)))
        return state

    def rows_of(signals: Signals, state: State, context: Context) -> tuple[Any, list[Row]]:
        check_gradients(signals.updates, context.params)
        updates, treedef = trees.flatten(signals.updates)
        nothing = [None] * len(updates)
        gradients = nothing if signals.gradient is signals.updates else trees.flatten(signals.gradient)[0]
        params = trees.flatten(context.params)[0] if "param" in leaf.needs and context.params is not None else nothing
        keys = nothing
        if "key" in leaf.needs:
            keys = [None if u is None else jax.random.fold_in(context.key, n) for n, u in enumerate(updates)]
        extras = _split(context.extra, treedef, len(updates), [name for name in context.extra if name in leaf.needs])
        fields = [column(find(state, path), signals.updates, start) for path, start in leaf.fields.items()]
        states = zip(*fields, strict=True) if fields else ((),) * len(updates)
        return treedef, [Row(*row) for row in zip(updates, gradients, params, keys, extras, states, strict=True)]

    for name in reversed(leaf.blame):
        rows_of = within(name, rows_of)

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        there = {"gradient", "t", "key", *context.extra}
        known = context.params is not None or signals.updates is None  # a single leaf, which a mask leaves out
        there |= {"param", "params"} if known else set()
        for asked, path in leaf.needs.items():
            if asked not in there:
                raise TransformationError(": ".join([*path, str(missing(asked))]))
        treedef, rows = rows_of(signals, state, context)
        lifted = _Lifted(leaf, signals, context)
        if is_packed(signals.updates):
            lifted.check(rows)
        made = lifted.each(rows, signals.updates)
        new: State = {}
        for n, path in enumerate(leaf.fields):
            file(new, path, treedef.unflatten([state[n] for _, state in made]))
        return signals.then(treedef.unflatten([u for u, _ in made]), conditions=leaf.conditions), new

    return Rule(init, update, "t" in leaf.needs, leaf)


def _split(extra: Mapping[str, Any], treedef: Any, count: int, asked: list[str]) -> list[dict[str, Any]]:
    """The keywords for each leaf: its own leaf of a tree like the parameters, and everything else whole."""
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for name in asked:
        leaves, structure = trees.flatten(extra[name])
        whole = structure != treedef
        for n, row in enumerate(rows):
            row[name] = extra[name] if whole else leaves[n]
    return rows


class _Lifted:
    """Runs a formula on the rows of one update, with its casts and what is computed once for all rows."""

    def __init__(self, leaf: LeafRule, signals: Signals, context: Context):
        self.leaf, self.signals, self.context = leaf, signals, context
        self.made: dict[Any, tuple[Any, dict[Path, Any]]] = {}

    def shared(self, real: Any) -> tuple[Any, dict[Path, Any]]:
        """The time and the ``once`` values, at one precision, computed outside of the inner ``jit``."""
        if real not in self.made:
            context = self.context
            t = context.t.astype(real) if "t" in self.leaf.needs and context.t is not None else None
            given = {**context.extra, "t": t}
            trees_asked = {name for of in self.leaf.once.values() for name in _parameters(of)}
            for name, tree in (
                ("updates", self.signals.updates),
                ("gradient", self.signals.gradient),
                ("params", context.params),
            ):
                if name in trees_asked:
                    given[name] = widened(tree)
            once = {path: of(**{n: given[n] for n in _parameters(of)}) for path, of in self.leaf.once.items()}
            self.made[real] = t, once
        return self.made[real]

    def at(self, real: Any, probe: Probe | None = None, *, packed: bool = False) -> Callable[[Row], Any]:
        """The formula with its casts: it computes at one precision, and the state keeps its dtypes."""
        t, once = self.shared(real)
        leaf, context = self.leaf, self.context

        def step(row: Row) -> tuple[jax.Array, tuple[Any, ...]]:
            u, old = wide(row.update, real), tuple(widened_state(x, real) for x in row.state)
            shared = row.gradient is None
            gradient = u if shared else wide(row.gradient, real)
            param = None if row.param is None else wide(row.param, real)
            extra = {
                name: widened_state(x, real) if x is not context.extra[name] else x for name, x in row.extra.items()
            }
            around = Surroundings(gradient, param, t, extra, row.key, context.path, (), once, probe, packed, shared)
            mixed = any(jnp.iscomplexobj(x) for x in (row.update, row.gradient, row.param, *jax.tree.leaves(old)))
            with jax.numpy_dtype_promotion("standard") if mixed else nullcontext():  # complex times real
                new, made = leaf.formula(u, old, around)
            if jnp.shape(new) != u.shape:
                raise TransformationError(f"a formula made shape {jnp.shape(new)} of an array of shape {u.shape}")
            state = tuple(narrowed(x, was) for x, was in zip(made, row.state, strict=True))
            return new.astype(u.dtype) if new.dtype != u.dtype else new, state

        return step

    def check(self, rows: Sequence[Row]) -> None:
        """Raise `TransformationError` where a formula is not elementwise: once for every combination of dtypes."""
        present = [row for row in rows if row.update is not None]
        for row in {tuple(x.dtype for x in jax.tree.leaves(row)): row for row in present}.values():
            jax.eval_shape(self.at(real_dtype(*reals_in(row)), packed=True), row)

    def each(self, rows: Sequence[Row], tree: Tree) -> list[tuple[Any, tuple[Any, ...]]]:
        """The formula on every row; under a trace, rows of the same kind share one inner ``jit``."""
        probe = self.context.probe
        probing = probe is not None
        traced = not probing and len(rows) > 1 and any(isinstance(row.update, Tracer) for row in rows)
        kinds = [_kind(row) if traced else None for row in rows]
        often, steps = Counter(kinds), {}
        made, probes = [], []
        for n, (kind, row) in enumerate(zip(kinds, rows, strict=True)):
            probes.append(Probe.of(probe.wanted, probe.prefix) if probe else None)
            if row.update is None:
                made.append((None, row.state))
                continue
            repeats = kind is not None and often[kind] > 1
            real = real_dtype(*reals_in(row))
            try:
                if (real, repeats) not in steps or probing:
                    formula = self.at(real, probes[-1])
                    steps[real, repeats] = jax.jit(formula) if repeats else formula
                made.append(steps[real, repeats](row))
            except TransformationError as error:
                raise TransformationError(f"leaf {trees.paths(tree)[n]}: {error}") from error.__cause__
        if probe is not None:  # one number per leaf: a tree of them
            found = [{} if of is None else of.found for of in probes]
            for name in dict.fromkeys(name for each in found for name in each):
                probe.found[name] = trees.flatten(tree)[1].unflatten([each.get(name) for each in found])
        return made


def _kind(row: Row) -> Any:
    """A key that is equal for rows that may share a program; None where there is no leaf."""
    if row.update is None:
        return None
    leaves, treedef = jax.tree.flatten(row)
    return treedef, tuple(jax.typeof(x) for x in leaves)
