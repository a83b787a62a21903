"""What the recipe in a transformation keeps, leaf by leaf, under the names of another library."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._rules import clock
from gradtx._rules.fields import find
from gradtx._rules.protocol import Path, Place, State, Tree
from gradtx._rules.transformation import GradientTransformation, rule_of
from gradtx._schedules.schedule import at_step
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError

Buffers = dict[str, np.ndarray]  # those of one parameter, by their name in the other library


class Slot(NamedTuple):
    """A buffer of another library and the field that is the same here: theirs = factor(learning rate) · ours.

    ``field`` is the name of a field of any link of the recipe, or the whole path of one.
    """

    theirs: str
    field: str
    factor: Callable[[float], float] | None = None


class Kind(Protocol):
    """An optimizer of another library; its slots come in any order."""

    @property
    def slots(self) -> Sequence[Slot]:
        """What it keeps for every parameter that is kept here too."""
        ...


K = TypeVar("K", bound=Kind)


class Recipe(NamedTuple):
    """A recipe in a transformation, and what it is in the other library.

    ``columns`` has for each slot its path in the state and its leaves, None where the recipe does not act.
    """

    link: GradientTransformation
    kind: Any
    path: Path
    columns: dict[Slot, tuple[Path, list[Any]]]

    def holds(self, n: int) -> bool:
        """Whether it keeps anything for leaf ``n``."""
        return any(leaves[n] is not None for _, leaves in self.columns.values())


class Kept(Generic[K]):
    """What the recipes in a transformation keep: recipes of one name, which may act on different leaves.

    ``kinds`` has for each name of a recipe what it is in the other library. ``name`` is that of the recipes that are
    here.
    """

    def __init__(
        self,
        tx: GradientTransformation,
        params: Tree,
        state: State,
        kinds: Mapping[str, Callable[[GradientTransformation], K]],
    ):
        self.params = dict(zip(trees.paths(params), trees.flatten(params)[0], strict=True))
        self.treedef, self.state = trees.flatten(params)[1], state
        places = _known(tx, state, kinds)
        names = list(dict.fromkeys(place.link.call.name for place in places))
        if not names:
            raise TransformationError(f"expected a transformation with one of {', '.join(kinds)} in it, found {tx!r}")
        if len(names) > 1:
            raise TransformationError(f"expected recipes of one kind, found {' and '.join(names)}: convert them apart")
        self.name = names[0]
        self.recipes = [self._recipe(place, kinds[self.name](place.link)) for place in places]

    def _recipe(self, place: Place, kind: K) -> Recipe:
        path, columns = _path_to(self.state, place.state), {}
        for slot in kind.slots:
            if path is None:
                raise TransformationError(f"{self.name}: its state is kept in another form by the wrapper around it")
            inner = (*path, *_field(self.name, place.state, slot.field))
            columns[slot] = inner, self._leaves(inner)
        return Recipe(place.link, kind, path or (), columns)

    def _leaves(self, path: Path) -> list[Any]:
        try:
            return self.treedef.flatten_up_to(find(self.state, path))
        except (ValueError, TypeError):
            raise TransformationError(f"the state's {'.'.join(path)} is not like the parameters") from None

    def held(self) -> list[str]:
        """The paths of the leaves that a recipe acts on: those that are not frozen."""
        stateless = not any(recipe.columns for recipe in self.recipes)
        return [
            path
            for n, (path, param) in enumerate(self.params.items())
            if param is not None and (stateless or any(recipe.holds(n) for recipe in self.recipes))
        ]

    def kind_of(self, path: str) -> K:
        """What the recipe of a leaf is in the other library."""
        n = list(self.params).index(path)
        return next((recipe.kind for recipe in self.recipes if recipe.holds(n)), self.recipes[0].kind)

    def _slots(self) -> Iterator[tuple[Recipe, Slot, Path, list[tuple[str, Any]]]]:
        """Every slot of every recipe, with its path in the state and its leaves."""
        for recipe in self.recipes:
            for slot, (path, leaves) in recipe.columns.items():
                yield recipe, slot, path, list(zip(self.params, leaves, strict=True))

    def count(self) -> Any:
        """The number of updates that the recipe has made; None if the state does not say."""
        found = clock_of(self.state, self.recipes[0].path)
        return None if found is None else int(found["count"])

    def counted(self, step: int | None, given: Any) -> int:
        """The number of updates: the one that is given, or that of the state. Raises where there is none."""
        known = step if given is None else whole(given)
        if known is None:
            raise TransformationError(f"{self.name}: the state does not say how many updates there were: give step=")
        return known

    def read(self, step: int | None) -> dict[str, Buffers]:
        """Their buffers for every leaf, after ``step`` updates."""
        rows: dict[str, Buffers] = {path: {} for path in self.held()}
        for recipe, slot, _, leaves in self._slots():
            factor = _factor(recipe.link, slot, step)
            for path, x in leaves:
                if x is not None:
                    value = np.array(x) if factor is None else (factor * _exact(x)).astype(x.dtype)
                    rows[path][slot.theirs] = value.astype(np.float32) if value.dtype == jnp.bfloat16 else value
        return rows

    def filled(self, rows: Mapping[str, Buffers], step: int | None) -> State:
        """The state with their buffers in it, after ``step`` updates."""
        for recipe, slot, path, leaves in self._slots():
            factor = _factor(recipe.link, slot, step)
            new = [None if x is None else _like(x, rows[at][slot.theirs], factor, (at, slot)) for at, x in leaves]
            find(self.state, path[:-1])[path[-1]] = self.treedef.unflatten(new)
        for recipe in self.recipes:
            ticking = clock_of(self.state, recipe.path)
            if ticking is not None:
                ticking["count"] = jnp.asarray(min(self.counted(step, None), clock.TOP), jnp.int32)
        return self.state


def number(link: GradientTransformation, name: str, step: int | None) -> float:
    """A number of a recipe at the update that follows ``step`` updates."""
    given = link.given[name]
    return float(at_step(given.exact() if isinstance(given, SplitDecay) else given, jnp.asarray(step or 0)))


def whole(step: Any) -> int:
    """A number of updates, which may come as an array with one number."""
    value = as_numpy(step)
    if value.shape != () or value.dtype.kind not in "iuf" or not (value >= 0 and value == np.floor(value)):
        raise TransformationError(f"step: expected one whole number, 0 or more, found {step!r}")
    return int(value)


def as_numpy(x: Any) -> np.ndarray:
    """An array of any library as one of NumPy; a tensor of PyTorch comes from its device first."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x.float() if "bfloat16" in str(x.dtype) else x).numpy()
    return np.asarray(x)


def in_order(paths: Sequence[str], kept: Kept, names: Mapping[str, str] | None) -> dict[str, str]:
    """Their name, or their number as text, for our path of every parameter, in their order."""
    if names is None:
        return {str(n): path for n, path in enumerate(paths)}
    for name, path in names.items():
        if path not in kept.params:
            raise TransformationError(f"names: {name!r}: there is no leaf {path}; there are {', '.join(kept.params)}")
    absent = [path for path in paths if path not in names.values()]
    if absent:
        raise TransformationError(f"names: leaf {absent[0]}: expected a name for it, found none")
    return dict(names)


# Where a recipe keeps its state ---------------------------------------------------------------------------------------


def _known(tx: GradientTransformation, state: State, known: Mapping[str, Any]) -> list[Place]:
    """The recipes that are known: the transformation itself, or some in it."""
    if tx.call.name in known:
        return [Place(tx, state, None)]
    rule = rule_of(tx, jnp.zeros([], jnp.int32))
    return [place for place in rule.places(state, clock.count_of(state)) if place.link.call.name in known]


def _path_to(state: Any, part: Any) -> Path | None:
    """The path of an entry of a state, which is found by identity."""
    if state is part:
        return ()
    for name, entry in state.items() if isinstance(state, Mapping) else ():
        path = _path_to(entry, part)
        if path is not None:
            return (name, *path)
    return None


def _field(name: str, state: State, field: str) -> Path:
    if "." in field:
        return tuple(field.split("."))
    if field in state:  # the field of a link of that name
        return (field,)
    for link, entry in state.items():
        if isinstance(entry, Mapping) and field in entry:
            return link, field
    raise TransformationError(f"{name}: its state has no {field!r}: it was made by another transformation")


def clock_of(state: State, path: Path) -> State | None:
    """The entry of a state that keeps the count for what is at ``path``: the innermost one around it."""
    around = [find(state, path[:n]) for n in range(len(path) + 1)]
    return next((entry for entry in reversed(around) if "count" in entry), None)


# One array ------------------------------------------------------------------------------------------------------------


def _factor(link: GradientTransformation, slot: Slot, step: int | None) -> float | None:
    if slot.factor is None:
        return None
    rate = number(link, "learning_rate", step)
    if rate == 0:
        raise TransformationError(
            f"{link.call.name}: {slot.theirs}: it is scaled by the learning rate, which is 0 at step {step or 0}: "
            "convert it with another one"
        )
    return slot.factor(rate)


def _exact(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def _like(leaf: Any, x: Any, factor: float | None, place: tuple[str, Slot]) -> jax.Array:
    where = f"leaf {place[0]}: {place[1].theirs}"
    if np.shape(x) != leaf.shape:
        swapped = "; its axes are swapped" if len(leaf.shape) == 2 and np.shape(x) == leaf.shape[::-1] else ""
        raise TransformationError(f"{where}: expected shape {leaf.shape}, found {np.shape(x)}{swapped}")
    if np.iscomplexobj(x) and not jnp.iscomplexobj(leaf):
        raise TransformationError(f"{where}: expected real numbers, found {x.dtype}")
    value = np.asarray(x if factor is None else _exact(x) / factor).astype(leaf.dtype)
    return jax.device_put(value, leaf.sharding if leaf.committed else None)
