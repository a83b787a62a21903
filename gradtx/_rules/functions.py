"""Functions of a transformation and its parameters: applying updates, points to evaluate at, hyperparameters."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules import clock
from gradtx._rules.checks import as_arrays, as_state, check_floating, check_like, check_state
from gradtx._rules.protocol import Place, State, Tree
from gradtx._rules.restrict import fill, keep
from gradtx._rules.siblings import whole
from gradtx._rules.transformation import GradientTransformation, rule_of
from gradtx._schedules.schedule import at_step, is_scheduled
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype, wide
from gradtx._value.numbers import Name
from gradtx._value.value import Value


def apply_updates(params: Tree, updates: Tree) -> Tree:
    """The sum of parameters and updates, leaf by leaf, in the dtype of the parameters. ``None`` means no update.

    A leaf whose update is not floating-point (that of a frozen integer, or of a random key) stays as it is.
    Raises `TransformationError`: trees that differ, or a leaf that would broadcast.

    >>> apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])})
    {'w': Array([1.5, 1.5], dtype=float32)}
    """
    present = trees.map(lambda u, p: p, updates, params) if _alike(updates, params) else params
    within("apply_updates", check_like)(updates, present)
    moved = trees.map(lambda u, p: p if _is_floating(u) else None, updates, present)
    within("apply_updates", check_floating)(moved, "parameter")
    return jax.tree.map(_moved, updates, params, is_leaf=lambda x: x is None)


def _moved(update: Any, param: Any) -> Any:
    if update is None or not _is_floating(update):
        return param
    param, update = jnp.asarray(param), jnp.asarray(update)
    real = real_dtype(param.dtype, update.dtype)
    return (wide(param, real) + wide(update, real)).astype(param.dtype)


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(x.dtype if hasattr(x, "dtype") else jnp.result_type(x), jnp.inexact)


def _alike(a: Tree, b: Tree) -> bool:
    return trees.flatten(a)[1] == trees.flatten(b)[1]


def with_extra_args_support(tx: Any) -> GradientTransformation:
    """A transformation that takes any keyword of ``update``: ours do; one of another library gets those it takes.

    >>> import optax
    >>> tx = with_extra_args_support(optax.scale(-1.0))
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), value=3.0)[0]
    Array([-2.], dtype=float32)
    """
    return GradientTransformation._link(tx)


def gradient_params(tx: GradientTransformation, params: Tree, state: State) -> Tree:
    """The point at which to take the next gradient: the parameters, unless a link says otherwise.

    True Nesterov momentum, for example, looks ahead to θ + μv. This works through chains, scopes and groups.

    >>> from gradtx import nesterov
    >>> tx, params = nesterov(0.1, 0.5), jnp.array([1.0])
    >>> state = tx.init(params)
    >>> updates, state = tx.update(jnp.array([2.0]), state)
    >>> gradient_params(tx, apply_updates(params, updates), state)  # 0.8 + 0.5·(−0.2)
    Array([0.7], dtype=float32)
    """
    return _point(tx, params, state, "gradient_params")


def eval_params(tx: GradientTransformation, params: Tree, state: State) -> Tree:
    """The parameters to deploy: the trained ones, unless a link averages them.

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
    step = clock.count_of(state)
    rule = tx._within(rule_of)(tx, jnp.asarray(0 if step is None else step))
    if rule.points is None:
        return params
    given = as_arrays(params)
    kept = given if rule.frozen is None else keep(given, trees.map(lambda frozen: not frozen, rule.frozen(given)))
    with whole(given):
        moved = getattr(rule.points, which)(kept, as_state(state))
    return moved if rule.frozen is None else fill(moved, params)


def reset(tx: GradientTransformation, state: State, params: Tree, where: Any) -> State:
    """The state with that of some parameters as it is before the first update, such as those of one group.

    ``where`` chooses the parameters, as the mask of `gradtx.masked` does: a path pattern, a tree of bools, a function
    of the parameters. What belongs to several parameters stays, unless all of them are chosen: so the step count of a
    whole chain goes on. The trap: there a bias correction takes the new average for an old one; put
    `gradtx.own_clock` around a group that is to start anew.

    >>> from gradtx import sgd
    >>> params = {"body": jnp.zeros(1), "head": jnp.zeros(1)}
    >>> tx = sgd(0.1, 0.9)
    >>> _, state = tx.update({"body": jnp.array([1.0]), "head": jnp.array([1.0])}, tx.init(params))
    >>> reset(tx, state, params, "head")
    {'trace': {'body': Array([1.], dtype=float32), 'head': Array([0.], dtype=float32)}}
    """
    chosen = within("reset", trees.mask)(where, params)
    fresh = tx.init(params)
    with whole(params):
        others = jax.eval_shape(tx.init, keep(params, trees.map(lambda own: not own, chosen)))
    nobody = jax.eval_shape(tx.init, trees.map(lambda _: None, params))
    within("reset", check_state)(state, fresh)
    return _renewed(fresh, state, others, nobody)


def _renewed(fresh: Any, state: Any, others: Any, nobody: Any) -> Any:
    """``fresh`` where the state of the other parameters has nothing, ``state`` elsewhere."""
    left, shared, all_of_it = (len(jax.tree.leaves(x)) for x in (others, nobody, fresh))
    if left == shared < all_of_it:  # none of it belongs to another parameter
        return fresh
    if isinstance(others, dict):
        return {name: _renewed(fresh[name], entry, others[name], nobody[name]) for name, entry in state.items()}
    return jax.tree.map(
        lambda other, old, new: new if other is None else old, others, state, fresh, is_leaf=lambda x: x is None
    )


def hyperparameters(tx: GradientTransformation, state: State | None = None) -> dict[str, Any]:
    """Every number of a transformation by its dotted name, as `GradientTransformation.replace` takes them.

    Without a state, schedules are returned as they are; with a state, as their values at the next update. A schedule
    that is read at another step (``every`` of `gradtx.accumulate`) is returned as it is in both cases.

    >>> from gradtx import adam, chain, clip_by_global_norm, linear_schedule
    >>> tx = chain(clip_by_global_norm(1.0), adam(linear_schedule(1.0, 0.0, 10)))
    >>> hyperparameters(tx)["clip_by_global_norm.max_norm"]
    1.0
    >>> float(hyperparameters(tx, tx.init(jnp.zeros(3)))["adam.learning_rate"])
    1.0
    """
    prefix = "" if tx.call.associative else f"{tx.link_name}."
    if state is None:
        return dict(_numbers(tx, prefix))
    return dict(_numbers_at(tx, prefix, state, clock.count_of(state)))


def _numbers(tx: Value, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, part in tx.parts():
        if isinstance(part, GradientTransformation):
            yield from _numbers(part, f"{prefix}{name}.")
        elif part is not None and not isinstance(part, Name):
            yield prefix + name, part.exact() if isinstance(part, SplitDecay) else part


def _numbers_at(tx: GradientTransformation, prefix: str, state: Any, step: Any) -> Iterator[tuple[str, Any]]:
    """The numbers at the step of their scope; inside a wrapper with a clock of its own, at the step of that clock."""
    opened = reopened(tx)
    rule = rule_of(opened, jnp.asarray(0 if step is None else step))
    places = {id(place.link): place for place in rule.places(state, step)}
    for name, part in opened.parts():
        if isinstance(part, GradientTransformation):
            _, own, now, current = places.get(id(part), Place(part, {}, step))
            yield from _numbers_at(part if current is None else current, f"{prefix}{name}.", own, now)
        elif tx.call.parameters[name.partition(".")[0]].kind == "whole":  # a name with a dot: of a tuple of numbers
            yield prefix + name, part
        elif part is not None and not isinstance(part, Name):
            if step is None and is_scheduled(part):
                where = f"the state has no 'count' for {prefix}{name}"
                raise TransformationError(f"hyperparameters: {where}: it was made by another transformation")
            yield prefix + name, at_step(part.exact() if isinstance(part, SplitDecay) else part, step)


def reopened(tx: GradientTransformation) -> GradientTransformation:
    """The same value with every link a separate object, so that equal links can be told apart."""
    return jax.tree.unflatten(*reversed(jax.tree.flatten(tx)))
