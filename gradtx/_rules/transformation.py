"""The transformation as a value, the decorator that makes factories of them, and the functions that take one.

A transformation is a call of a factory, kept (see `gradtx._value.value`). Its rule is made each time it is used, from
the numbers as they are then: traced, swept or scheduled. That is cheap, because it happens while tracing.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, overload

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._rules.checks import as_arrays, check_floating, check_gradients, check_like, check_state, check_structure
from gradtx._rules.compose import fill, keep, located, scope
from gradtx._rules.packing import refuse_packed
from gradtx._rules.protocol import Context, NamedRule, Rule, Signals, State, Tree, widened
from gradtx._schedules.schedule import as_number_or_schedule, at_step, is_scheduled
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype, wide
from gradtx._value.marks import Interval, Static
from gradtx._value.named_links import Links
from gradtx._value.value import Value, factory

P = ParamSpec("P")


class GradientTransformation(Value):
    """An optimizer or a part of one: ``init(params) -> state``, ``update(updates, state, params) -> (updates, state)``.

    It is a pytree whose leaves are its numbers. So it goes through ``jit`` (a new learning rate does not compile
    again), ``vmap`` (one program trains a whole sweep) and ``grad`` (with respect to its numbers); it prints as the
    call that makes it, compares, hashes and pickles. Arguments are attributes (``tx.learning_rate``); `replace`
    exchanges them.
    """

    __slots__ = ()

    @classmethod
    def _number(cls, x: Any, interval: Interval | None) -> Any:
        return as_number_or_schedule(x, interval)

    @classmethod
    def _link(cls, x: Any) -> "GradientTransformation":
        if isinstance(x, GradientTransformation):
            return x
        if callable(getattr(x, "init", None)) and callable(getattr(x, "update", None)):
            return _foreign(x)
        hint = f"; call it: {x.__name__}(...)" if callable(x) and hasattr(x, "call") else ""
        raise TransformationError(f"expected a transformation, found {x!r}{hint}")

    def init(self, params: Tree) -> State:
        """The state before the first update: a mapping from names to trees like the parameters, or to scalars.

        ``count`` is the number of updates so far, there only if something depends on it. Leaves that are frozen have no
        state. Raises `TransformationError`: a leaf that is not in floating point, a stacked transformation.
        """
        return self._within(self._init)(params)

    def _init(self, params: Tree) -> State:
        rule = rule_of(self, jnp.zeros([], jnp.int32))
        params = _thaw(rule, params, params)
        check_floating(params, "parameter")
        state = rule.init(as_arrays(params))
        return {"count": jnp.zeros([], jnp.int32), **state} if rule.timed else state

    def update(
        self, updates: Tree, state: State, params: Tree = None, *, step: Any = None, **extra: Any
    ) -> tuple[Tree, State]:
        """From gradients to updates, which `apply_updates` adds to the parameters; and the next state.

        The updates have the dtypes of the gradients. ``step`` replaces the count of the state (0 is the first update).
        Extra keywords go to the links that ask for them. Raises `TransformationError`, at trace time: a leaf that is
        missing, of another shape or not in floating point; parameters or a keyword that a link needs and did not get.
        """
        return self._within(self._update)(updates, state, params, step, extra)

    def _update(self, updates: Tree, state: State, params: Tree, step: Any, extra: Mapping[str, Any]) -> Any:
        if step is not None:
            _check_step(step)
        elif isinstance(state, Mapping):
            step = state.get("count")
        rule = rule_of(self, jnp.asarray(0 if step is None else step))
        if rule.timed and step is None:
            raise TransformationError("the state has no 'count': it was made by another transformation")
        if rule.frozen is not None and params is not None:
            check_structure(updates, params)
        gradients, given, params = _thaw(rule, updates, params), params, _thaw(rule, params, params)
        check_floating(params, "parameter")
        arrays = as_arrays(gradients)
        params = None if params is None else as_arrays(params)
        context = Context(params, None if step is None else _next(jnp.asarray(step)), extra)
        signals, new = rule.update(Signals(arrays, arrays), state, context)
        out = trees.map(lambda u, g: u if u.dtype == g.dtype else u.astype(g.dtype), signals.updates, arrays)
        if rule.frozen is not None:
            out = fill(out, trees.map(jnp.zeros_like, as_arrays(updates)))
        new = {"count": context.t, **new} if rule.timed else new
        check_state(state, new)
        check_floating(gradients, "gradient")  # also what no link has looked at
        if given is not None:
            check_like(updates, given)
        return out, new

    def _within(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return method if self.call.associative else within(self.link_name, method)


def _check_step(step: Any) -> None:
    x = step if hasattr(step, "dtype") else np.asarray(step)
    if np.ndim(x) or not jnp.issubdtype(x.dtype, jnp.integer) or (isinstance(step, int | np.integer) and step < 0):
        raise TransformationError(f"step: expected one whole number, 0 or more, found {step!r}")


def _next(step: jax.Array) -> jax.Array:
    top = jnp.iinfo(jnp.int32).max
    return jnp.where(step < top, step + 1, top).astype(jnp.int32)


def _thaw(rule: Rule, tree: Tree, like: Tree) -> Tree:
    """The tree without the leaves that the rule freezes."""
    if rule.frozen is None or tree is None:
        return tree
    return keep(tree, trees.map(lambda frozen: not frozen, rule.frozen(tree if like is None else like)))


# From a value to its rule ---------------------------------------------------------------------------------------------


def rule_of(tx: GradientTransformation, step: Any) -> Rule:
    """The rule of a transformation, with its schedules at ``step``. A recipe opens a scope of its own."""
    given: dict[str, Any] = {}
    links: list[NamedRule] = []
    timed = False
    for name, parameter in tx.call.parameters.items():
        child = tx.given[name]
        if isinstance(child, Links):
            named = [_named(own, link, step, scoped=alias is not None) for own, alias, link in child.triples()]
            timed = timed or any(link.rule.timed for link in named)
            if parameter.kind == "links":
                links = named
            else:
                given[name] = {link.name: link.rule for link in named}
        elif parameter.kind == "link":
            given[name] = located(child.link_name, within(child.link_name, rule_of)(child, step))
            timed = timed or given[name].timed
        elif parameter.kind == "structure":
            given[name] = child.value
        else:
            timed = timed or is_scheduled(child)
            given[name] = _one(name, child if parameter.kind == "whole" else within(name, at_step)(child, step))
    ahead = [given.pop(name) for name in tx.call.ahead]
    made = tx.call.body(*ahead, *links, **given)
    rule = made if isinstance(made, Rule) else scope(rule_of(GradientTransformation._link(made), step))
    return rule._replace(timed=True) if timed else rule


def _named(name: str, link: GradientTransformation, step: Any, *, scoped: bool) -> NamedRule:
    rule = within(name, rule_of)(link, step)
    return NamedRule(name, scope(rule) if scoped else rule)


def _one(name: str, x: Any) -> Any:
    for leaf in jax.tree.leaves(x):
        if np.ndim(leaf):
            raise TransformationError(
                f"{name}: expected one number, found shape {np.shape(leaf)}; a stacked transformation needs jax.vmap"
            )
    return x


@overload
def transformation(body: Callable[P, Any], /) -> Callable[P, GradientTransformation]: ...
@overload
def transformation(
    *, associative: bool = False
) -> Callable[[Callable[P, Any]], Callable[P, GradientTransformation]]: ...
def transformation(body: Any = None, /, *, associative: bool = False) -> Any:
    """A decorator that makes a factory of transformations of a function.

    **Numbers before the star, structure after it.** What stands before ``*`` is a number: it may be traced, swept,
    differentiated, scheduled (any function of the step), and must not be branched on; ``None`` is structure. Python
    ints become floats. What stands after ``*`` is keyword-only and static: bools, strings, dtypes, masks, functions.
    Annotations check concrete numbers at the call: `gradtx.Decay` is in [0, 1) and carried to better than float32, so
    that ``1 - b``, ``b * x``, ``b**t`` and ``1 - b**t`` are exact to rounding; `gradtx.NonNegative` is finite and ≥
    0.

    The function returns a rule (`gradtx.per_leaf`, `gradtx.whole_tree`) or another transformation: a recipe. A body
    with ``*links`` gets them as pairs of a name and a rule. With ``associative=True`` a call of the factory among its
    own unnamed links is spliced into them.

    Raises `TransformationError` at the call: an unknown keyword, a number outside its range, something that is no
    number.

    >>> from gradtx import Decay, chain, per_leaf, scale_by_learning_rate, zeros
    >>> @transformation
    ... def scale_by_average(decay: Decay = 0.9):
    ...     def formula(u, mu):
    ...         mu = decay * mu + (1 - decay) * u
    ...         return mu, mu
    ...     return per_leaf(formula, mu=zeros)
    >>> @transformation
    ... def averaged_sgd(learning_rate, decay: Decay = 0.9):
    ...     return chain(scale_by_average(decay), scale_by_learning_rate(learning_rate))
    >>> tx = averaged_sgd(0.5)
    >>> tx
    averaged_sgd(learning_rate=0.5, decay=0.9)
    >>> updates, _ = tx.update(jnp.array([10.0]), tx.init(jnp.zeros(1)))
    >>> [round(u, 6) for u in updates.tolist()]
    [-0.5]
    """
    decorate = factory(GradientTransformation, associative=associative)
    return decorate if body is None else decorate(body)


# Transformations of other libraries -----------------------------------------------------------------------------------


@factory(GradientTransformation, names_link=True)
def foreign(transformation: Static, *, name: str = "foreign"):
    """Anything with ``init`` and ``update``, such as a transformation of Optax, as a link.

        u, state ← transformation.update(u, state, params)

    `gradtx.chain` makes such links by itself. It sees the update in the dtype of the parameters, where they are given,
    as it would outside; its state keeps its dtypes. It conditions gradients if its state has no leaves (see
    `gradtx.chain`), and then has no entry in the state. The trap: it holds functions, so it equals itself alone and
    rarely pickles.

    >>> import optax
    >>> from gradtx import chain, scale
    >>> tx = chain(optax.clip(1.0), scale(-0.5))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    takes_extra = any(p.kind == p.VAR_KEYWORD for p in inspect.signature(transformation.update).parameters.values())

    def init(params: Tree) -> Any:
        refuse_packed(params, "it may look at leaves")
        state = transformation.init(params)
        return state if jax.tree.leaves(state) else {}

    def update(signals: Signals, state: Any, context: Context) -> tuple[Signals, Any]:
        params, updates = context.params, signals.updates
        check_gradients(updates, params)
        refuse_packed(updates, "it may look at leaves")
        given = updates if params is None else trees.cast_like(updates, params)
        if state == {}:
            stateless = jax.eval_shape(transformation.init, given if params is None else params)
            if jax.tree.leaves(stateless):
                raise TransformationError("it has no entry in the state: it was made by another transformation")
            new, _ = transformation.update(given, stateless, params, **(context.extra if takes_extra else {}))
            return signals.then(widened(new), conditions=True), {}
        new, after = transformation.update(given, state, params, **(context.extra if takes_extra else {}))
        after = jax.tree.map(lambda x, was: x.astype(was.dtype) if hasattr(was, "dtype") else x, after, state)
        return signals.then(widened(new), conditions=False), after

    return Rule(init, update)


def _foreign(x: Any) -> GradientTransformation:
    maker, _, local = getattr(x.init, "__qualname__", "").partition(".")
    return foreign(x, name=maker if local and maker.isidentifier() else "foreign")


# Functions of a transformation ----------------------------------------------------------------------------------------


def apply_updates(params: Tree, updates: Tree) -> Tree:
    """The sum of parameters and updates, leaf by leaf, in the dtype of the parameters. ``None`` is no update.

    Raises `TransformationError`: trees that differ, or a leaf that would broadcast.

    >>> apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])})
    {'w': Array([1.5, 1.5], dtype=float32)}
    """
    present = trees.map(lambda u, p: p, updates, params) if _alike(updates, params) else params
    within("apply_updates", check_like)(updates, present)
    moved = trees.map(lambda u, p: p if jnp.issubdtype(jnp.result_type(u), jnp.inexact) else None, updates, present)
    within("apply_updates", check_floating)(moved, "parameter")
    return jax.tree.map(_moved, updates, params, is_leaf=lambda x: x is None)


def _moved(update: Any, param: Any) -> Any:
    if update is None:
        return param
    if not jnp.issubdtype(jnp.result_type(update), jnp.inexact):  # the zeros of a frozen leaf
        return param + update
    param, update = jnp.asarray(param), jnp.asarray(update)
    real = real_dtype(param.dtype, update.dtype)
    return (wide(param, real) + wide(update, real)).astype(param.dtype)


def _alike(a: Tree, b: Tree) -> bool:
    return trees.flatten(a)[1] == trees.flatten(b)[1]


def gradient_params(tx: GradientTransformation, params: Tree, state: State) -> Tree:
    """Where the gradient of the next update is to be taken: the parameters, unless a link says otherwise.

    True Nesterov momentum looks ahead to θ + αv. It composes through chains, scopes and groups.

    >>> from gradtx import nesterov
    >>> tx, params = nesterov(0.1, 0.5), jnp.array([1.0])
    >>> state = tx.init(params)
    >>> updates, state = tx.update(jnp.array([2.0]), state)
    >>> gradient_params(tx, apply_updates(params, updates), state)  # 0.8 + 0.5·(−0.2)
    Array([0.7], dtype=float32)
    """
    return _point(tx, params, state, "gradient_params")


def eval_params(tx: GradientTransformation, params: Tree, state: State) -> Tree:
    """The parameters to deploy: those that are trained, unless a link averages them.

    >>> from gradtx import asgd
    >>> tx, params = asgd(0.1, lambd=0.0, t0=0.0), jnp.array([1.0])
    >>> state = tx.init(params)
    >>> for gradient in (2.0, 2.0, 2.0):
    ...     updates, state = tx.update(jnp.array([gradient]), state, params)
    ...     params = apply_updates(params, updates)
    >>> bool(eval_params(tx, params, state) > params)  # an average lags behind
    True
    """
    return _point(tx, params, state, "eval_params")


def _point(tx: GradientTransformation, params: Tree, state: State, which: str) -> Tree:
    step = state.get("count", 0) if isinstance(state, Mapping) else 0
    rule = tx._within(rule_of)(tx, jnp.asarray(step))
    if rule.points is None:
        return params
    kept = _thaw(rule, params, params)
    moved = getattr(rule.points, which)(as_arrays(kept), state)
    return moved if rule.frozen is None else fill(moved, params)


def hyperparameters(tx: GradientTransformation, state: State | None = None) -> dict[str, Any]:
    """Every number of a transformation by its dotted name, as `GradientTransformation.replace` takes them.

    Without a state, schedules are given as they are; with one, they are resolved to the values of the next update.

    >>> from gradtx import adam, chain, clip_by_global_norm, linear_schedule
    >>> tx = chain(clip_by_global_norm(1.0), adam(linear_schedule(1.0, 0.0, 10)))
    >>> hyperparameters(tx)["clip_by_global_norm.max_norm"]
    1.0
    >>> float(hyperparameters(tx, tx.init(jnp.zeros(3)))["adam.learning_rate"])
    1.0
    """
    if state is not None and "count" not in state and any(is_scheduled(x) for x in _numbers(tx, "").values()):
        raise TransformationError("hyperparameters: the state has no 'count': it was made by another transformation")
    numbers = _numbers(tx, "" if tx.call.associative else f"{tx.link_name}.")
    return numbers if state is None else {name: at_step(x, state.get("count")) for name, x in numbers.items()}


def _numbers(tx: Value, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in tx.parts():
        if isinstance(part, GradientTransformation):
            found |= _numbers(part, f"{prefix}{name}.")
        elif part is not None:
            found[prefix + name] = part.exact() if isinstance(part, SplitDecay) else part
    return found
