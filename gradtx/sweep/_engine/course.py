"""The course of a sweep: rounds of training, and selection between them.

A *round* is the steps between two selections. In a round the waves of units take turns (there is one if all lanes fit
into memory), and each goes in *strides*, calls of one compiled program. After every stride the state of the sweep can
be written down, and the sweep can go on from it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.sweep._choice import evolution
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._engine.lanes import ALL, Lanes, Settings, finish, train
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.processes import anywhere, least, share, total
from gradtx.sweep._engine.records import last_means, last_sums, means
from gradtx.sweep._engine.rows import at, blank, join, put, stack
from gradtx.sweep._engine.seeds import as_jax_has_them
from gradtx.sweep._engine.units import Unit, Wave, begin, bytes_needed, deal, filled, like, rows_at, slots_for
from gradtx.sweep._result import DIVERGED, DROPPED, FINISHED, STALLED, History, Sweep

Tree = Any


class Course:
    """A sweep under way. Where there are several processes, each trains its own lanes, and all know which those are."""

    def __init__(self, plan: Plan):
        self.plan = plan
        lanes = plan.population.size
        self.round, self.spent = 0, 0
        self.training = list(range(lanes))
        self.sums = np.zeros((lanes, plan.clock.records), jnp.result_type(float))
        self.steps = np.zeros(lanes, np.int64)
        self.scores: dict[str, np.ndarray] = {}
        self.status = [FINISHED] * lanes
        self.kept: dict[int, Lanes] = {}  # rows of lanes that no longer train
        self.parents: list[np.ndarray] = []
        self.numbers: list[dict[str, np.ndarray]] = []
        self.waves: list[Wave] = []
        self.origin: dict[str, Any] = {}
        self.measured = np.zeros(lanes, bool)  # lanes whose scores are of their last parameters
        mine = [device for device in plan.devices if _is_ours(device)]
        self.data = {device: jax.device_put(plan.data, device) for device in mine}
        apart = plan.final is not None and plan.final is not plan.data
        self.final = {device: jax.device_put(plan.final, device) for device in mine} if apart else self.data
        self.together: dict[int, int] = {}
        self.traced: set[Any] = set()

    # Beginning --------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Every lane before its first step."""
        for number, group in enumerate(self.plan.population.groups):
            self.place(number, list(group.lanes), self.settings_of(number), None, 0)
        if isinstance(self.plan.select, Evolution):
            self.numbers.append(self._recorded())

    def settings_of(self, group: int) -> Settings:
        """The settings of all lanes of a group as they were asked for, on the host."""
        population = self.plan.population
        own = list(population.groups[group].lanes)
        numbers = {name: x[own].astype(jnp.result_type(float)) for name, x in population.numbers.items()}
        seed = as_jax_has_them(self.plan.seed if population.seeds is None else population.seeds[own])
        return Settings(jax.tree.map(np.asarray, population.groups[group].tx), numbers, seed)  # pyright: ignore[reportArgumentType]

    def place(self, group: int, lanes: list[int], settings: Settings, rows: Lanes | None, clock: int) -> None:
        """Deal lanes of a group to the devices. ``settings``, ``rows``: a row per lane; without ``rows`` they begin."""
        if not lanes:
            return
        plan, devices = self.plan, len(self.plan.devices)
        together = self._together(group)
        most = min(together, math.ceil(len(lanes) / devices)) if plan.program.width == ALL else together
        slots = slots_for(plan.program, most)  # tiles always have one size, so nothing is compiled again
        row = {lane: n for n, lane in enumerate(lanes)}
        waves = deal(lanes, devices, together)
        for wave in waves:
            units = []
            for device, own in zip(plan.devices, wave, strict=True):
                if not own or not _is_ours(device):
                    continue
                index = filled([row[lane] for lane in own], slots)
                mine = rows_at(settings, index)
                made = begin(plan, mine, device, slots) if rows is None else at(rows, index)
                units.append(Unit(group, own, slots, device, mine, made))
                if len(waves) > 1:
                    units[-1].rest()
            self.waves.append(Wave(group, clock, units))

    def _together(self, group: int) -> int:
        """How many lanes a device trains at a time: as asked for, or as many as the compiled program has room for."""
        plan, program = self.plan, self.plan.program
        tile, most = max(program.width, 1), math.ceil(len(plan.population.groups[group].lanes) / len(plan.devices))
        if plan.lanes_at_once is not None:
            return min(most, max(tile, plan.lanes_at_once // len(plan.devices) // tile * tile))
        if group not in self.together:
            device, settings = next(iter(self.data)), self.settings_of(group)
            together = most
            while plan.memory is not None:
                shapes = like(program, settings, plan.params, plan.make, slots_for(program, together))
                needed = bytes_needed(program, *shapes, self.data[device], device)
                if needed <= plan.memory or together <= tile:
                    break
                together = max(tile, min(int(together * plan.memory / needed), together - 1) // tile * tile)
            self.together[group] = least(together)
        return self.together[group]

    # Going on ---------------------------------------------------------------------------------------------------------

    def go(self) -> Iterator[tuple[int, float]]:
        """Train to the end; yield after each stride the steps of all its lanes, and the lowest loss at its end."""
        while self.round < len(self.plan.ends):
            end = self.plan.ends[self.round]
            for wave in self.waves:
                for first, count in self.plan.clock.strides(wave.clock, end):
                    yield self._stride(wave, first, count)
                if sum(other.group == wave.group for other in self.waves) > 1:
                    for unit in wave.units:
                        unit.rest()
            if end < self.plan.clock.steps and self.training:
                self._select(end)
            self.round += 1

    def _stride(self, wave: Wave, first: int, count: int) -> tuple[int, float]:
        """Take the same steps with all units of a wave, each on its device."""
        program = self.plan.program

        def one(unit: Unit) -> Any:
            settings, rows = unit.awake()
            numbers = jax.device_put([np.int32(x) for x in (first, count, len(unit.lanes))], unit.device)
            unit.rows, sums = train(program, settings, self.data[unit.device], rows, *numbers)
            return np.asarray(sums)

        gone, best = 0, np.inf
        for unit, sums in zip(wave.units, self._side_by_side(("train", wave.group), one, wave.units), strict=True):
            steps, low = self._account(unit, sums, first, count)
            gone, best = gone + steps, min(best, low)
            if program.stops:
                self._bury(unit)
        wave.clock = first + count
        return gone, best

    def _side_by_side(self, what: Any, one: Callable[[Unit], Any], units: Sequence[Unit]) -> list[Any]:
        """Call ``one`` on several units at once; the first time on one before the others, so that it is traced once."""
        ahead = 0 if what in self.traced else 1
        self.traced.add(what)
        made = [one(unit) for unit in units[:ahead]]
        if len(units) > ahead:
            with ThreadPoolExecutor(len(units) - ahead) as threads:
                made += threads.map(one, units[ahead:])
        return made

    def _account(self, unit: Unit, sums: np.ndarray, first: int, count: int) -> tuple[int, float]:
        """Write down the losses and steps of a unit's stride."""
        every, lanes = self.plan.program.every, unit.lanes
        record, last = first // every, (first + count - 1) // every
        sums = sums[: len(lanes), : last - record + 1]
        self.sums[lanes, record : last + 1] += sums
        before = self.steps[lanes]
        taken = np.asarray(unit.rows.taken)[: len(lanes)] if self.plan.program.stops else before + count
        self.steps[lanes] = taken
        gone = int(np.sum(taken - before))
        self.spent += gone
        ended = sums[:, -1] / (first + count - max(first, last * every))
        return gone, float(np.min(ended[np.isfinite(ended)], initial=np.inf))

    def _bury(self, unit: Unit) -> None:
        """Leave out lanes that have stopped, where that saves a tile."""
        alive = np.asarray(unit.rows.alive)[: len(unit.lanes)]
        left = [lane for lane, lives in zip(unit.lanes, alive, strict=True) if lives]
        program = self.plan.program
        saves = slots_for(program, len(left)) < slots_for(program, len(unit.lanes))
        if left and saves and (program.width != ALL or 2 * len(left) <= unit.slots):
            self._measure([unit])
            self._lose(unit, set(left))
            unit.keep(program, left)

    # Between rounds ---------------------------------------------------------------------------------------------------

    def units(self, group: int | None = None) -> list[Unit]:
        """The units of this process, of one group or all."""
        return [unit for wave in self.waves for unit in wave.units if group in (None, unit.group)]

    def _measure(self, units: Sequence[Unit]) -> None:
        """The final loss and the metrics of lanes as they are now."""
        program = self.plan.program

        def one(unit: Unit) -> dict[str, np.ndarray]:
            active = jax.device_put(np.int32(len(unit.lanes)), unit.device)
            resting, (settings, rows) = unit.resting, unit.awake()
            found = finish(program, settings, self.final[unit.device], rows, active)
            if resting:
                unit.rest()
            return {name: np.asarray(column) for name, column in found.items()}

        for group in range(len(self.plan.population.groups)):
            own = [unit for unit in units if unit.group == group]
            for unit, found in zip(own, self._side_by_side(("finish", group), one, own), strict=True):
                if program.final_rows == 0:
                    found["final_loss"] = last_means(self.sums, self.steps, program.every, unit.lanes)
                for name, column in found.items():
                    whole = self.scores.setdefault(name, np.full(self.plan.population.size, np.nan, column.dtype))
                    whole[unit.lanes] = column[: len(unit.lanes)]

    def _own(self) -> np.ndarray:
        """Which lanes this process knows: those that it trains, and those whose rows it keeps."""
        own = np.zeros(self.plan.population.size, bool)
        own[[lane for unit in self.units() for lane in unit.lanes] + list(self.kept)] = True
        return own

    def share(self) -> None:
        """Merge what this process wrote down with what the others did."""
        self.sums, self.steps, self.scores = share(self._own(), (self.sums, self.steps, self.scores))

    def ranks(self) -> np.ndarray:
        """One number per lane, the lower the better, infinite where it diverged."""
        plan = self.plan
        score = self.scores[plan.metric] * (-1.0 if plan.better == "higher" else 1.0)
        return np.where(np.isfinite(self.scores["final_loss"]) & np.isfinite(score), score, np.inf)

    def _select(self, end: int) -> None:
        self._measure(self.units())
        self.share()
        if isinstance(self.plan.select, Evolution):
            self._evolve()
            return
        ranks, training = self.ranks(), set(self.training)
        for cut in self.plan.cuts:
            own = sorted((n for n in cut.lanes if cut.step == end and n in training), key=lambda n: (ranks[n], n))
            training -= set(own[cut.keep :])
        for lane in set(self.training) - training:
            self.status[lane] = DROPPED
        self.training = sorted(training)
        for group in range(len(self.plan.population.groups)):
            self._cut(group, training)

    def _alone(self, group: int) -> Unit | None:
        """The only unit of a group, if there is only one, and only one process."""
        units = self.units(group)
        return units[0] if len(units) == 1 and jax.process_count() == 1 else None

    def _cut(self, group: int, training: set[int]) -> None:
        """Only these lanes go on; the rows of the others are kept as they are."""
        unit = self._alone(group)
        if unit is not None:
            self._lose(unit, training)
            left = [lane for lane in unit.lanes if lane in training]
            if left:
                unit.keep(self.plan.program, left)
            else:
                self.waves = [wave for wave in self.waves if wave.group != group]
        elif any(wave.group == group for wave in self.waves):
            lanes, rows, settings = self.gather(group)
            kept = [n for n, lane in enumerate(lanes) if lane in training]
            self.kept |= {lane: at(rows, n) for n, lane in enumerate(lanes) if lane not in training}
            self.waves = [wave for wave in self.waves if wave.group != group]
            end = self.plan.ends[self.round]
            self.place(group, [lanes[n] for n in kept], rows_at(settings, kept), at(rows, kept), end)

    def _lose(self, unit: Unit, training: set[int]) -> None:
        """Keep the rows of the lanes that do not go on."""
        if not training.issuperset(unit.lanes):
            rows, _ = unit.on_host()
            self.kept |= {lane: at(rows, n) for n, lane in enumerate(unit.lanes) if lane not in training}

    def gather(self, group: int) -> tuple[list[int], Lanes, Settings]:
        """The lanes of a group that are in units of any process, with their rows and settings, on the host."""
        plan, every = self.plan, list(self.plan.population.groups[group].lanes)
        place = {lane: n for n, lane in enumerate(every)}
        here = np.zeros(len(every), bool)
        settings, shapes = like(plan.program, self.settings_of(group), plan.params, plan.make, len(every))
        whole = (blank(shapes), jax.tree.map(np.copy, settings))
        for unit in self.units(group):
            index = np.asarray([place[lane] for lane in unit.lanes])
            here[index] = True
            whole = jax.tree.map(lambda x, y, index=index: put(x, index, y), whole, unit.on_host())
        rows, settings = share(here, whole)
        left = np.flatnonzero(anywhere(here))
        return [every[n] for n in left], at(rows, left), rows_at(settings, left)

    def _evolve(self) -> None:
        """Exploit and explore, among the lanes of each structure."""
        plan, ranks, select = self.plan, self.ranks(), self.plan.select
        assert isinstance(select, Evolution)
        parents = np.arange(plan.population.size)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(plan.seed), 0x9E3779B9), self.round)
        for group in range(len(plan.population.groups)):
            unit = self._alone(group)
            if unit is None:
                lanes, rows, settings = self.gather(group)
            else:
                lanes, rows, settings = unit.lanes, unit.rows, rows_at(unit.settings, slice(len(unit.lanes)))
            if len(lanes) < 2:
                continue
            names = evolution.explored(select, settings)
            made, source = evolution.evolve(
                select, names, settings, jnp.asarray(ranks[lanes]), jax.random.fold_in(key, group)
            )
            made, source = jax.tree.map(np.asarray, made), np.asarray(source)
            parents[lanes] = np.asarray(lanes)[source]
            if unit is None:
                self._exchange(group, lanes, at(rows, source)._replace(taken=rows.taken), made)
            else:
                unit.keep(plan.program, lanes, [lanes[n] for n in source])
                unit.rows = unit.rows._replace(taken=rows.taken)
                unit.settings, unit.placed = rows_at(made, filled(range(len(lanes)), unit.slots)), None
        self.parents.append(parents)
        self.numbers.append(self._recorded())

    def _exchange(self, group: int, lanes: list[int], rows: Lanes, settings: Settings) -> None:
        """Give every unit the rows and settings of its lanes."""
        row = {lane: n for n, lane in enumerate(lanes)}
        for unit in self.units(group):
            index = filled([row[lane] for lane in unit.lanes], unit.slots)
            unit.rows, unit.settings, unit.placed = at(rows, index), rows_at(settings, index), None

    def _recorded(self) -> dict[str, np.ndarray]:
        """The numbers of all lanes now, one column per name; NaN where a lane has none of that name."""
        found: dict[str, np.ndarray] = {}
        for group, own in enumerate(self.plan.population.groups):
            begun = evolution.recorded(self.settings_of(group))
            for name, column in begun.items():
                found.setdefault(name, np.full(self.plan.population.size, np.nan))[list(own.lanes)] = column
        for unit in self.units():
            for name, column in evolution.recorded(unit.settings).items():
                found[name][unit.lanes] = column[: len(unit.lanes)]
        return share(self._own(), found)

    # The end ----------------------------------------------------------------------------------------------------------

    def rows(self, group: int, lanes: list[int], rows: Lanes) -> Lanes:
        """The rows of all lanes of a group, in every process: those that `gather` found and those no longer trained."""
        own = self.plan.population.groups[group].lanes
        found = {lane: at(rows, n) for n, lane in enumerate(lanes)} | self.kept
        other = next(iter(found.values()), None)
        whole = stack([found.get(lane, other) for lane in own])
        return share(np.asarray([lane in found for lane in own]), whole)

    def measure(self) -> None:
        """The final loss and the metrics of lanes that do not have those of their last parameters yet."""
        self._measure([unit for unit in self.units() if not self.measured[unit.lanes].all()])
        self.share()
        self.measured[:] = True

    def result(self) -> Sweep:
        """The result of all lanes, once they are measured."""
        plan, population = self.plan, self.plan.population
        status = np.asarray(self.status, object)
        parts = []
        for group, own in enumerate(population.groups):
            training, gathered, _ = self.gather(group)
            rows = self.rows(group, training, gathered)
            lanes = np.asarray(own.lanes)
            stopped = lanes[~rows.alive]
            status[stopped[status[stopped] == FINISHED]] = STALLED
            parts.append((lanes, rows))
        ended = last_sums(self.sums, self.steps, plan.program.every)  # whether or not a lane was stopped there
        status[~np.isfinite(np.where(status == STALLED, ended, self.scores["final_loss"]))] = DIVERGED
        order = np.argsort(np.concatenate([lanes for lanes, _ in parts]))
        params = at(join([rows.params for _, rows in parts]), order)
        scores = dict(self.scores)
        return Sweep(
            population=population,
            loss=self.losses(),
            final_loss=scores.pop("final_loss"),
            params=params,
            states=tuple(rows.state for _, rows in parts),
            metrics=scores,
            record_every=plan.program.every,
            steps=self.steps,
            steps_spent=total(self.spent),
            status=status.tolist(),
            metric=plan.metric,
            better=plan.better,
            history=self._history(),
            batch_size=plan.program.batch_size,
            seed=plan.seed,
            origin=self.origin,
        )

    def losses(self) -> np.ndarray:
        """The mean loss of every record, NaN after the end of a lane."""
        return means(self.sums, self.steps, self.plan.program.every)

    def _history(self) -> History | None:
        if not isinstance(self.plan.select, Evolution):
            return None
        numbers = {name: np.stack([turn[name] for turn in self.numbers]) for name in self.numbers[0]}
        turns = np.asarray(self.plan.select.turns(self.plan.clock.steps)[: len(self.parents)], int)
        return History(turns, np.asarray(self.parents, int).reshape(len(turns), -1), numbers)


def _is_ours(device: Any) -> bool:
    return device.process_index == jax.process_index()
