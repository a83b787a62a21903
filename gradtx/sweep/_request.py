"""All arguments of `run` as one value, which is checked and turned into a plan."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

import jax
import jax.numpy as jnp

from gradtx._training.asked import takes_any
from gradtx._training.batches import check_data, first_rows
from gradtx._training.callback import Callback, check_callback
from gradtx._training.chunks import Clock
from gradtx._training.evaluation import Evaluate, metrics_of
from gradtx._training.feed import Feed, check_fed, is_source, longest_for
from gradtx._training.prepare import Prepared, check_objective, prepared
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.signatures import signature_of
from gradtx._value.whole import whole_number
from gradtx.sweep._choice.direction import ranking
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._choice.selection import Halving, Hyperband
from gradtx.sweep._disk.folders import local_folder
from gradtx.sweep._engine import devices
from gradtx.sweep._engine.final import rows_at_once
from gradtx.sweep._engine.lanes import ALL, Program
from gradtx.sweep._engine.own_step import OwnStep, prepared_step
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.seeds import whole_seed
from gradtx.sweep._engine.units import memory_of
from gradtx.sweep._engines.engine import check_engine
from gradtx.sweep._population import Population

Tree = Any
TILE = 4  # lanes that one vmap takes on a CPU, where more gain nothing


class Training(TypedDict, total=False):
    """How every lane is trained: the keywords of `run` that `search` takes too."""

    batch_size: int | None
    record_every: int | None
    evaluate: Evaluate | None
    model_state: Tree
    held_out: Tree
    has_aux: bool
    select: Halving | Hyperband | Evolution | None
    patience: int | None
    stop_diverged: bool
    over: Literal["vmap", "map"]
    width: int | None
    memory: int | None
    devices: Any
    final_loss: bool


@dataclass(frozen=True)
class Request:
    """The arguments of `run`, under their names there."""

    loss: Callable[..., Any]
    params: Tree
    population: Population
    data: Tree
    steps: int
    batch_size: int | None = None
    seed: int = 0
    record_every: int | None = None
    evaluate: Evaluate | None = None
    metric: str | None = None
    better: Literal["lower", "higher"] | None = None
    select: Halving | Hyperband | Evolution | None = None
    patience: int | None = None
    stop_diverged: bool = False
    over: Literal["vmap", "map"] = "vmap"
    width: int | None = None
    lanes_at_once: int | None = None
    memory: int | None = None
    devices: Any = None
    folder: Any = None
    save_every: float = 30.0
    progress: bool | None = None
    has_aux: bool = False
    model_state: Tree = None
    held_out: Tree = None
    evaluate_every: int | None = None
    callback: Callback | None = None
    engine: Any = "local"
    final_loss: bool = True

    def plan(self) -> Plan:
        """The plan of the sweep. Raises `TransformationError` for an argument that cannot be used."""
        self._check()
        population, select = self.population, self.select
        seed = whole_seed("sweep.run: seed", self.seed)
        numbers = {name: jnp.zeros([]) for name in population.numbers}
        clock = Clock.of("sweep.run", self.steps, self.record_every, self.evaluate_every)
        feed, data, held_out = self._data()
        if feed is not None:
            clock = replace(clock, longest=longest_for(feed.like))
        ready = self._ready(feed, data, held_out, numbers)
        most = max(len(group.lanes) for group in population.groups)
        tile = TILE if self.width is None else int(self.width)
        found = devices.chosen(self.devices, -(-most // tile))
        metrics = self._columns(ready)
        metric, better = ranking("sweep.run", metrics, self.metric, self.better)
        if metric == "final_loss" and isinstance(ready.objective, OwnStep) and not ready.objective.has_loss:
            raise TransformationError("sweep.run: metric: the step returns no loss to rank by: give evaluate=")
        device = next(device for device in found if device.process_index == jax.process_index())
        if self.width is None:
            tile = min(TILE, most) if device.platform == "cpu" else ALL
        program = Program(
            objective=ready.objective,
            evaluate=self.evaluate,
            batch_size=None if self.batch_size is None else int(self.batch_size),
            every=clock.every,
            records=clock.touched,
            width=0 if self.over == "map" else tile,
            stop_diverged=self.stop_diverged,
            patience=self.patience,
            metrics=tuple(metrics),
            fed=feed is not None,
            final=self.final_loss and population.has_transformations and (feed is None or held_out is not None),
            final_rows=self._final_rows(ready, data if held_out is None else held_out, jax.random.key(seed)),
        )
        if isinstance(select, Halving | Hyperband):
            select.cuts(clock.steps, population.size)
        return Plan(
            program,
            population,
            ready=ready,
            data=data if feed is None else feed.stacked(clock.stride),
            feed=feed,
            held_out=held_out,
            final_loss=self.final_loss,
            clock=clock,
            seed=seed,
            select=select,
            metric=metric,
            better=better,
            devices=found,
            lanes_at_once=self.lanes_at_once,
            memory=memory_of(device, len(found)) if self.memory is None else self.memory,
            save_every=self.save_every,
        )

    @property
    def _largest_batch(self) -> int | None:
        sizes = self.population.batch_sizes
        return self.batch_size if sizes is None else int(max(sizes))

    def _data(self) -> tuple[Feed | None, Tree, Tree]:
        """Where batches come from: a feed or arrays; and rows that are held out."""
        held_out = None if self.held_out is None else check_data("sweep.run", self.held_out, None, "held_out")
        sizes = self.population.batch_sizes
        if sizes is not None and self.batch_size is not None:
            raise TransformationError("sweep.run: batch_size: given twice, to the run and to the population")
        most = self._largest_batch
        if is_source(self.data):
            check_fed("sweep.run", most, self.has_aux, held_out)
            return Feed("sweep.run", self.data), None, held_out
        if self.data is None and not self.population.has_transformations and most is None:
            return None, None, held_out
        return None, check_data("sweep.run", self.data, most), held_out

    def _ready(self, feed: Feed | None, data: Tree, held_out: Tree, numbers: dict[str, Any]) -> Prepared:
        """The loss and the model, tried on what the loss will see; or the step and its carry."""
        sizes = self.population.batch_sizes
        each = [self.batch_size] if sizes is None else sorted(set(sizes.tolist()))
        seen = [feed.like] if feed else [None if data is None else first_rows(data, size) for size in each]
        if not self.population.has_transformations:
            self._check_own_step(held_out)
            return [prepared_step(self.loss, self.params, batch, numbers) for batch in seen][-1]
        options = {"model_state": self.model_state, "has_aux": self.has_aux}
        ready = prepared("sweep.run", self.loss, self.params, numbers=numbers, **options)
        final = data if held_out is None else held_out
        for batch in (*seen, *([] if final is None else [final])):  # a step sees few rows, the final loss all of them
            key = jax.random.key(0)
            check_objective("sweep.run", ready.objective, ready.params, ready.carried, batch, key=key, **numbers)
        return ready

    def _final_rows(self, ready: Prepared, rows: Tree, key: jax.Array) -> int | None:
        """Over how many rows at a time the final loss is computed; None for all: where it has more than a mean."""
        objective, size = ready.objective, self._largest_batch
        more = objective.keyed or objective.has_aux or objective.told or jax.tree.leaves(ready.carried)
        if rows is None or size is None or more or not (self.final_loss and self.population.has_transformations):
            return None
        params, carried = ready.made(key)
        columns = self.population.numbers.items()
        numbers = {name: jnp.asarray(column[0], jnp.result_type(float)) for name, column in columns}
        return rows_at_once(lambda params, rows: objective(params, carried, rows, **numbers)[0], params, rows, size)

    def _check_own_step(self, held_out: Tree) -> None:
        """Raise for arguments that belong to a loss."""
        given = {"model_state": self.model_state, "held_out": held_out, "has_aux": self.has_aux or None}
        wrong = next((name for name, x in given.items() if x is not None), None)
        if wrong is not None:
            raise TransformationError(f"sweep.run: {wrong}: it belongs to a loss; a train step keeps all in its carry")

    def _check(self) -> None:
        """Raise `TransformationError` for an argument that is not one of those allowed."""
        if not isinstance(self.population, Population):
            raise TransformationError(
                f"sweep.run: population: expected one of grid, sample or stack, found {self.population!r}"
            )
        if self.over not in ("vmap", "map"):
            raise TransformationError(f"sweep.run: over: expected 'vmap' or 'map', found {self.over!r}")
        for name in ("patience", "width", "lanes_at_once", "memory"):
            if getattr(self, name) is not None:
                whole_number(f"sweep.run: {name}", getattr(self, name))
        if (
            isinstance(self.save_every, bool)
            or not isinstance(self.save_every, int | float)
            or not self.save_every >= 0
        ):
            raise TransformationError(f"sweep.run: save_every: expected seconds, 0 or more, found {self.save_every!r}")
        if self.select is not None and not isinstance(self.select, Halving | Hyperband | Evolution):
            raise TransformationError(
                "sweep.run: select: expected halving(...), hyperband(...) or population_based(...), "
                f"found {self.select!r}"
            )
        if not isinstance(self.final_loss, bool):
            raise TransformationError(f"sweep.run: final_loss: expected True or False, found {self.final_loss!r}")
        needs = "has_aux" if self.has_aux else "held_out" if self.held_out is not None else None
        if needs and not self.final_loss:
            raise TransformationError(f"sweep.run: {needs}: it belongs to the final loss: leave out final_loss=False")
        check_callback("sweep.run", self.callback)
        check_engine(self.engine, self.folder, self.devices, fed=is_source(self.data), callback=self.callback)
        if not callable(self.loss):
            raise TransformationError(f"sweep.run: loss: expected a function, found {self.loss!r}")
        if self.folder is not None:
            local_folder("sweep.run", self.folder)
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Raise `TransformationError` unless the loss takes the numbers of the population."""
        if not self.population.numbers or takes_any(self.loss):
            return
        found = signature_of(self.loss).parameters
        named = [n for n, p in list(found.items())[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        wrong = next((name for name in self.population.numbers if name not in named), None)
        if wrong is not None:
            has = f"it takes {', '.join(named)}" if named else "it takes none"
            raise TransformationError(f"sweep.run: loss: it takes no number {wrong!r}{suggest(wrong, named)}; {has}")

    def _columns(self, ready: Prepared) -> list[str]:
        """The names of the metrics, in their order. Raises an error: no number, two columns of one name."""
        parts = ready.objective, ready.params, ready.carried
        names = metrics_of("sweep.run", self.evaluate, *parts, self.evaluate_every)
        own = {name: None for point in self.population.points for name in point}
        columns = ["lane", *own, "final_loss", *names, "steps", "status"]
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if twice is not None:
            raise TransformationError(f"sweep.run: two columns of the table would be called {twice!r}")
        return names
