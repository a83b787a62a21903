"""Population-based training: lanes that do badly take over the state of lanes that do well, with other numbers."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.marks import Interval
from gradtx._value.numbers import Name
from gradtx._value.value import Value
from gradtx._value.whole import whole_number
from gradtx.sweep._distributions import Distribution
from gradtx.sweep._engine.lanes import Settings


@dataclass(frozen=True)
class Evolution:
    """Population-based training: see `population_based`."""

    every: int
    fraction: float
    factors: tuple[float, ...]
    resample: float
    space: tuple[tuple[str, Distribution], ...] = field(default=())

    def turns(self, steps: int) -> list[int]:
        """After which steps lanes are exchanged."""
        return list(range(self.every, steps, self.every))


def population_based(
    every: int,
    *,
    fraction: float = 0.25,
    factors: tuple[float, ...] = (0.8, 1.25),
    resample: float = 0.25,
    space: Mapping[str, Distribution] | None = None,
) -> Evolution:
    """Population-based training: every so many steps the worst lanes copy the best, and change their numbers.

    *Exploit*: each of the worst ``fraction`` of the lanes (one at least) copies parameters, state and numbers from a
    lane drawn at random from as many of the best (truncation selection). *Explore*: then each of its numbers is
    multiplied by one of ``factors`` (for a decay β, 1 − β is multiplied); or, with probability ``resample``, drawn anew
    from ``space``, a mapping from names to distributions. The numbers explored are those in which lanes differ, and
    those in ``space``; their names are those of `gradtx.hyperparameters` and of the loss's own numbers, dotted as far
    as needed to be unique.

    Lanes of each structure evolve among themselves. They are compared by the ``metric`` of `gradtx.sweep.run`. (M.
    Jaderberg et al. 2017, Population Based Training of Neural Networks.)

    Raises `TransformationError`: a fraction outside (0, ½], a factor that is not positive, a name that no lane has.
    """
    every = whole_number("population_based: every", every)
    if not 0 < fraction <= 0.5:
        raise TransformationError(f"population_based: fraction: expected a number in (0, 0.5], found {fraction!r}")
    if not 0 <= resample <= 1:
        raise TransformationError(f"population_based: resample: expected a number in [0, 1], found {resample!r}")
    if not factors or any(not factor > 0 for factor in factors):
        raise TransformationError(f"population_based: factors: expected positive numbers, found {factors!r}")
    wrong = next((name for name, x in (space or {}).items() if not isinstance(x, Distribution)), None)
    if wrong is not None:
        raise TransformationError(
            f"population_based: space: {wrong}: expected a distribution such as uniform(0, 1), found {space[wrong]!r}"  # pyright: ignore
        )
    return Evolution(every, float(fraction), tuple(map(float, factors)), float(resample), tuple((space or {}).items()))


# What can be explored -------------------------------------------------------------------------------------------------


def _walk(tx: Value, prefix: str) -> dict[str, tuple[Any, Interval | None]]:
    """Every number of a transformation by its dotted name, those inside schedules too, and where it must lie."""
    found: dict[str, tuple[Any, Interval | None]] = {}
    for name, part in tx.parts():
        if isinstance(part, Value):
            found |= _walk(part, f"{prefix}{name}.")
        elif part is not None and not isinstance(part, Name):
            parameter = tx.call.parameters.get(name.partition(".")[0])
            number = part.exact() if isinstance(part, SplitDecay) else part
            found[prefix + name] = number, parameter.interval if parameter else None
    return found


def _named(tx: GradientTransformation | None) -> dict[str, tuple[Any, Interval | None]]:
    if tx is None:
        return {}
    return _walk(tx, "" if tx.call.associative else f"{tx.link_name}.")


def numbers_of(settings: Settings) -> dict[str, Any]:
    """The numbers of a lane (or of stacked ones) by name: of the transformation and of the loss."""
    return {name: number for name, (number, _) in _named(settings.tx).items()} | settings.numbers


def explored(evolution: Evolution, settings: Settings) -> tuple[tuple[str, int | None], ...]:
    """The names that are explored, each with its place in the space if it has one."""
    numbers = numbers_of(settings)
    places: dict[str, int | None] = {}
    for n, (asked, _) in enumerate(evolution.space):
        full = [name for name in numbers if name == asked or name.endswith(f".{asked}")]
        if len(full) != 1:
            what = f"could be {' or '.join(full)}" if full else f"no lane has it{suggest(asked, numbers)}"
            raise TransformationError(f"population_based: space: {asked}: {what}; there are {', '.join(numbers)}")
        places[full[0]] = n
    for name, x in numbers.items():
        column = np.asarray(x)
        if column.ndim and len(np.unique(column)) > 1:
            places.setdefault(name, None)
    return tuple(places.items())


@functools.partial(jax.jit, static_argnames=("evolution", "names"))
def evolve(
    evolution: Evolution,
    names: tuple[tuple[str, int | None], ...],
    settings: Settings,
    scores: jax.Array,
    key: jax.Array,
) -> tuple[Settings, jax.Array]:
    """The settings after exploit and explore, and from which lane each goes on; low scores are good."""
    many = scores.shape[0]
    losers = min(max(1, int(evolution.fraction * many)), many // 2)
    rank = jnp.argsort(jnp.where(jnp.isfinite(scores), scores, jnp.inf), stable=True)
    keys = jax.random.split(key, many + 1)
    chosen = rank[jax.random.randint(keys[-1], (losers,), 0, max(losers, 1))]
    parents = jnp.arange(many).at[rank[many - losers :]].set(chosen)
    settings = jax.tree.map(lambda x: x[parents] if x.ndim else x, settings._replace(seed=None))._replace(
        seed=settings.seed
    )
    limits = {name: interval for name, (_, interval) in _named(settings.tx).items()}

    def one(tx: GradientTransformation, numbers: dict[str, jax.Array], key: jax.Array) -> Any:
        own = numbers_of(Settings(tx, numbers, settings.seed))
        new = {}
        for k, (name, place) in zip(jax.random.split(key, max(len(names), 1)), names, strict=False):
            new[name] = _explore(evolution, own[name], limits.get(name), place, k)
        given = {name: x for name, x in new.items() if name not in numbers}
        return tx.replace(given) if given else tx, {name: new.get(name, x) for name, x in numbers.items()}

    moved = jax.vmap(one)(settings.tx, settings.numbers, keys[:-1])
    copied = parents != jnp.arange(many)

    def pick(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(copied.reshape(-1, *[1] * (old.ndim - 1)), new.astype(old.dtype), old)

    tx, numbers = jax.tree.map(pick, moved, (settings.tx, settings.numbers))
    return Settings(tx, numbers, settings.seed), parents


def _explore(evolution: Evolution, x: Any, interval: Interval | None, place: int | None, key: jax.Array) -> jax.Array:
    """One number, perturbed or drawn anew, inside its interval."""
    pick, draw, again = jax.random.split(key, 3)
    x = jnp.asarray(x)
    decay = interval is not None and interval.split
    factor = jax.random.choice(pick, jnp.asarray(evolution.factors, x.dtype))
    new = 1 - (1 - x) * factor if decay else x * factor
    if place is not None:
        fresh = evolution.space[place][1].draw_traced(draw).astype(x.dtype)
        new = jnp.where(jax.random.uniform(again) < evolution.resample, fresh, new)
    if interval is None:
        return new
    new = jnp.round(new) if interval.whole else new
    top = jnp.nextafter(jnp.asarray(interval.high, x.dtype), jnp.zeros((), x.dtype)) if not interval.closed else None
    return jnp.clip(new, jnp.asarray(interval.low, x.dtype), top if top is not None else interval.high)


def recorded(settings: Settings) -> dict[str, np.ndarray]:
    """The numbers of all lanes as columns, for the record."""
    return {name: np.asarray(x) for name, x in numbers_of(settings).items()}


def exchanged(tx: GradientTransformation, numbers: Mapping[str, Any]) -> GradientTransformation:
    """A transformation with the numbers of a record; those that are not its own are left out."""
    own = _named(tx)
    return (
        tx
        if tx is None
        else tx.replace({name: float(x) for name, x in numbers.items() if name in own and not np.isnan(x)})
    )
