"""The protocol between links: what a rule is, and what it is handed.

A chain carries two signals: the *update*, which flows from link to link, and the *gradient*, which is what entered the
chain. A rule that *conditions* gradients (clipping, decay, scaling ...) rewrites both while they are still the same
tree; after the first rule that does not, it changes the update alone.

The author of a transformation sees none of this: `per_leaf`, `whole_tree` and `around` make the rules, and pass on
what a function asks for by name.
"""

import inspect
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.finite import Known, all_finite
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide

Tree = Any
State = dict[str, Any]
Path = tuple[str, ...]
Blank = Callable[[Any], Any]
MEASUREMENTS = "measurements"  # where a scope keeps what was measured in it


class Signals(NamedTuple):
    """The update and the gradient; they are one object as long as every link so far conditions gradients."""

    updates: Tree
    gradient: Tree

    def then(self, updates: Tree, *, conditions: bool) -> "Signals":
        """The signals after a link that made ``updates`` of the update."""
        if conditions and self.updates is self.gradient:
            return Signals(updates, updates)
        handed_on = updates is self.gradient  # of a link that does not condition: two signals from here on
        return Signals(trees.map(jnp.copy, updates) if handed_on else updates, self.gradient)


class Probe(NamedTuple):
    """Collects measurements by their full names: ``wanted`` says which, and every name begins with ``prefix``."""

    wanted: Callable[[str], bool]
    prefix: Path
    found: dict[str, Any]

    @classmethod
    def of(cls, wanted: Callable[[str], bool], prefix: Path = ()) -> "Probe":
        """A probe that has found nothing yet."""
        return cls(wanted, prefix, {})

    def put(self, path: Path, of: Callable[..., Any], before: Any, after: Any, state: Mapping[str, Any]) -> None:
        """Store the number that ``of`` returns for the update before and after a link and for fields of its state."""
        name = ".".join((*self.prefix, *path))
        if self.wanted(name):
            value = jnp.asarray(of(before, after, **{field: state[field] for field in Names.of(of).all}), jnp.float32)
            if value.shape != ():
                raise TransformationError(f"{path[-1]}: expected a measurement to be one number, found {value.shape}")
            self.found[name] = value

    def blank(self, path: Path, rule: "Rule", tree: Tree) -> dict[str, Any]:
        """The measurements of a rule before the first update: zeros, so that the structure is fixed."""
        named = {".".join((*self.prefix, *path, name)): of for name, of in rule.measures.items()}
        return {name: of(tree) for name, of in named.items() if self.wanted(name)}

    def filled(self, path: Path, rule: "Rule", tree: Tree) -> dict[str, Any]:
        """The measurements of a rule after an update; zeros for those that were not made."""
        return {name: self.found.get(name, zero) for name, zero in self.blank(path, rule, tree).items()}


class Context(NamedTuple):
    """What a rule is called with besides the signals.

    ``params``; ``t``, 1 at the first update (None where no link needs it); ``extra``, the keywords of ``update``;
    ``key``, the key of this step in the scope that owns the clock (at ``init``: the key to make keys from); ``path``,
    the names of the links from that scope to here; ``probe``, where measurements are put, if any are asked for.
    ``followed``: later links may read the gradient, so this link must return it as they are to see it. ``known``: what
    an outer wrapper knows of the updates: whether they are finite.
    """

    params: Tree = None
    t: Any = None
    extra: Mapping[str, Any] = {}
    key: Any = None
    path: Path = ()
    probe: Probe | None = None
    followed: bool = False
    known: Known | None = None

    def at(self, name: str) -> "Context":
        """The context of a link of that name."""
        return self._replace(path=(*self.path, name))

    def unseen(self) -> "Context":
        """The context of a trial, whose measurements are lost."""
        return self._replace(probe=self.probe and self.probe._replace(found={}))

    def own_key(self) -> Any:
        """The key of this link at this step."""
        return key_at(self.key, self.path)

    def measured(self, measures: Mapping[str, Callable[..., Any]], before: Tree, after: Tree, state: State) -> None:
        """Store what a link measures, if it is asked for."""
        if self.probe is not None:
            for name, of in measures.items():
                self.probe.put((*self.path, name), of, before, after, state)


class Points(NamedTuple):
    """Two functions of parameters and state: where the gradient is to be taken, and what to deploy."""

    gradient_params: Callable[[Tree, State], Tree]
    eval_params: Callable[[Tree, State], Tree]


class Place(NamedTuple):
    """A link that a rule is made of: the value, its state, and the step that its schedules are at.

    ``current`` is the value with the numbers that its state has for it, where a state may have any.
    """

    link: Any
    state: Any
    step: Any
    current: Any = None


def nowhere(state: Any, step: Any) -> Iterator[Place]:
    """The places of a rule that is not made of links: none."""
    return iter(())


class Rule(NamedTuple):
    """How a transformation acts on trees: ``init(params, context)``, ``update(signals, state, context)``.

    ``timed``: needs the step. ``leaf``: the formula for one array, where there is one. ``frozen``: which leaves of a
    tree have no state and no update, if there are any. ``untouched``: which leaves no link looks at. ``points``: where
    to take the gradient and which parameters to deploy, if these are not the parameters themselves. ``seeds``: those of
    the links that draw at random. ``measures``: the dotted names of what its links measure, each with a function of the
    parameters that returns its value before the first update. ``places``: the links that it is made of. ``foreign``:
    trees may be of any kind, because a link of another library takes them.
    ``examples``: gradients come with a leading axis of examples. ``own_form``: its state is no mapping, but of a form
    of its own.
    """

    init: Callable[[Tree, Context], Any]
    update: Callable[[Signals, Any, Context], tuple[Signals, Any]]
    timed: bool = False
    leaf: "LeafRule | None" = None
    frozen: Callable[[Tree], Tree] | None = None
    untouched: Callable[[Tree], Tree] | None = None
    points: Points | None = None
    seeds: tuple[Any, ...] = ()
    measures: Mapping[str, Blank] = {}
    places: Callable[[Any, Any], Iterator[Place]] = nowhere
    foreign: bool = False
    own_form: bool = False
    examples: bool = False


Make = Callable[..., Rule]


class Late(NamedTuple):
    """A rule that is made of links: ``rule(make)``, where ``make(link, step=None)`` is the rule of a link.

    Without a step, ``make`` takes the current one. Links stay values until ``rule`` is called.
    """

    rule: Callable[[Make], Rule]


class NamedRule(NamedTuple):
    """A link among others: its name, its rule, and the value that it was."""

    name: str
    rule: Rule
    link: Any = None

    @property
    def field(self) -> bool:
        """Whether its one field has its own name: then that is kept as the link's entry, not one level deeper."""
        return self.rule.leaf is not None and tuple(self.rule.leaf.fields) == ((self.name,),)

    def own(self, state: Any) -> Any:
        """The state of this link, in that of all."""
        entry = state.get(self.name, {}) if isinstance(state, Mapping) else {}
        return {self.name: entry} if self.field else entry

    def places(self, state: Any, step: Any) -> Iterator[Place]:
        """This link, and those that it is made of."""
        own = self.own(state)
        yield Place(self.link, own, step)
        yield from self.rule.places(own, step)


class LeafRule(NamedTuple):
    """A formula for one array, and what it takes.

    ``fields`` maps the path of each state field to the function that starts it. ``needs`` maps each name that the
    formula asks for to the path of the link that asks. ``once`` maps the path of each value that is computed once for
    all leaves to its function. ``blame`` is the path of the link that the error names when trees do not fit.
    """

    formula: Callable[[jax.Array, tuple[Any, ...], "Surroundings"], tuple[jax.Array, tuple[Any, ...]]]
    fields: dict[Path, Callable[[jax.Array], Any]]
    conditions: bool
    needs: dict[str, Path]
    once: Mapping[Path, Callable[..., Any]] = {}
    blame: Path = ()


class Surroundings(NamedTuple):
    """What a formula may ask for by name.

    ``packed``: the formula is being checked, and must be elementwise. ``shared``: all links so far condition gradients.
    Whether two arrays are one object does not tell: a link that does not condition may hand on the update as it is.
    """

    gradient: Any
    param: Any
    t: Any
    extra: Mapping[str, Any]
    key: Any = None
    root: Path = ()
    path: Path = ()
    once: Mapping[Path, Any] = {}
    probe: Probe | None = None
    packed: bool = False
    shared: bool = True

    def ask(self, names: "Names") -> dict[str, Any]:
        """What is asked for, by name."""
        found = {}
        for name in names.all:
            if (*self.path, name) in self.once:
                found[name] = self.once[(*self.path, name)]
            elif name in ("gradient", "param", "t"):
                found[name] = getattr(self, name)
            elif name == "key":
                found[name] = key_at(self.key, (*self.root, *self.path))
            elif name in self.extra:
                found[name] = self.extra[name]
        return {name: x for name, x in found.items() if not (x is None and name in names.optional)}


class Names(NamedTuple):
    """The names that a function asks for: its keyword-only parameters, those with a default being optional.

    ``rest``: it also takes every extra keyword of ``update`` that it does not name.
    """

    all: tuple[str, ...]
    optional: frozenset[str]
    rest: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any], *, refuse: Mapping[str, str] = {}) -> "Names":
        """The names that ``function`` asks for. ``refuse`` maps names that are an error to what the error says."""
        known = inspect.signature(function).parameters.values()
        asked = [p for p in known if p.kind == p.KEYWORD_ONLY]
        for p in asked:
            if p.name in refuse:
                raise TransformationError(f"it asks for {p.name!r}: {refuse[p.name]}")
        optional = frozenset(p.name for p in asked if p.default is not p.empty)
        return cls(tuple(p.name for p in asked), optional, any(p.kind == p.VAR_KEYWORD for p in known))

    @property
    def needed(self) -> list[str]:
        """The names that must be there."""
        return [name for name in self.all if name not in self.optional]


def key_at(key: Any, path: Iterable[str]) -> Any:
    """The random key of a link: ``key`` with a checksum of the path folded in, so the same in every process."""
    return jax.random.fold_in(key, zlib.crc32(".".join(path).encode()))


def one_number(params: Tree) -> jax.Array:
    """A measurement of all leaves together, before the first update."""
    return jnp.zeros([], jnp.float32)


def number_a_leaf(params: Tree) -> Tree:
    """A measurement of each leaf, before the first update."""
    return trees.map(one_number, params)


def is_empty(state: Any) -> bool:
    """Whether this is the state of a link that keeps none."""
    return isinstance(state, dict) and not state


def missing(name: str) -> TransformationError:
    """A keyword of ``update`` that a rule needs and did not get."""
    of_params = name in ("param", "params", "dtypes")
    given = "state, params)" if of_params else f"state, params, {name}=...)"
    what = "the parameters" if of_params else repr(name)
    return TransformationError(f"it needs {what}: call update(updates, {given}")


def widened(tree: Tree) -> Tree:
    """Every floating-point leaf in float32 at least; other leaves as they are."""
    return trees.map(lambda x: wide(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)


def asked_of(names: Names, signals: Signals, context: Context, updates: Tree) -> dict[str, Any]:
    """What a function of whole trees asks for; trees come in float32 at least.

    Raises `TransformationError`: a name that is not there.
    """
    given: dict[str, Any] = {**context.extra, "params": None, "t": None}
    if "gradient" in names.all:
        given["gradient"] = updates if signals.gradient is signals.updates else widened(signals.gradient)
    if "params" in names.all and context.params is not None:
        given["params"] = widened(context.params)
    if "dtypes" in names.all and context.params is not None:
        given["dtypes"] = trees.map(lambda p: p.dtype, context.params)
    if "finite" in names.all:
        given["finite"] = all_finite(updates, context.known)
    if "t" in names.all:
        given["t"] = context.t
    if "key" in names.all:
        given["key"] = context.own_key()
    left_out = {"params", "dtypes"} if signals.updates is None else set()  # a single leaf, which a mask leaves out
    absent = [name for name in names.needed if given.get(name) is None and name not in left_out]
    if absent:
        raise missing(absent[0])
    rest = {name: x for name, x in context.extra.items() if name not in names.all} if names.rest else {}
    return {name: given[name] for name in names.all if given.get(name) is not None or name in left_out} | rest


def combined(links: Iterable[NamedRule]) -> dict[str, Any]:
    """The fields that a rule made of links collects from them, with the name of each link."""
    links = list(links)

    def places(state: Any, step: Any) -> Iterator[Place]:
        for link in links:
            yield from link.places(state, step)

    return {
        "timed": any(link.rule.timed for link in links),
        "seeds": tuple(seed for link in links for seed in link.rule.seeds),
        "measures": {f"{link.name}.{name}": kind for link in links for name, kind in link.rule.measures.items()},
        "places": places,
        "foreign": any(link.rule.foreign for link in links),
    }
