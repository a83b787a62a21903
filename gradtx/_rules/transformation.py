"""Transformations as values, and the decorator that makes factories of them.

A transformation is a call of a factory, kept (see `gradtx._value.value`). Its rule is made each time it is used, from
the numbers as they are then: traced, swept or scheduled. That is cheap, because it happens while tracing.
"""

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules import clock
from gradtx._rules.checks import (
    as_arrays,
    as_mapping,
    as_state,
    check_floating,
    check_like,
    check_state,
    check_structure,
    in_wider_dtype,
    is_floating,
    still,
)
from gradtx._rules.compose import scope
from gradtx._rules.fields import settled
from gradtx._rules.foreign import foreign_rule, is_own_kind
from gradtx._rules.protocol import Context, Late, Rule, Signals, State, Tree
from gradtx._rules.restrict import fill, keep, of_some
from gradtx._rules.siblings import knowing_the_whole
from gradtx._schedules.schedule import as_number_or_schedule, at_step, is_scheduled
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, within
from gradtx._value.marks import Interval, Static
from gradtx._value.named_links import NamedLink
from gradtx._value.value import Value, factory

P = ParamSpec("P")


class GradientTransformation(Value):
    """An optimizer or a part of one: ``init(params) -> state``, ``update(updates, state, params) -> (updates, state)``.

    It is a pytree whose leaves are its numbers. So it goes through ``jit`` (a new learning rate does not compile
    again), ``vmap`` (one program trains a whole sweep) and ``grad`` (with respect to its numbers); it prints as the
    call that makes it, compares, hashes and pickles. Arguments are attributes (``tx.learning_rate``); `replace`
    exchanges them.

    Outside of a trace, ``init`` and ``update`` are one compiled call each, compiled once for each structure and kind
    of arguments. `jax.disable_jit` gives the plain evaluation.
    """

    __slots__ = ()

    @classmethod
    def _number(cls, x: Any, interval: Interval | None) -> Any:
        if isinstance(x, GradientTransformation) or (hasattr(x, "init") and hasattr(x, "update")):
            raise TransformationError(
                f"expected a number, found the transformation {x!r}; "
                "a parameter that takes one is annotated gradtx.Link"
            )
        return as_number_or_schedule(x, interval)

    @classmethod
    def _link(cls, x: Any) -> "GradientTransformation":
        if isinstance(x, GradientTransformation):
            return x
        if callable(getattr(x, "init", None)) and callable(getattr(x, "update", None)):
            return _foreign(x)
        hint = f"; call it: {x.__name__}(...)" if callable(x) and hasattr(x, "call") else ""
        raise TransformationError(f"expected a transformation, found {x!r}{hint}")

    def init(self, params: Tree, *, key: Any = None) -> State:
        """The state before the first update: a mapping from names to trees like the parameters, or to scalars.

        ``count``, the number of updates so far, is there only if something depends on it. ``key``, a random key, is
        there only if a link draws at random; it is made of the seeds of those links, and of the argument ``key`` if
        that is given. Frozen leaves have no state. Shapes (`jax.ShapeDtypeStruct`) stand for parameters of zeros.
        Raises `TransformationError`: a leaf that is not in floating point, a stacked transformation.
        """
        if _is_concrete((self, params, key)) and self.compiles():
            made = _compiled(_compiled_init, self, params, key)
            if made is not None:
                return made
        return self._within(self._init)(params, key)

    @knowing_the_whole(lambda params, key: params)
    def _init(self, params: Tree, key: Any) -> State:
        rule = rule_of(self, jnp.zeros([], jnp.int32))
        params = _kept(params, _aside(rule, params))
        if not rule.foreign:
            check_floating(params, "parameter")
        params = as_arrays(params)
        return settled(clock.start(rule, params, Context(params, key=key, path=self._root())))

    def update(
        self, updates: Tree, state: State, params: Tree = None, *, step: Any = None, **extra: Any
    ) -> tuple[Tree, State]:
        """Turn gradients into updates, which `apply_updates` adds to the parameters, and return the next state, too.

        The updates have the dtypes of the gradients, or of the parameters where those are wider. ``step`` replaces the
        count of the state (0 is the first update). Extra keywords go to the links that ask for them. Raises
        `TransformationError`, at trace time: a leaf that is missing, of another shape or not in floating point;
        parameters or a keyword that a link needs and did not get.
        """
        if step is not None:
            step = self._within(_checked_step)(step)
        if _is_concrete((self, updates, state, params, step, extra)) and self.compiles():
            made = _compiled(_compiled_update, self, updates, state, params, step, extra)
            if made is not None:
                return made
        return self._within(self._update)(updates, state, params, step, extra)

    @knowing_the_whole(lambda updates, state, params, *_: updates if params is None else params)
    def _update(self, updates: Tree, state: State, params: Tree, step: Any, extra: Mapping[str, Any]) -> Any:
        state = as_state(state)
        step = clock.count_of(state) if step is None else step
        rule = rule_of(self, jnp.asarray(0 if step is None else step))
        state = state if rule.own_form else as_mapping(state)
        if (rule.frozen is not None or rule.untouched is not None) and params is not None:
            check_structure(updates, params)
        aside, given = _aside(rule, updates if params is None else params), params
        thawed = _kept(updates, aside)
        if aside is not None:
            extra = of_some(extra, trees.map(lambda how: how is Aside.NOT, aside), params)
        gradients = as_arrays(thawed)
        params = None if params is None else as_arrays(_kept(params, aside))
        ordinary = not rule.own_form and (not rule.foreign or not is_own_kind(params, updates))
        if ordinary:
            check_floating(params, "parameter")
        context = Context(params, extra=extra, path=self._root())
        signals, new = clock.tick(rule, Signals(gradients, gradients), state, context, step)
        out = in_wider_dtype(signals.updates, gradients, params)
        if aside is not None:
            out = fill(out, trees.map(_left, aside, updates, updates if given is None else given))
        check_state(state, new)
        if ordinary:
            check_floating(thawed, "gradient")  # also what no link has looked at
            if given is not None and not rule.examples:
                check_like(updates, given)
        return out, new

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        """``init, update = tx``, as with Optax, whose transformations are pairs."""
        return iter((self.init, self.update))

    def __getitem__(self, n: int) -> Callable[..., Any]:
        return (self.init, self.update)[n]

    def __len__(self) -> int:
        return 2

    def compiles(self) -> bool:
        """Whether an update outside of a trace may be one compiled call: not if a link may have hidden side effects."""
        return not any(part.call.opaque for part in self.walk())

    def _root(self) -> tuple[str, ...]:
        return () if self.call.associative else (self.link_name,)

    def _within(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return method if self.call.associative else within(self.link_name, method)


@jax.jit
def _compiled_init(tx: GradientTransformation, params: Tree, key: Any) -> State:
    return tx._within(tx._init)(params, key)


@jax.jit
def _compiled_update(
    tx: GradientTransformation, updates: Tree, state: State, params: Tree, step: Any, extra: Mapping[str, Any]
) -> Any:
    return tx._within(tx._update)(updates, state, params, step, extra)


LOOKED_AT = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
_PLAIN: set[Any] = set()  # structures whose functions look at numbers in Python


def _compiled(call: Callable[..., Any], tx: GradientTransformation, *args: Any) -> Any:
    """The result of one compiled call; None if it cannot be compiled, and must run one operation at a time."""
    if _PLAIN and jax.tree.structure(tx) in _PLAIN:
        return None
    try:
        return call(tx, *args)
    except LOOKED_AT:
        _PLAIN.add(jax.tree.structure(tx))
    except (ValueError, jax.errors.JaxRuntimeError) as error:
        said = re.search(r"TransformationError: (.*)", str(error))
        if said:  # by a callback, while it ran
            raise TransformationError(said[1]) from None
        if "incompatible devices" not in str(error):  # leaves on different devices
            raise
    return None


_CONCRETE: dict[type, bool] = {float: True}


def _is_concrete(tree: Any) -> bool:
    """Whether all leaves are arrays or numbers that are known, so that a compiled call can take them."""
    for x in jax.tree.leaves(tree):
        kind = type(x)
        known = _CONCRETE.get(kind)
        if known is None:
            known = issubclass(kind, np.ndarray | np.generic) or (
                isinstance(x, jax.Array) and not isinstance(x, Tracer)
            )
            _CONCRETE[kind] = known
        if not known or (kind is np.ndarray and (x.dtype.kind not in "fciub" or x.dtype == np.int64)):
            return False
    return True


def _checked_step(step: Any) -> Any:
    x = step if hasattr(step, "dtype") else np.asarray(step)
    if np.ndim(x) or not jnp.issubdtype(x.dtype, jnp.integer) or (isinstance(step, int | np.integer) and step < 0):
        raise TransformationError(f"step: expected one whole number, 0 or more, found {step!r}")
    return (
        np.int32(min(int(step), clock.TOP)) if isinstance(step, int | np.integer) else step
    )  # an int32 counts no further


class Aside(enum.Enum):
    """Why a leaf takes no part in an update."""

    NOT = "it does"
    FROZEN = "frozen: it has no update"
    UNTOUCHED = "no link looks at it, and it is not in floating point: what comes in goes out"


def _aside(rule: Rule, tree: Tree) -> Tree:
    """For every leaf whether the rule leaves it aside; None if it leaves none."""
    if (rule.frozen is None and rule.untouched is None) or tree is None:
        return None
    found = trees.map(lambda _: Aside.NOT, tree)
    if rule.untouched is not None:
        passed = trees.map(lambda untouched, x: untouched and not is_floating(x), rule.untouched(tree), tree)
        found = trees.map(lambda passed: Aside.UNTOUCHED if passed else Aside.NOT, passed)
    if rule.frozen is not None:
        found = trees.map(lambda frozen, how: Aside.FROZEN if frozen else how, rule.frozen(tree), found)
    return found if any(how is not Aside.NOT for how in jax.tree.leaves(found)) else None


def _kept(tree: Tree, aside: Tree) -> Tree:
    """The tree without the leaves that are left aside."""
    return tree if aside is None or tree is None else keep(tree, trees.map(lambda how: how is Aside.NOT, aside))


def _left(how: Aside, update: Any, param: Any) -> Any:
    """The update of a leaf that is left aside."""
    return update if how is Aside.UNTOUCHED else still(update, param)


# From a value to its rule ---------------------------------------------------------------------------------------------


def rule_of(tx: GradientTransformation, step: Any) -> Rule:
    """The rule of a transformation, with its schedules at ``step``. A recipe opens a scope of its own."""
    return _rule(tx, step, tx.given)


def _rule(tx: GradientTransformation, step: Any, children: Mapping[str, Any]) -> Rule:
    def make(link: Any, at: Any = None) -> Rule:
        return link if isinstance(link, Rule) else rule_of(link, step if at is None else at)

    timed = False

    def number(name: str, child: Any) -> Any:
        nonlocal timed
        timed = timed or is_scheduled(child)
        found = _one(name, within(name, at_step)(child, step))
        return found.at_hand() if isinstance(found, SplitDecay) else found

    made = _called(tx, children, number)
    if isinstance(made, Late):
        made = made.rule(make)
    rule = made if isinstance(made, Rule) else scope(make(GradientTransformation._link(made)))
    return rule._replace(timed=True) if timed else rule


def opened(tx: GradientTransformation) -> Any:
    """What the factory makes of a call: a rule, or, if it is a recipe, a transformation, with its schedules whole."""
    return _called(tx, tx.given, lambda name, child: child)


def _called(tx: GradientTransformation, children: Mapping[str, Any], number: Callable[[str, Any], Any]) -> Any:
    given: dict[str, Any] = {}
    links: list[Any] = []
    for name, parameter in tx.call.parameters.items():
        child = children[name]
        if parameter.kind == "links":
            links = [link if alias is None else NamedLink(alias, link) for alias, link in child.pairs]
        elif parameter.kind == "group":
            given[name] = dict(zip(child.names(), child.values, strict=True))
        elif parameter.kind == "link":
            given[name] = child
        elif parameter.kind == "structure":
            given[name] = child.value
        else:
            given[name] = _one(name, child) if parameter.kind == "whole" else number(name, child)
    ahead = [given.pop(name) for name in tx.call.ahead]
    return tx.call.body(*ahead, *links, **given)


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
    """A decorator that turns a function into a factory of transformations.

    **Numbers before the star, structure after it.** A parameter before ``*`` is a number: it may be traced, swept,
    differentiated or scheduled (any function of the step), so do not branch on it in Python; ``None`` is structure.
    Python ints become floats. A parameter after ``*`` is keyword-only and static: bools, strings, dtypes, masks,
    functions. Annotations check concrete numbers at the call. `gradtx.Decay` is in [0, 1) and stored with more
    precision than float32, so that ``1 - b``, ``b * x``, ``b**t`` and ``1 - b**t`` are exact to rounding;
    `gradtx.NonNegative` is finite and ≥ 0.

    A parameter that takes a transformation is annotated `gradtx.Link` (``*links`` and ``**named_links`` need no
    annotation). The function gets the transformation as it is, and may chain it, wrap it or read its attributes.

    The function returns a rule (`gradtx.per_leaf`, `gradtx.whole_tree`, `gradtx.around`), or another transformation: a
    recipe. Schedules are read at the step of the transformation itself. One that is annotated `gradtx.OfStep` is passed
    on as it is, so that a transformation inside, which may step at another pace, reads it at its own step. With
    ``associative=True``, a call of the factory among its own unnamed links is replaced by the links of that call.

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


@factory(GradientTransformation, names_link=True, opaque=True)
def foreign(transformation: Static, *, name: str = "foreign"):
    """Anything with ``init`` and ``update``, such as a transformation of Optax, as a link.

        u, state ← transformation.update(u, state, params)

    `gradtx.chain` makes such links by itself. The transformation gets the update in the dtype of the parameters, if
    they are given, as it would outside of a chain; its state keeps its dtypes. If its state has no leaves, the link
    conditions gradients (see `gradtx.chain`) and has no entry in the state. The trap: it holds functions, so it is
    equal only to itself and can rarely be pickled.

    >>> import optax
    >>> from gradtx import chain, scale
    >>> tx = chain(optax.clip(1.0), scale(-0.5))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return foreign_rule(transformation)


def _foreign(x: Any) -> GradientTransformation:
    maker, _, local = getattr(x.init, "__qualname__", "").partition(".")
    return foreign(x, name=maker if local and maker.isidentifier() else "foreign")
