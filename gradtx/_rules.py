"""Rules: what a factory's body returns. A formula for one array (`per_leaf`), or a function of whole trees (`whole_tree`).

A chain carries two signals: the *update*, which flows from link to link, and the *gradient*, which is what entered the
chain. A rule that *conditions* gradients (clipping, decay, scaling ...) rewrites both while they are still the same tree;
after the first rule that does not, it changes the update alone.

Formulas for one array compose to a formula for one array (`fuse`), so neighbours in a chain are lifted to trees once:
one upcast, one check, and one inner ``jit`` for every distinct kind of leaf, which makes tracing cheap.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.shard_alike import shard_alike

from gradtx import tree as trees
from gradtx._errors import TransformationError, within
from gradtx._numbers import real_dtype, wide

Tree = Any
State = dict[str, Any]


class Signals(NamedTuple):
    """The update, and the gradient; they are one object as long as every link has conditioned."""

    updates: Tree
    gradient: Tree

    def then(self, updates: Tree, *, conditions: bool) -> "Signals":
        return Signals(updates, updates if conditions and self.updates is self.gradient else self.gradient)


class Context(NamedTuple):
    """What an update was called with besides the signals: parameters, step (None where no link needs it), keywords."""

    params: Tree
    step: Any
    extra: Mapping[str, Any]


class Rule(NamedTuple):
    """How a transformation acts on trees: ``init(params)``, ``update(signals, state, context)``.

    ``timed``: needs the step. ``leaf``: the formula for one array, where there is one. ``frozen``: which leaves of a tree
    have no state and no update, where there are such.
    """

    init: Callable[[Tree], State]
    update: Callable[[Signals, State, Context], tuple[Signals, State]]
    timed: bool = False
    leaf: "LeafRule | None" = None
    frozen: Callable[[Tree], Tree] | None = None


class NamedRule(NamedTuple):
    """A link as the body of a combinator gets it."""

    name: str
    rule: Rule


class LeafRule(NamedTuple):
    """A formula for one array. ``fields`` maps the path of a state field to its initialiser; ``blame`` names the link."""

    formula: Callable[[jax.Array, tuple[Any, ...], "Surroundings"], tuple[jax.Array, tuple[Any, ...]]]
    fields: dict[tuple[str, ...], Callable[[jax.Array], jax.Array]]
    conditions: bool
    needs: frozenset[str]
    blame: tuple[str, ...] = ()


class Surroundings(NamedTuple):
    """What a formula may ask for by name."""

    gradient: Any
    param: Any
    t: Any
    extra: Mapping[str, Any]

    def ask(self, names: frozenset[str]) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in names & {"gradient", "param", "t"}}
        return own | {name: self.extra[name] for name in names - own.keys()}


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
    if isinstance(param, jax.core.Tracer) and param.ndim:  # under jit nothing else ties the state to the parameters
        made = shard_alike(jax.lax.stop_gradient(param), made)[1]
    return made


# Formulas for one array -----------------------------------------------------------------------------------------------


def keywords(function: Callable[..., Any]) -> frozenset[str]:
    """The names that a formula asks for: its keyword-only parameters."""
    return frozenset(p.name for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY)


def per_leaf(formula: Callable[..., Any], *, conditions: bool = False, **fields: Callable[..., jax.Array]) -> Rule:
    """A rule from a formula for one array.

    ``formula(u, *state, *, <names>) -> (u, *state)``, or just ``u`` where there is no state. ``fields`` name the state and
    say how each field starts, ``nu=real_zeros``: a function of one parameter. By keyword the formula asks for what it
    needs: ``gradient`` (what entered the chain), ``param``, ``t`` (1 at the first update), or an extra keyword of
    ``update``. It computes in float32 or float64; trees, dtypes, counts and checks are not its business.
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
        columns = [updates, *(_column(_find(state, path), treedef, signals.updates, start) for path, start in leaf.fields.items())]
        same = signals.gradient is signals.updates
        gradients = [None] * len(updates) if same else trees.flatten(signals.gradient)[0]
        params = trees.flatten(context.params)[0] if "param" in leaf.needs else [None] * len(updates)
        if "param" in leaf.needs and context.params is None:
            raise TransformationError("it needs the parameters: call update(updates, state, params)")
        missing = leaf.needs - {"gradient", "param", "t"} - context.extra.keys()
        if missing:
            name = min(missing)
            raise TransformationError(f"it needs {name!r}: call update(updates, state, params, {name}=...)")
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
    times: dict[Any, Any] = {}

    def time(real: Any) -> Any:
        if real not in times:
            times[real] = (context.step + 1).astype(real)
        return times[real]

    def step(gradient: Any, param: Any, u: jax.Array, *state: jax.Array) -> tuple[jax.Array, ...]:
        present = [x for x in (gradient, param, u, *state) if x is not None]
        real = real_dtype(*(x.dtype for x in present if jnp.issubdtype(x.dtype, jnp.inexact)))
        u, *old = (wide(x, real) for x in (u, *state))
        gradient, param = (None if x is None else wide(x, real) for x in (gradient, param))
        t = time(real) if "t" in leaf.needs else None
        around = Surroundings(u if gradient is None else gradient, param, t, context.extra)
        new, made = leaf.formula(u, tuple(old), around)
        return new.astype(u.dtype), *(x.astype(was.dtype) for x, was in zip(made, state, strict=True))

    if "t" in leaf.needs:  # outside the inner jit, once
        for real in (jnp.float32, jnp.float64) if jax.config.jax_enable_x64 else (jnp.float32,):  # pyright: ignore[reportAttributeAccessIssue]
            time(real)
    return step


def _each(step: Callable[..., Any], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """``step`` on every row; under a trace, rows of a kind that repeats share one inner jit."""
    width = len(rows[0]) - 1 if rows else 0
    kinds = [None if row[2] is None else tuple(x if x is None else jax.typeof(x) for x in row) for row in rows]
    often = Counter(kinds)
    shared = jax.jit(step) if any(isinstance(row[2], jax.core.Tracer) for row in rows) else step
    call = {kind: shared if count > 1 else step for kind, count in often.items()}
    return [(None,) * width if kind is None else call[kind](*row) for kind, row in zip(kinds, rows, strict=True)]


# Rules over whole trees -----------------------------------------------------------------------------------------------


def whole_tree(
    update: Callable[..., Any], *, init: Callable[[Tree], State] | None = None, conditions: bool = False
) -> Rule:
    """A rule from a function of trees, for what needs all leaves at once, such as a norm.

    ``update(updates, state, *, <names>) -> (updates, state)``; ``init(params)`` returns a mapping of arrays, and there is
    none where it is not given (``state`` is then ``{}``). Names that may be asked for: ``gradient``, ``params``, ``t``,
    or an extra keyword of ``update``. Leaves come in float32 or float64 and go out so; ``None`` stays ``None``.

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

    def on_trees(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        given = {"gradient": signals.gradient, "params": context.params, **context.extra}
        if "t" in needs:
            given["t"] = context.step + 1
        missing = needs - given.keys()
        if missing or "params" in needs and context.params is None:
            name = min(missing or {"params"})
            raise TransformationError(f"it needs {name!r}: call update(updates, state, params, {name}=...)")
        if context.params is not None:
            check_like(signals.updates, context.params)
        new, state = update(signals.updates, state, **{name: given[name] for name in needs})
        return signals.then(new, conditions=conditions), state

    return Rule(init or (lambda params: {}), on_trees, "t" in needs)


# Rules made of rules ---------------------------------------------------------------------------------------------------


def scope(rule: Rule) -> Rule:
    """The rule in a scope of its own: its gradient is what enters it."""

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        inner, state = rule.update(Signals(signals.updates, signals.updates), state, context)
        return signals.then(inner.updates, conditions=inner.updates is inner.gradient), state

    leaf = rule.leaf
    if leaf is None:
        return rule._replace(update=update)

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        return leaf.formula(u, state, around._replace(gradient=u))

    return lift(leaf._replace(formula=formula))._replace(timed=rule.timed, frozen=rule.frozen)


def serial(links: Sequence[NamedRule]) -> Rule:
    """Rules one after the other; the state of each under its name, and formulas that are neighbours fused."""
    if any(name == "count" for name, _ in links):
        raise TransformationError("no link may be named 'count': that is where a chain keeps the step")
    runs: list[list[NamedRule]] = []
    for link in links:
        if runs and link.rule.leaf and runs[-1][-1].rule.leaf:
            runs[-1].append(link)
        else:
            runs.append([link])
    steps = [lift(fuse(run)) if run[0].rule.leaf else _filed(*run[0]) for run in runs]
    timed, frozen = any(rule.timed for _, rule in links), any_frozen([rule for _, rule in links])
    if len(steps) == 1:
        return steps[0]._replace(timed=timed, frozen=frozen)

    def init(params: Tree) -> State:
        return {name: entry for step in steps for name, entry in step.init(params).items()}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        new: State = {}
        for step in steps:
            signals, entries = step.update(signals, state, context)
            new |= entries
        return signals, new

    return Rule(init, update, timed, None, frozen)


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
    timed, frozen = any(rule.timed for _, rule in links), any_frozen([rule for _, rule in links])
    leaves = [rule.leaf for _, rule in links]
    if all(leaves):
        return lift(_join(links, join))._replace(timed=timed, frozen=frozen)
    steps = [_filed(*link) for link in links]

    def init(params: Tree) -> State:
        return {name: entry for step in steps for name, entry in step.init(params).items()}

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        made = [step.update(signals, state, context) for step in steps]
        joined = trees.map(join, *(branch.updates for branch, _ in made))
        return signals.then(joined, conditions=False), {k: v for _, entries in made for k, v in entries.items()}

    return Rule(init, update, timed, None, frozen)


def _join(links: Sequence[NamedRule], join: Callable[..., Any]) -> LeafRule:
    fused = fuse(links)

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        rest, made, outs = list(state), [], []
        for _, rule in links:
            assert rule.leaf
            own, rest = tuple(rest[: len(rule.leaf.fields)]), rest[len(rule.leaf.fields) :]
            out, own = rule.leaf.formula(u, own, around)
            outs.append(out)
            made += own
        return join(*outs), tuple(made)

    return fused._replace(formula=formula, conditions=False)


def any_frozen(rules: Sequence[Rule]) -> Callable[[Tree], Tree] | None:
    """Which leaves at least one of the rules freezes."""
    asked = [rule.frozen for rule in rules if rule.frozen]
    if not asked:
        return None
    return lambda tree: jax.tree.map(lambda *any_of: any(any_of), *(frozen(tree) for frozen in asked))


def restrict(rule: Rule, chosen: Callable[[Tree], Tree]) -> Rule:
    """The rule on the leaves that ``chosen(tree)`` marks True; the others pass through and have no state."""

    def init(params: Tree) -> State:
        return rule.init(keep(params, chosen(params)))

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        mask = chosen(signals.updates if context.params is None else context.params)
        updates = keep(signals.updates, mask)
        gradient = updates if signals.gradient is signals.updates else keep(signals.gradient, mask)
        params = None if context.params is None else keep(context.params, mask)
        inner, state = rule.update(Signals(updates, gradient), state, context._replace(params=params))
        filled = fill(inner.updates, signals.updates)
        return signals.then(filled, conditions=inner.updates is inner.gradient), state

    def frozen(tree: Tree) -> Tree:
        mask = chosen(tree)
        inner = rule.frozen(keep(tree, mask)) if rule.frozen else {}
        return fill(inner, trees.map(lambda _: False, tree))

    return rule._replace(init=init, update=update, leaf=None, frozen=frozen if rule.frozen else None)


def keep(tree: Tree, mask: Tree) -> Tree:
    """The tree with ``None`` where the mask is not True."""
    leaves, treedef = trees.flatten(tree)
    chosen = trees.flatten(mask)[0]
    return treedef.unflatten([leaf if choice else None for leaf, choice in zip(leaves, chosen, strict=True)])


def fill(tree: Tree, other: Tree) -> Tree:
    """The tree with the leaves of ``other`` where it has ``None``."""
    leaves, treedef = trees.flatten(other)
    return treedef.unflatten([b if a is None else a for a, b in zip(trees.flatten(tree)[0], leaves, strict=True)])


# State and checks -----------------------------------------------------------------------------------------------------


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


def describe(leaf: Any) -> str:
    """What a leaf is, for an error."""
    return "None" if leaf is None else f"shape {jnp.shape(leaf)}"


def leaf_error(path: str, expected: Any, found: Any) -> TransformationError:
    """Two leaves that do not belong together."""
    return TransformationError(f"leaf {path}: expected {describe(expected)}, found {describe(found).removeprefix('shape ')}")


def structure_error(expected: Tree, found: Tree) -> TransformationError:
    """Two trees that do not belong together: the first leaf that one of them lacks."""
    wanted, given = trees.paths(expected), trees.paths(found)
    shapes = dict(zip(wanted, trees.flatten(expected)[0], strict=True)) | dict(zip(given, trees.flatten(found)[0], strict=True))
    for path in wanted:
        if path not in given:
            return TransformationError(f"leaf {path}: expected {describe(shapes[path])}, found no such leaf")
    for path in given:
        if path not in wanted:
            return TransformationError(f"leaf {path}: expected no such leaf, found {describe(shapes[path])}")
    return TransformationError(f"expected the structure {jax.tree.structure(expected)}, found {jax.tree.structure(found)}")


def check_like(updates: Tree, params: Tree) -> None:
    """Raise `TransformationError` unless the updates have the structure and the shapes of the parameters."""
    (found, found_def), (expected, expected_def) = trees.flatten(updates), trees.flatten(params)
    if found_def != expected_def:
        raise structure_error(params, updates)
    for n, (update, param) in enumerate(zip(found, expected, strict=True)):
        if (update is None) != (param is None) or update is not None and jnp.shape(update) != jnp.shape(param):
            raise leaf_error(trees.paths(updates)[n], param, update)


def check_floating(tree: Tree, what: str) -> None:
    """Raise `TransformationError` unless every leaf is an array (or a number) in floating point."""
    for n, leaf in enumerate(trees.flatten(tree)[0]):
        if leaf is None:
            continue
        dtype = getattr(leaf, "dtype", type(leaf))
        if dtype not in (float, complex) and not (hasattr(leaf, "dtype") and jnp.issubdtype(dtype, jnp.inexact)):
            found = getattr(dtype, "__name__", str(dtype))
            raise TransformationError(
                f"leaf {trees.paths(tree)[n]}: expected a floating-point {what}, found {found}; leave such a leaf out "
                "(None), or freeze it: partition({..., 'frozen': set_to_zero()}, ...)"
            )
