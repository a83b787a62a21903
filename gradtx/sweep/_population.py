"""Populations: the points of a sweep, and the transformations made from them, stacked."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from gradtx._rules.functions import hyperparameters
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.call import call_of
from gradtx._value.drawn import table, titled
from gradtx._value.errors import TransformationError, in_words, suggest, within
from gradtx._value.signatures import signature_of
from gradtx._value.whole import whole_number
from gradtx.sweep._distributions import Distribution
from gradtx.sweep._engine.room import check_room
from gradtx.sweep._engine.seeds import as_numpy_has_it, listed_seeds, whole_seed
from gradtx.sweep._grouping import Group, grouped

Point = dict[str, Any]
Maker = Callable[..., GradientTransformation]


@dataclass(frozen=True, repr=False)
class Population:
    """The lanes of a sweep: ``points``, one mapping per lane, and the transformations made from them.

    ``groups``: the transformations, stacked by structure; each group is one compiled program. ``numbers``: the extra
    numbers of the loss, one array per name; ``seeds``, ``batch_sizes``: one per lane, where lanes have their own.
    Populations add up: ``grid(adam, ...) + grid(sgd, ...)``.
    """

    points: list[Point]
    groups: tuple[Group, ...]
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    seeds: np.ndarray | None = None
    batch_sizes: np.ndarray | None = None

    @property
    def has_transformations(self) -> bool:
        """Whether lanes have transformations. Those of ``grid(None, ...)`` have numbers for a train step alone."""
        return self.groups[0].tx is not None

    @property
    def size(self) -> int:
        """How many lanes there are."""
        return len(self.points)

    @property
    def tx(self) -> GradientTransformation:
        """All transformations stacked in one, if they have one structure."""
        if len(self.groups) > 1:
            raise TransformationError(
                f"sweep: the lanes are of {len(self.groups)} structures, so there is no one transformation: see .groups"
            )
        return next(iter(self.groups)).tx

    def lane(self, n: int) -> GradientTransformation:
        """The transformation of one lane."""
        n = number_of_lane(n, self.size)
        group = next(group for group in self.groups if n in group.lanes)
        return jax.tree.map(lambda x: x[group.lanes.index(n)], group.tx)

    def __repr__(self) -> str:
        axes = "; ".join(f"{name}: {words}" for name, words in axes_in_words(self.points))
        names = ("a train step" if group.tx is None else group.tx.link_name for group in self.groups)
        kinds = ", ".join(dict.fromkeys(names))
        return f"<Population: {self.size} lane{'s' * (self.size != 1)} of {kinds}{axes and f'; {axes}'}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the axes and what varies along them."""
        return titled(repr(self).strip("<>").partition(";")[0], table(axes_in_words(self.points), ("axis", "values")))

    def __add__(self, other: "Population") -> "Population":
        if not isinstance(other, Population):
            return NotImplemented
        if _besides(self) != _besides(other) or self.has_transformations != other.has_transformations:
            raise TransformationError(
                "sweep: populations add up where both have the same numbers of the loss, and both have seeds or none; "
                f"found {' and '.join(', '.join(sorted(_besides(each))) or 'none' for each in (self, other))}"
            )
        made = [self.lane(n) for n in range(self.size)] + [other.lane(n) for n in range(other.size)]
        numbers = {name: np.concatenate([column, other.numbers[name]]) for name, column in self.numbers.items()}
        seeds, sizes = _joined(self.seeds, other.seeds), _joined(self.batch_sizes, other.batch_sizes)
        return Population([*self.points, *other.points], grouped(made, (), sizes), numbers, seeds, sizes)


def number_of_lane(n: int, lanes: int) -> int:
    """The number of a lane; negative ones count from the end, as in a list. Raises an `IndexError`."""
    if not -lanes <= n < lanes:
        raise IndexError(f"sweep: lane: expected 0 to {lanes - 1}, found {n}")
    return range(lanes)[n]


def axes_in_words(points: Sequence[Point]) -> list[tuple[str, str]]:
    """The names that points have, and their values: how many, and from where to where.

    >>> axes_in_words([{"b1": 0.9, "learning_rate": 0.1}, {"b1": 0.9, "learning_rate": 0.3}])
    [('b1', '0.9'), ('learning_rate', '2 values, 0.1 to 0.3')]
    """
    found = []
    for name in dict.fromkeys(name for point in points for name in point):
        values = list({repr(point[name]): point[name] for point in points if name in point}.values())
        words = [getattr(x, "__name__", None) or (f"{x:.4g}" if isinstance(x, float) else str(x)) for x in values]
        ordered = all(isinstance(x, int | float) for x in values)
        ends = (
            f"{min(values):.4g} to {max(values):.4g}" if ordered else ", ".join(words[:3]) + " ..." * (len(words) > 3)
        )
        found.append((name, words[0] if len(words) == 1 else f"{len(words)} values, {ends}"))
    return found


def _joined(mine: np.ndarray | None, theirs: np.ndarray | None) -> np.ndarray | None:
    return None if mine is None or theirs is None else np.concatenate([mine, theirs])


def _besides(population: Population) -> set[str]:
    own = {"seed": population.seeds, "batch_size": population.batch_sizes}
    return {*population.numbers, *(name for name, column in own.items() if column is not None)}


# Makers of populations ------------------------------------------------------------------------------------------------


def grid(
    factory: Maker | GradientTransformation | None,
    /,
    *,
    numbers: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    **axes: Any,
) -> Population:
    """Every combination of the values of the axes; the last axis varies fastest. All lanes share a single value.

    ``factory`` is called with one value of each axis; it may be your own function. If it is a transformation, its
    numbers are replaced instead: ``grid(adam(schedule), **{"learning_rate.peak_value": [...]})``. ``numbers`` are axes
    for the loss: ``loss(params, batch, l2=...)``. ``seeds`` repeats every point with each seed, which determines its
    batches, and its initial parameters where those are a function of a key. Values may lead to different structures
    (None and a number): each structure is trained by a program of its own. So is each ``batch_size``, which is an axis
    for the run unless the factory has an argument of that name. Without a factory, ``grid(None, ...)``, the axes are
    the numbers of a train step of your own: see `gradtx.sweep.run`.

    Raises `TransformationError`: an axis without values; what the factory itself refuses.

    >>> from gradtx import sgd
    >>> grid(sgd, learning_rate=[0.1, 0.2], momentum=[0.5, 0.9]).points[1]
    {'learning_rate': 0.1, 'momentum': 0.9}
    >>> grid(sgd, learning_rate=[0.1], numbers={"l2": [0.0, 1e-4]}, seeds=range(2)).points[3]
    {'learning_rate': 0.1, 'l2': 0.0001, 'seed': 1}
    """
    values = {name: _values("grid", name, axis) for name, axis in {**axes, **(numbers or {})}.items()}
    check_room("grid", math.prod(map(len, values.values())))
    combinations = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    return points(factory, combinations, numbers=_names(axes, numbers), seeds=seeds)


def zipped(
    factory: Maker | GradientTransformation | None,
    /,
    *,
    numbers: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    **axes: Any,
) -> Population:
    """The first values of all axes together, then the second ones, and so on. All lanes share a single value.

    As `grid` otherwise. Raises `TransformationError`: axes of different lengths.

    >>> from gradtx import sgd
    >>> zipped(sgd, learning_rate=[0.1, 0.2], momentum=[0.5, 0.9]).points
    [{'learning_rate': 0.1, 'momentum': 0.5}, {'learning_rate': 0.2, 'momentum': 0.9}]
    """
    every = {**axes, **(numbers or {})}
    values = {name: _values("zipped", name, axis) for name, axis in every.items()}
    many = {name: len(axis) for name, axis in values.items() if _is_axis(every[name])}
    lanes = next(iter(many.values()), 1)
    wrong = next((name for name, length in many.items() if length != lanes), None)
    if wrong is not None:
        first = next(iter(many))
        raise TransformationError(
            f"zipped: {wrong}: expected {lanes} values, as many as {first} has, found {many[wrong]}"
        )
    rows = [{name: axis[n] if name in many else axis[0] for name, axis in values.items()} for n in range(lanes)]
    return points(factory, rows, numbers=_names(axes, numbers), seeds=seeds)


def sample(
    factory: Maker | GradientTransformation | None,
    n: int,
    /,
    *,
    seed: int,
    numbers: Mapping[str, Any] | None = None,
    seeds: Iterable[int] | None = None,
    **distributions: Any,
) -> Population:
    """``n`` independent draws from distributions (`uniform`, `log_uniform`, `choice` ...). A single value is fixed.

    Random search finds the best 5 % of a space with probability 1 − 0.95ⁿ, however many axes it has (Bergstra & Bengio
    2012). The same seed draws the same points. ``numbers`` and ``seeds`` as in `grid`.

    >>> from gradtx import adam
    >>> from gradtx.sweep import log_uniform, uniform
    >>> sample(adam, 60, seed=0, learning_rate=log_uniform(1e-4, 1e-1), b1=uniform(0.8, 0.99)).size
    60
    """
    check_room("sample", whole_number("sample: draws", n))
    rng = np.random.default_rng(as_numpy_has_it("sample: seed", seed))
    every = {**distributions, **(numbers or {})}
    rows = [{k: d.draw(rng) if isinstance(d, Distribution) else d for k, d in every.items()} for _ in range(n)]
    several = next((name for name, x in distributions.items() if _is_axis(x)), None)
    if several is None or not _takes_one_number(factory, several):
        return points(factory, rows, numbers=_names(distributions, numbers), seeds=seeds)
    raise TransformationError(
        f"sample: {several}: expected a distribution or a single value, found {distributions[several]!r}: draw from "
        "uniform(low, high), log_uniform(low, high) or choice([...]); grid takes every value of a list"
    )


def points(
    factory: Maker | GradientTransformation | None,
    rows: Iterable[Mapping[str, Any]],
    /,
    *,
    numbers: Iterable[str] = (),
    seeds: Iterable[int] | None = None,
) -> Population:
    """The given points, one mapping for each lane.

    ``numbers`` says which names go to the loss instead of the factory. ``seeds`` as in `grid`; or a point has its own,
    under the name ``seed``.

    >>> from gradtx import sgd
    >>> points(sgd, [{"learning_rate": 0.1}, {"learning_rate": 0.3, "momentum": 0.9}]).size
    2
    """
    rows = [_plain(row) for row in rows]
    if not rows:
        raise TransformationError("sweep: expected at least one point, found none")
    for_loss = tuple(numbers)
    if seeds is not None:
        each = _values("sweep", "seeds", listed_seeds("sweep", seeds))
        rows = [_plain({**row, "seed": seed}) for row in rows for seed in each]
    if factory is None:
        for_loss = tuple(dict.fromkeys(name for row in rows for name in row if name not in ("seed", "batch_size")))
    own_seed = [seeds is not None or ("seed" in row and not _takes(factory, "seed")) for row in rows]
    own_size = ["batch_size" in row and not _takes(factory, "batch_size") for row in rows]
    for name, own in (("seed", own_seed), ("batch_size", own_size)):
        if any(own) and not all(own):
            raise TransformationError(f"sweep: point {own.index(False)} has no {name}, but point {own.index(True)} has")
    besides = {*for_loss, *(["seed"] if any(own_seed) else []), *(["batch_size"] if any(own_size) else [])}
    made = [_made(factory, {k: x for k, x in row.items() if k not in besides}) for row in rows]
    columns = {name: _numbers(name, rows) for name in for_loss}
    sizes = _batch_sizes(rows) if any(own_size) else None
    return Population(rows, grouped(made, rows, sizes), columns, _seeds(rows) if any(own_seed) else None, sizes)


def stack(transformations: Iterable[GradientTransformation]) -> Population:
    """Transformations as a population; the points are their hyperparameters.

    >>> from gradtx import sgd
    >>> stack([sgd(0.1), sgd(0.2)]).points
    [{'sgd.learning_rate': 0.1}, {'sgd.learning_rate': 0.2}]
    """
    if isinstance(transformations, GradientTransformation):
        raise TransformationError(f"stack: expected a list of transformations, found {transformations!r}")
    made = [within("stack", GradientTransformation._link)(tx) for tx in transformations]
    if not made:
        raise TransformationError("stack: expected at least one transformation, found none")
    return Population([hyperparameters(tx) for tx in made], grouped(made))


# Values of axes -------------------------------------------------------------------------------------------------------


def _is_axis(axis: Any) -> bool:
    array = isinstance(axis, np.ndarray | jax.Array) and axis.ndim == 1
    return array or isinstance(axis, list | tuple | range)


def _values(who: str, name: str, axis: Any) -> list[Any]:
    if isinstance(axis, Distribution):
        raise TransformationError(f"{who}: {name}: {axis} is to be drawn from: use sample")
    if isinstance(axis, set | frozenset | Iterator):
        raise TransformationError(f"{who}: {name}: expected a list of values, which keeps its order, found {axis!r}")
    if hasattr(axis, "dtype") and np.ndim(axis) > 1:
        raise TransformationError(
            f"{who}: {name}: expected a list, an array of one axis or a single value, found {in_words(axis)}"
        )
    values = (axis.tolist() if hasattr(axis, "tolist") else list(axis)) if _is_axis(axis) else [axis]
    if not values:
        raise TransformationError(f"{who}: {name}: expected at least one value, found none")
    return values


def _plain(row: Mapping[str, Any]) -> Point:
    if not isinstance(row, Mapping):
        raise TransformationError(f"sweep: expected a point (a mapping from names to values), found {row!r}")
    scalar = (np.generic, np.ndarray, jax.Array)
    return {name: x.item() if isinstance(x, scalar) and np.ndim(x) == 0 else x for name, x in row.items()}


def _names(axes: Mapping[str, Any], numbers: Mapping[str, Any] | None) -> list[str]:
    twice = next((name for name in numbers or {} if name in axes), None)
    if twice is not None:
        raise TransformationError(f"sweep: {twice}: given twice, to the transformation and to the loss")
    return list(numbers or {})


def _numbers(name: str, rows: Sequence[Point]) -> np.ndarray:
    for n, row in enumerate(rows):
        x = row.get(name)
        if isinstance(x, bool) or not isinstance(x, int | float):
            raise TransformationError(f"sweep: point {n}: {name}: the loss is given numbers, found {x!r}")
    return np.asarray([row[name] for row in rows], np.float64)


def _seeds(rows: Sequence[Point]) -> np.ndarray:
    return np.asarray([whole_seed(f"sweep: point {n}: seed", row["seed"]) for n, row in enumerate(rows)], np.int64)


def _batch_sizes(rows: Sequence[Point]) -> np.ndarray:
    return np.asarray([whole_number(f"sweep: point {n}: batch_size", row["batch_size"]) for n, row in enumerate(rows)])


# Transformations of points --------------------------------------------------------------------------------------------


def _takes(factory: Any, name: str) -> bool:
    """Whether a factory has a parameter of that name."""
    if factory is None:
        return False
    if isinstance(factory, GradientTransformation):
        return name in factory._known()
    try:
        return name in signature_of(factory).parameters
    except (TypeError, ValueError):
        return False


def _takes_one_number(factory: Any, name: str) -> bool:
    """Whether a parameter of that name is one number, as far as is known: a function of the user does not say."""
    call = call_of(factory)
    return call is not None and name in call.parameters and call.parameters[name].kind == "number"


def _made(factory: Any, point: Point) -> Any:
    if factory is None:
        return None
    if isinstance(factory, GradientTransformation):
        return factory.replace(point)
    if not callable(factory):
        raise TransformationError(f"sweep: expected a factory or a transformation, found {factory!r}")
    _check_arguments(factory, point)
    return within("sweep", GradientTransformation._link)(factory(**point))


def _check_arguments(factory: Any, point: Point) -> None:
    """Raise where a function of the user does not take the names of a point; a factory of ours says so itself."""
    try:
        signature = None if call_of(factory) else signature_of(factory)
    except (TypeError, ValueError):  # its signature is unknown
        return
    if signature is None:
        return
    try:
        signature.bind(**point)
    except TypeError as error:
        known, name = list(signature.parameters), getattr(factory, "__name__", "the factory")
        wrong = next((word for word in point if word not in known), None)
        what = str(error) if wrong is None else f"it takes no {wrong!r}{suggest(wrong, known)}"
        raise TransformationError(f"sweep: {name}: {what}; it is {name}({', '.join(known)})") from None
