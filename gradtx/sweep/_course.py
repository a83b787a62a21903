"""The course of a sweep: rounds of training, and selection between them.

A *round* is the steps between two selections. In a round the units take turns (there is one if all lanes fit into
memory), and each goes in *strides*, calls of one compiled program. After every stride the sweep stands at a place that
can be written down, and from which it can go on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.sweep import _evolution as evolution
from gradtx.sweep._evolution import Evolution
from gradtx.sweep._lanes import Settings, finish, train
from gradtx.sweep._plan import Plan, strides
from gradtx.sweep._result import DIVERGED, DROPPED, FINISHED, STALLED, History, Sweep
from gradtx.sweep._selection import Cut
from gradtx.sweep._units import (
    Unit,
    begin,
    bytes_needed,
    devices_of,
    is_key,
    rearranged,
    rows_of,
    settings_of,
    slots_for,
    to_device,
    to_host,
)

Tree = Any


class Course:
    """A sweep under way."""

    def __init__(self, plan: Plan):
        self.plan = plan
        population, program = plan.population, plan.program
        lanes = population.size
        self.round, self.task = 0, 0
        self.sums = np.zeros((lanes, -(-plan.steps // program.every)), jnp.result_type(float))
        self.steps, self.spent = np.zeros(lanes, np.int64), 0
        self.scores: dict[str, np.ndarray] = {}
        self.status = [FINISHED] * lanes
        self.kept: dict[int, Any] = {}  # rows of lanes that were dropped
        self.parents: list[np.ndarray] = []
        self.numbers: list[dict[str, np.ndarray]] = []
        self.data = to_device(program, plan.data, spread=False)
        self.units: list[Unit] = []

    # Beginning --------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Every lane before its first step."""
        for number, group in enumerate(self.plan.population.groups):
            self.units += self._split(number, list(group.lanes), self.whole(number))
        if isinstance(self.plan.select, Evolution):
            self.numbers.append(self._recorded())

    def whole(self, group: int) -> Settings:
        """The settings of all lanes of a group, on the host, one row a lane."""
        population = self.plan.population
        own = list(population.groups[group].lanes)
        numbers = {name: x[own].astype(jnp.result_type(float)) for name, x in population.numbers.items()}
        seed = np.uint32(self.plan.seed) if population.seeds is None else population.seeds[own]
        return Settings(jax.tree.map(np.asarray, population.groups[group].tx), numbers, np.asarray(seed))

    def _split(self, group: int, lanes: list[int], settings: Settings) -> list[Unit]:
        plan, program = self.plan, self.plan.program
        together = self._at_once(settings, len(lanes))
        units = []
        for k in range(0, len(lanes), together):
            own = list(range(k, min(k + together, len(lanes))))
            slots = slots_for(program, min(together, len(lanes)))
            unit = Unit(group, [lanes[n] for n in own], slots, settings, devices=devices_of(program))
            index = unit.index(own)
            rows = jax.tree.map(lambda x, index=index: x[index], settings._replace(seed=None))
            unit.settings = rows._replace(seed=settings.seed[index] if settings.seed.ndim else settings.seed)
            begin(program, unit, plan.params, plan.make)
            if len(lanes) > together:
                self._rest(unit)
            units.append(unit)
        return units

    def _at_once(self, settings: Settings, lanes: int) -> int:
        """How many lanes train together: as many as asked for, or as the compiled program says that there is room for."""
        plan, program = self.plan, self.plan.program
        least = max(program.width, 1) * devices_of(program)
        if plan.lanes_at_once is not None:
            return max(least, plan.lanes_at_once // least * least)
        if plan.memory is None:
            return lanes
        together = lanes
        while True:
            needed = bytes_needed(program, settings, self.data, plan.params, plan.make, together)
            if needed <= plan.memory or together <= least:
                return together
            fewer = int(together * plan.memory / needed) // least * least
            together = max(least, min(fewer, (together - 1) // least * least))

    def _rest(self, unit: Unit) -> None:
        """Bring a unit to the host until its next turn; over several processes it stays where it is."""
        if jax.process_count() == 1:
            unit.rows = to_host(unit.rows)

    @property
    def total(self) -> int:
        """How many steps all lanes will take together, if none stops by itself."""
        training, total, before = set(range(self.plan.population.size)), 0, 0
        for end in self.plan.ends:
            total, before = total + len(training) * (end - before), end
            for cut in self.plan.cuts:
                if cut.step == end:
                    own = [lane for lane in cut.lanes if lane in training]
                    training -= set(own[cut.keep :])
        return total

    # Going on ---------------------------------------------------------------------------------------------------------

    def tasks(self) -> list[tuple[int, int, int]]:
        """What is to do in this round: of each unit in turn its strides."""
        ends = [0, *self.plan.ends]
        every = strides(ends[self.round], ends[self.round + 1], self.plan.program, self.plan.steps)
        return [(n, first, count) for n in range(len(self.units)) for first, count in every]

    def go(self) -> Iterator[tuple[int, float]]:
        """Train to the end; after each stride how many steps of lanes it took, and the lowest loss in it."""
        while self.round < len(self.plan.ends):
            tasks = self.tasks()
            for n, first, count in tasks[self.task :]:
                last_of_unit = self.task + 1 == len(tasks) or tasks[self.task + 1][0] != n
                yield self._stride(self.units[n], first, count, rests=last_of_unit and len(self.units) > 1)
            self._select()
            self.round, self.task = self.round + 1, 0

    def _stride(self, unit: Unit, first: int, count: int, *, rests: bool) -> tuple[int, float]:
        program = self.plan.program
        if isinstance(jax.tree.leaves(unit.rows)[0], np.ndarray):
            unit.rows = to_device(program, unit.rows, spread=True)
        one = (to_device(program, np.int32(x), spread=False) for x in (first, count))
        active = to_device(program, unit.active, spread=True)
        unit.rows, sums = train(program, settings_of(program, unit), self.data, unit.rows, *one, active)
        taken, sums = to_host((unit.rows.taken, sums))
        record, places = first // program.every, unit.places
        touched = (first + count - 1) // program.every - record + 1
        self.sums[unit.lanes, record : record + touched] += sums[places, :touched]
        before = self.steps[unit.lanes]
        self.steps[unit.lanes] = taken[places] if program.stops else before + count
        gone = int(np.sum(self.steps[unit.lanes] - before))
        self.spent += gone
        self.task += 1
        if rests:
            self._rest(unit)
        ended = sums[places, touched - 1] / ((first + count - 1) % program.every + 1 if touched > 1 else count)
        return gone, float(np.min(ended[np.isfinite(ended)], initial=np.inf))

    # Between rounds ---------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """The final loss and the metrics of every lane that is still in training, as it is now."""
        program = self.plan.program
        for unit in self.units:
            on_host = isinstance(jax.tree.leaves(unit.rows)[0], np.ndarray)
            rows = to_device(program, unit.rows, spread=True) if on_host else unit.rows
            active = to_device(program, unit.active, spread=True)
            found = to_host(finish(program, settings_of(program, unit), self.data, rows, active))
            for name, column in found.items():
                whole = self.scores.setdefault(name, np.full(self.plan.population.size, np.nan, column.dtype))
                whole[unit.lanes] = column[unit.places]

    def ranks(self) -> np.ndarray:
        """A number a lane, low where it is good, infinite where it diverged."""
        plan = self.plan
        score = self.scores[plan.metric] * (-1.0 if plan.better == "higher" else 1.0)
        return np.where(np.isfinite(self.scores["final_loss"]) & np.isfinite(score), score, np.inf)

    def _select(self) -> None:
        end = self.plan.ends[self.round]
        if end == self.plan.steps or not self.units:
            return
        self._measure()
        if isinstance(self.plan.select, Evolution):
            self._evolve()
        else:
            self._cut([cut for cut in self.plan.cuts if cut.step == end])

    def _cut(self, cuts: Sequence[Cut]) -> None:
        ranks = self.ranks()
        training = {lane for unit in self.units for lane in unit.lanes}
        for cut in cuts:
            own = sorted((lane for lane in cut.lanes if lane in training), key=lambda n: (ranks[n], n))
            for lane in own[cut.keep :]:
                training.discard(lane)
                self.status[lane] = DROPPED
        self._drop(training)

    def _drop(self, training: set[int]) -> None:
        """Only these lanes go on; the rows of the others are kept as they are."""
        units = []
        for unit in self.units:
            lost = [lane for lane in unit.lanes if lane not in training]
            if lost:
                self._keep(unit, lost)
                kept = [lane for lane in unit.lanes if lane in training]
                if not kept:
                    continue
                unit = rearranged(self.plan.program, unit, kept)
            units.append(unit)
        self.units = units

    def _keep(self, unit: Unit, lanes: Sequence[int]) -> None:
        rows = to_host((unit.rows.params, unit.rows.state))
        place = dict(zip(unit.lanes, unit.places.tolist(), strict=True))
        for lane in lanes:
            self.kept[lane] = jax.tree.map(lambda x, lane=lane: x[place[lane]], rows)

    def _evolve(self) -> None:
        """Exploit and explore, among the lanes of each structure."""
        plan, ranks = self.plan, self.ranks()
        parents = np.arange(plan.population.size)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(plan.seed), 0x9E3779B9), self.round)
        for group in range(len(plan.population.groups)):
            units = [unit for unit in self.units if unit.group == group]
            lanes = [lane for unit in units for lane in unit.lanes]
            if len(lanes) < 2:
                continue
            settings = rows_of([(unit.settings, unit.places) for unit in units])
            names = evolution.explored(plan.select, settings, len(lanes))
            made, source = jax.jit(evolution.evolve, static_argnums=(0, 1))(
                plan.select, names, settings, jnp.asarray(ranks[lanes]), jax.random.fold_in(key, group)
            )
            source = np.asarray(source)
            parents[lanes] = np.asarray(lanes)[source]
            self._exchange(units, lanes, source, jax.tree.map(np.asarray, made))
        self.parents.append(parents)
        self.numbers.append(self._recorded())

    def _exchange(self, units: list[Unit], lanes: list[int], source: np.ndarray, settings: Settings) -> None:
        """Every lane goes on from the rows of its source, with new settings."""
        program = self.plan.program
        together = rows_of([(to_host(unit.rows), unit.places) for unit in units]) if len(units) > 1 else None
        for unit in units:
            own = [lanes.index(lane) for lane in unit.lanes]
            index = unit.index(own)
            if together is None:
                new = rearranged(program, unit, unit.lanes, [lanes[source[n]] for n in own]).rows
            else:
                new = jax.tree.map(lambda x, index=index: x[source[index]], together)
            unit.rows = new._replace(taken=unit.rows.taken)
            rows = jax.tree.map(lambda x, index=index: x[index], settings._replace(seed=None))
            unit.settings, unit.placed = rows._replace(seed=unit.settings.seed), None

    def _recorded(self) -> dict[str, np.ndarray]:
        """The numbers of all lanes now, one column a name; not a number where a lane has none of that name."""
        found: dict[str, np.ndarray] = {}
        for unit in self.units:
            for name, column in evolution.recorded(unit.settings).items():
                whole = found.setdefault(name, np.full(self.plan.population.size, np.nan))
                whole[unit.lanes] = column[unit.places]
        return found

    # The end ----------------------------------------------------------------------------------------------------------

    def result(self) -> Sweep:
        """What all lanes came to."""
        plan, population = self.plan, self.plan.population
        self._measure()
        rows = dict(self.kept)
        for unit in self.units:
            alive, own = to_host((unit.rows.alive, (unit.rows.params, unit.rows.state)))
            for lane, place in zip(unit.lanes, unit.places.tolist(), strict=True):
                rows[lane] = jax.tree.map(lambda x, place=place: x[place], own)
                if not alive[place]:
                    self.status[lane] = STALLED
        for lane in np.flatnonzero(~np.isfinite(self._last_losses())):
            self.status[lane] = DIVERGED
        params = _stacked([rows[n][0] for n in range(population.size)])
        states = tuple(_stacked([rows[n][1] for n in group.lanes]) for group in population.groups)
        metrics = {name: column for name, column in self.scores.items() if name != "final_loss"}
        return Sweep(
            population,
            self._losses(),
            self.scores["final_loss"],
            params,
            states,
            metrics,
            plan.program.every,
            self.steps,
            self.spent,
            self.status,
            plan.metric,
            plan.better,
            self._history(),
        )

    def _losses(self) -> np.ndarray:
        """Means over the records, not a number behind the end of a lane."""
        every, steps = self.plan.program.every, self.plan.steps
        starts = np.arange(self.sums.shape[1]) * every
        counts = np.minimum(steps, starts + every) - starts
        short = np.clip(self.steps[:, None] - starts, 0, counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self.sums / np.where(short > 0, short, 1).astype(self.sums.dtype)
        return np.where(starts < self.steps[:, None], means, np.nan)

    def _last_losses(self) -> np.ndarray:
        """Not finite where a lane has diverged, be it that it was stopped there or not."""
        stopped = [status == STALLED for status in self.status]
        record = np.minimum(self.steps // self.plan.program.every, self.sums.shape[1] - 1)
        last = self.sums[np.arange(len(record)), record]
        return np.where(stopped, last, self.scores["final_loss"])

    def _history(self) -> History | None:
        if not isinstance(self.plan.select, Evolution):
            return None
        names = self.numbers[0]
        numbers = {name: np.stack([turn[name] for turn in self.numbers]) for name in names}
        turns = np.asarray(self.plan.select.turns(self.plan.steps)[: len(self.parents)])
        return History(turns, np.asarray(self.parents, int).reshape(len(turns), -1), numbers)


def _stacked(rows: Sequence[Tree]) -> Tree:
    return jax.tree.map(lambda *xs: jnp.stack(xs) if is_key(xs[0]) else np.stack(xs), *rows)
