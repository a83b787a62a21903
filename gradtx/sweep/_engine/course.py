"""The course of a sweep: rounds of training, and selection between them.

A *round* is the steps between two selections. In a round the waves of units take turns (there is one if all lanes fit
into memory), and each goes in *strides*, calls of one compiled program. After every stride the state of the sweep can
be written down, and the sweep can go on from it.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._engine import exchange
from gradtx.sweep._engine.lanes import ALL, Lanes, Program, Settings, finish, train
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.processes import anywhere, least, share
from gradtx.sweep._engine.records import last_means, recent_means
from gradtx.sweep._engine.rows import at, blank, put, stack
from gradtx.sweep._engine.seeds import as_jax_has_them
from gradtx.sweep._engine.units import Unit, Wave, begin, bytes_needed, deal, filled, like, rows_at, slots_for
from gradtx.sweep._result import DROPPED, FINISHED
from gradtx.sweep._studies.ranking import places

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
        self.curves = {
            name: np.full((lanes, len(plan.clock.evaluations)), np.nan)
            for name in plan.program.metrics
            if plan.clock.evaluations
        }
        self.error: Exception | None = None  # why the data ended early
        self.data = self._on_devices(plan.data)
        self.final = self.data if plan.held_out is None else self._on_devices(plan.held_out)
        self.together: dict[int, int] = {}
        self.traced: set[Any] = set()
        self.drawn: Any = None  # where the source of batches stands

    def _on_devices(self, tree: Tree) -> dict[Any, Tree]:
        if any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(tree)):
            return dict.fromkeys(filter(_is_ours, self.plan.devices), tree)
        return {device: jax.device_put(tree, device) for device in self.plan.devices if _is_ours(device)}

    # Beginning --------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Every lane before its first step."""
        for number, group in enumerate(self.plan.population.groups):
            self.place(number, list(group.lanes), self.settings_of(number), None, 0)
        if isinstance(self.plan.select, Evolution):
            self.numbers.append(exchange.recorded(self))
        self.feed(None)

    def feed(self, state: Any) -> None:
        """Begin to draw batches from the host, if they are from there, at the step that the waves have come to."""
        feed, clock = self.plan.feed, self.plan.clock
        if feed is None:
            return
        feed.go_to(self.clock, state)
        ends = [self.clock, *(end for end in self.plan.ends if end > self.clock)]
        strides = [count for pair in itertools.pairwise(ends) for _, count in clock.strides(*pair)]
        feed.begin(strides, self._on_devices, pad=clock.stride)

    @property
    def clock(self) -> int:
        """How many steps all lanes that still train have taken."""
        return min((wave.clock for wave in self.waves), default=self.plan.clock.steps)

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
        plan, program = self.plan, self.plan.program_of(group)
        tile, most = max(program.width, 1), plan.most(group)
        if plan.lanes_at_once is not None:
            return min(most, max(tile, plan.lanes_at_once // len(plan.devices) // tile * tile))
        if group not in self.together:
            device, settings = next(iter(self.data)), self.settings_of(group)
            together = most
            while plan.memory is not None:
                shapes = like(plan, settings, slots_for(program, together))
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
            yield from self._in_turn(end) if self.plan.feed is None else self._together_on_batches(end)
            if self.error is not None:
                return
            if end < self.plan.clock.steps and self.training:
                self._select(end)
            self.round += 1

    def _in_turn(self, end: int) -> Iterator[tuple[int, float]]:
        """A round in which each wave goes to its end before the next one begins."""
        for wave in self.waves:
            for first, count in self.plan.clock.strides(wave.clock, end):
                yield self._stride(wave, first, count)
            self._rest(wave)

    def _together_on_batches(self, end: int) -> Iterator[tuple[int, float]]:
        """A round in which all waves train on the batches of a stride before the next ones are drawn."""
        feed = self.plan.feed
        assert feed is not None
        for first, _ in self.plan.clock.strides(self.clock, end):
            drawn = feed.take()
            self.error, gone, best = drawn.error, 0, math.inf
            for wave in self.waves if drawn.count else []:
                self.data = drawn.batches
                steps, low = self._stride(wave, first, drawn.count)
                gone, best = gone + steps, min(best, low)
                self._rest(wave)
            self.drawn = drawn.state
            yield gone, best
            if self.error is not None:
                return

    def _rest(self, wave: Wave) -> None:
        """Make room for the other waves of a group."""
        if sum(other.group == wave.group for other in self.waves) > 1:
            for unit in wave.units:
                unit.rest()

    def _stride(self, wave: Wave, first: int, count: int) -> tuple[int, float]:
        """Take the same steps with all units of a wave, each on its device."""
        program = self.plan.program_of(wave.group)

        def one(unit: Unit) -> Any:
            settings, rows = unit.awake()
            numbers = jax.device_put([np.int32(x) for x in (first, count, len(unit.lanes))], unit.device)
            unit.rows, sums = train(program, settings, self.data[unit.device], rows, *numbers)
            return np.asarray(sums)

        gone, best = 0, np.inf
        for unit, sums in zip(wave.units, self._side_by_side(("train", wave.group), one, wave.units), strict=True):
            steps, low = self._account(unit, sums, first, count)
            gone, best = gone + steps, min(best, low)
        wave.clock = first + count
        if wave.clock in self.plan.clock.evaluations:
            self._evaluate(wave)
        if program.stops:
            for unit in wave.units:
                self._bury(unit)
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
        self.measured[lanes] = False
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
            self.measure([unit])
            self._lose(unit, set(left))
            unit.keep(program, left)

    # Between rounds ---------------------------------------------------------------------------------------------------

    def units(self, group: int | None = None) -> list[Unit]:
        """The units of this process, of one group or all."""
        return [unit for wave in self.waves for unit in wave.units if group in (None, unit.group)]

    def measure(self, units: Sequence[Unit]) -> None:
        """The final loss and the metrics of lanes as they are now."""
        for unit, found in self._finished(units, True):
            lanes = unit.lanes
            if not self.plan.program.final:
                mean = recent_means if self.plan.final_loss else last_means
                found["final_loss"] = mean(self.sums, self.steps, self.plan.program.every, lanes)
            for name, column in found.items():
                whole = self.scores.setdefault(name, np.full(self.plan.population.size, np.nan, column.dtype))
                whole[lanes] = column[: len(lanes)]

    def measure_all(self) -> None:
        """The final loss and the metrics of lanes that do not have those of their last parameters yet."""
        self.measure([unit for unit in self.units() if not self.measured[unit.lanes].all()])
        self.share()
        self.measured[:] = True

    def _evaluate(self, wave: Wave) -> None:
        """The metrics of lanes during training; of those that have stopped there are none."""
        place = self.plan.clock.evaluations.index(wave.clock)
        for unit, found in self._finished(wave.units, False):
            for name, column in found.items():
                own = column[: len(unit.lanes)]
                self.curves[name][unit.lanes, place] = np.where(self.steps[unit.lanes] < wave.clock, np.nan, own)

    def _finished(self, units: Sequence[Unit], measures: bool) -> Iterator[tuple[Unit, dict[str, np.ndarray]]]:
        """What the models of lanes are worth, unit by unit."""
        for group in range(len(self.plan.population.groups)):
            program, own = self.plan.program_of(group), [unit for unit in units if unit.group == group]
            if not program.metrics and not (measures and program.final):
                yield from ((unit, {}) for unit in own)
                continue

            def one(unit: Unit, program: Program = program) -> dict[str, np.ndarray]:
                active = jax.device_put(np.int32(len(unit.lanes)), unit.device)
                resting, (settings, rows) = unit.resting, unit.awake()
                data = self.final[unit.device] if measures and program.final else None
                found = finish(program, settings, data, rows, active, measures=measures)
                if resting:
                    unit.rest()
                return {name: np.asarray(column) for name, column in found.items()}

            yield from zip(own, self._side_by_side(("finish", measures, group), one, own), strict=True)

    def own(self) -> np.ndarray:
        """Which lanes this process knows: those that it trains, and those whose rows it keeps."""
        own = np.zeros(self.plan.population.size, bool)
        own[[lane for unit in self.units() for lane in unit.lanes] + list(self.kept)] = True
        return own

    def share(self) -> None:
        """Merge what this process wrote down with what the others did."""
        mine = (self.sums, self.steps, self.scores, self.curves, self.measured)
        self.sums, self.steps, self.scores, self.curves, self.measured = share(self.own(), mine)

    def ranks(self) -> np.ndarray:
        """One number per lane, the lower the better, infinite where it diverged."""
        plan = self.plan
        score = self.scores[plan.metric] * (-1.0 if plan.better == "higher" else 1.0)
        return np.where(np.isfinite(self.scores["final_loss"]) & np.isfinite(score), score, np.inf)

    def _select(self, end: int) -> None:
        self.measure(self.units())
        self.share()
        if isinstance(self.plan.select, Evolution):
            exchange.evolve(self)
            return
        place, training = places(self.plan.population, self.ranks(), self.training), set(self.training)
        for cut in self.plan.cuts:
            own = sorted((n for n in cut.lanes if cut.step == end and n in training), key=lambda n: place[n])
            training -= set(own[cut.keep :])
        for lane in set(self.training) - training:
            self.status[lane] = DROPPED
        self.training = sorted(training)
        for group in range(len(self.plan.population.groups)):
            self._cut(group, training)

    def alone(self, group: int) -> Unit | None:
        """The only unit of a group, if there is only one, and only one process."""
        units = self.units(group)
        return units[0] if len(units) == 1 and jax.process_count() == 1 else None

    def _cut(self, group: int, training: set[int]) -> None:
        """Only these lanes go on; the rows of the others are kept as they are."""
        unit = self.alone(group)
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
        settings, shapes = like(plan, self.settings_of(group), len(every))
        whole = (blank(shapes), jax.tree.map(np.copy, settings))
        for unit in self.units(group):
            index = np.asarray([place[lane] for lane in unit.lanes])
            here[index] = True
            whole = jax.tree.map(lambda x, y, index=index: put(x, index, y), whole, unit.on_host())
        rows, settings = share(here, whole)
        left = np.flatnonzero(anywhere(here))
        return [every[n] for n in left], at(rows, left), rows_at(settings, left)

    def rows(self, group: int, lanes: list[int], rows: Lanes) -> Lanes:
        """The rows of all lanes of a group, in every process: those that `gather` found and those no longer trained."""
        own = self.plan.population.groups[group].lanes
        if len(lanes) == len(own):
            return rows
        found = {lane: at(rows, n) for n, lane in enumerate(lanes)} | self.kept
        other = next(iter(found.values()), None)
        whole = stack([found.get(lane, other) for lane in own])
        return share(np.asarray([lane in found for lane in own]), whole)


def _is_ours(device: Any) -> bool:
    return device.process_index == jax.process_index()
