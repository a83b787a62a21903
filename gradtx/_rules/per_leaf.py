"""Formulas for one array, and how they are lifted to trees.

Formulas compose to a formula (`fuse`), so neighbours in a chain are lifted once: one upcast, one check, and one inner
``jit`` for every distinct kind of leaf that repeats, which makes tracing cheap.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.checks import check_gradients, complex_error, leaf_error, structure_error
from gradtx._rules.elementwise import check_elementwise
from gradtx._rules.packing import is_packed
from gradtx._rules.protocol import (
    Context,
    LeafRule,
    NamedRule,
    Points,
    Rule,
    Signals,
    State,
    Surroundings,
    Tree,
    keywords,
    missing,
)
from gradtx._value.decay import SharedPowers
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype, wide

# Initialisers of state fields -----------------------------------------------------------------------------------------


def zeros(param: Any, dtype: Any = None) -> jax.Array:
    """Zeros like ``param``, in ``dtype`` or in float32 at least, and sharded as it is; complex where it is."""
    if dtype is not None and jnp.iscomplexobj(param):
        dtype = jnp.complex128 if jnp.finfo(dtype).bits == 64 else jnp.complex64
    return full(param, 0, dtype)


def real_zeros(param: Any, dtype: Any = None) -> jax.Array:
    """Zeros like ``param``, real also where it is complex: the start of a second moment."""
    return full(param, 0, real_dtype(param.dtype) if dtype is None else dtype)


def full(param: Any, value: Any, dtype: Any = None) -> jax.Array:
    """``value`` everywhere, shaped and sharded like ``param``, in ``dtype`` or in float32 at least."""
    made = jnp.full_like(param, value, dtype=jax.eval_shape(wide, param).dtype if dtype is None else dtype)
    if isinstance(param, Tracer) and param.ndim:  # under jit a constant is tied to no sharding, so it depends on param
        made = made + jnp.zeros((), made.dtype) * jnp.isfinite(jax.lax.stop_gradient(param)).astype(made.dtype)
    return made


# Formulas for one array -----------------------------------------------------------------------------------------------


def per_leaf(
    formula: Callable[..., Any],
    *,
    conditions: bool = False,
    gradient_params: Callable[..., jax.Array] | None = None,
    eval_params: Callable[..., jax.Array] | None = None,
    **fields: Callable[..., jax.Array],
) -> Rule:
    """A rule from a formula for one array.

    ``formula(u, *state, *, <names>) -> (u, *state)``, or just ``u`` where there is no state. ``fields`` name the
    state and say how each field starts, ``nu=real_zeros``: a function of one parameter. By keyword the formula asks
    for what it needs: ``gradient`` (what entered the chain), ``param``, ``t`` (1 at the first update), or an extra
    keyword of ``update``. It computes in float32 or float64; trees, dtypes, counts and checks are not its business.
    ``conditions=True`` says that it rewrites the gradient itself (see `gradtx.chain`). ``gradient_params(param,
    *state)`` and ``eval_params(param, *state)`` are formulas too, for rules that want the gradient taken elsewhere
    than at the parameters, or deploy others (see `gradtx.gradient_params`).
    """
    needs = keywords(formula)

    def leaf(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        asked = around.ask(needs)
        if around.packed:
            check_elementwise(formula, u, *state, **asked)
        made = formula(u, *state, **asked)
        made = made if isinstance(made, tuple) else (made,)
        if len(made) != 1 + len(fields):
            wanted = ", ".join(["the update", *fields])
            raise TransformationError(f"expected the formula to return {wanted}; found {len(made)} values")
        return made[0], tuple(made[1:])

    asked = dict.fromkeys(needs, ())
    rule = lift(LeafRule(leaf, {(name,): start for name, start in fields.items()}, conditions, asked))
    if gradient_params is None and eval_params is None:
        return rule
    return rule._replace(points=Points(_at(gradient_params, list(fields)), _at(eval_params, list(fields))))


def _at(formula: Callable[..., jax.Array] | None, fields: list[str]) -> Callable[[Tree, State], Tree]:
    """A formula for one parameter and its state, on trees; computed as a rule is, in the dtype of the parameter."""

    def point(params: Tree, state: State) -> Tree:
        if formula is None:
            return params
        packed, at = is_packed(params), formula

        def of_leaf(param: jax.Array, *state: jax.Array) -> jax.Array:
            real = real_dtype(param.dtype, *(x.dtype for x in state))
            widened = [wide(x, real) for x in (param, *state)]
            if packed:
                check_elementwise(at, *widened)
            return at(*widened).astype(param.dtype)

        return trees.map(of_leaf, params, *(_find(state, (name,)) for name in fields))

    return point


def fuse(neighbours: Sequence[NamedRule]) -> LeafRule:
    """The formulas of neighbouring links as one; the state of each is filed under its name."""
    links = [(name, rule.leaf) for name, rule in neighbours if rule.leaf]
    formulas = [(len(link.fields), link.conditions, within(name, link.formula)) for name, link in links]

    def formula(u: jax.Array, state: tuple[Any, ...], around: Surroundings) -> tuple[jax.Array, tuple[Any, ...]]:
        rest, made, shared = list(state), [], around.gradient is u
        for width, conditions, link in formulas:
            own, rest = tuple(rest[:width]), rest[width:]
            u, own = link(u, own, around)
            made += own
            shared = shared and conditions
            around = around._replace(gradient=u) if shared else around
        return u, tuple(made)

    fields = {(name, *path): start for name, link in links for path, start in link.fields.items()}
    needs = {asked: (name, *path) for name, link in reversed(links) for asked, path in link.needs.items()}
    culprit = next(((name, *link.blame) for name, link in links if link.fields), (links[0][0], *links[0][1].blame))
    return LeafRule(formula, fields, all(link.conditions for _, link in links), needs, culprit)


def lift(leaf: LeafRule) -> Rule:
    """The rule on trees that applies a formula leaf by leaf."""

    def init(params: Tree) -> State:
        state: State = {}
        packed = is_packed(params)
        for path, start in leaf.fields.items():
            if packed:
                check = within(": ".join(path), check_elementwise)
                trees.map(lambda param, start=start, check=check: check(start, param), params)
            _file(state, path, trees.map(start, params))
        return state

    def checked(signals: Signals, state: State, context: Context) -> tuple[Any, list[tuple[Any, ...]]]:
        """The rows of the table that has a leaf in each row: gradient, parameter, update, state."""
        check_gradients(signals.updates, context.params)
        updates, treedef = trees.flatten(signals.updates)
        nothing = [None] * len(updates)
        gradients = nothing if signals.gradient is signals.updates else trees.flatten(signals.gradient)[0]
        params = trees.flatten(context.params)[0] if "param" in leaf.needs and context.params is not None else nothing
        fields = (_column(_find(state, path), signals.updates, start) for path, start in leaf.fields.items())
        return treedef, list(zip(gradients, params, updates, *fields, strict=True))

    for name in reversed(leaf.blame):
        checked = within(name, checked)

    def update(signals: Signals, state: State, context: Context) -> tuple[Signals, State]:
        there = {"gradient", "t", *context.extra} | ({"param"} if context.params is not None else set())
        for asked, path in leaf.needs.items():
            if asked not in there:
                raise TransformationError(": ".join([*path, str(missing(asked))]))
        treedef, rows = checked(signals, state, context)
        if is_packed(signals.updates):
            _try(leaf, context, rows)
        made = _each(leaf, context, rows, signals.updates)
        new: State = {}
        for n, path in enumerate(leaf.fields):
            _file(new, path, treedef.unflatten([row[n + 1] for row in made]))
        return signals.then(treedef.unflatten([row[0] for row in made]), conditions=leaf.conditions), new

    return Rule(init, update, "t" in leaf.needs, leaf)


def _try(leaf: LeafRule, context: Context, rows: list[tuple[Any, ...]]) -> None:
    """Raise `TransformationError` where a formula is not elementwise: once for every combination of dtypes."""
    kinds = {tuple(getattr(x, "dtype", None) for x in row): row for row in rows if row[2] is not None}
    for row in kinds.values():
        jax.eval_shape(_on_arrays(leaf, context, _times(leaf, context), packed=True), *row)


def _times(leaf: LeafRule, context: Context) -> dict[Any, jax.Array]:
    """The time, in the dtypes in which formulas may ask for it: made outside the inner jit, once."""
    reals = {jnp.dtype(real): real for real in (jnp.float32, jnp.result_type(float)) if "t" in leaf.needs}
    return {dtype: context.t.astype(real) for dtype, real in reals.items()}


def _on_arrays(
    leaf: LeafRule, context: Context, times: Mapping[Any, jax.Array], *, packed: bool = False
) -> Callable[..., Any]:
    """The formula with its casts: at the widest precision of what it is given, state back in the dtype that it had."""

    def step(gradient: Any, param: Any, u: jax.Array, *state: jax.Array) -> tuple[jax.Array, ...]:
        present = [x for x in (gradient, param, u, *state) if x is not None]
        real = real_dtype(*(x.dtype for x in present if jnp.issubdtype(x.dtype, jnp.inexact)))
        u, *old = (wide(x, real) for x in (u, *state))
        gradient, param = (None if x is None else wide(x, real) for x in (gradient, param))
        t = times.get(jnp.dtype(real))
        around = Surroundings(u if gradient is None else gradient, param, t, context.extra, packed)
        mixed = any(jnp.iscomplexobj(x) for x in present)  # complex numbers are scaled by real ones
        with jax.numpy_dtype_promotion("standard") if mixed else nullcontext():
            new, made = leaf.formula(u, tuple(old), around)
        for before, after in zip((u, *old), (new, *made), strict=True):
            if jnp.shape(after) != before.shape:
                raise TransformationError(
                    f"a formula made shape {jnp.shape(after)} of an array of shape {before.shape}"
                )
        return new.astype(u.dtype), *(x.astype(was.dtype) for x, was in zip(made, state, strict=True))

    return step


def _each(leaf: LeafRule, context: Context, rows: list[tuple[Any, ...]], tree: Tree) -> list[tuple[Any, ...]]:
    """The formula on every row; under a trace, rows of a kind that repeats share one inner jit, and all share powers.

    Powers of decays are scalars, but as many operations as the rest of Adam: a trial on one row says which there are.
    """
    times = _times(leaf, context)
    step, powers = _on_arrays(leaf, context, times), SharedPowers(times.values())
    kinds = [None if row[2] is None else tuple(x if x is None else jax.typeof(x) for x in row) for row in rows]
    often = Counter(kinds)
    traced = any(isinstance(row[2], Tracer) for row in rows)
    shared = jax.jit(step) if traced else step
    made = []
    with powers.used():
        for n, (kind, row) in enumerate(zip(kinds, rows, strict=True)):
            try:
                if n == 0 and kind and times and traced and len(rows) > 1:
                    jax.eval_shape(lambda *row: step(*row), *row)  # not step itself: jit would find that trace again
                    powers.make()
                made.append(row[2:] if kind is None else (shared if often[kind] > 1 else step)(*row))
            except TransformationError as error:
                raise TransformationError(f"leaf {trees.paths(tree)[n]}: {error}") from error.__cause__
    return made


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


def _column(field: Tree, updates: Tree, start: Callable[..., jax.Array]) -> list[Any]:
    """The leaves of a state field, beside those of the updates that they belong to."""
    (leaves, structure), (found, treedef) = trees.flatten(field), trees.flatten(updates)
    if structure != treedef:
        raise structure_error(field, updates)
    for n, (leaf, update) in enumerate(zip(leaves, found, strict=True)):
        if leaf is None and update is None:
            continue
        if leaf is None or update is None:
            raise leaf_error(trees.paths(updates)[n], leaf, update)
        alike = leaf.shape == update.shape and jnp.iscomplexobj(leaf) == jnp.iscomplexobj(update)
        expected = leaf if alike else jax.eval_shape(start, update)
        if leaf.shape != expected.shape:
            raise leaf_error(trees.paths(updates)[n], leaf, update)
        if jnp.iscomplexobj(leaf) != jnp.iscomplexobj(expected):
            raise complex_error(trees.paths(updates)[n], update)
    return leaves
