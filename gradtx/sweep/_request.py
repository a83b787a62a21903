"""All arguments of `run` as one value, which is checked and turned into a plan."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import jax
import jax.numpy as jnp

from gradtx._training.batches import check_data
from gradtx._training.chunks import Clock
from gradtx._value.errors import TransformationError, suggest, within
from gradtx._value.whole import whole_number
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._choice.selection import Halving, Hyperband
from gradtx.sweep._disk.folders import local_folder
from gradtx.sweep._engine import devices
from gradtx.sweep._engine.final import rows_at_once
from gradtx.sweep._engine.lanes import ALL, Program
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.seeds import whole_seed
from gradtx.sweep._engine.units import memory_of
from gradtx.sweep._population import Population

Tree = Any
TILE = 4  # lanes that one vmap takes on a CPU, where more gain nothing


class Training(TypedDict, total=False):
    """How every lane is trained: the keywords of `run` that `search` takes too."""

    batch_size: int | None
    record_every: int | None
    evaluate: Callable[[Tree], Mapping[str, Any]] | None
    select: Halving | Hyperband | Evolution | None
    patience: int | None
    stop_diverged: bool
    over: Literal["vmap", "map"]
    width: int | None
    memory: int | None
    devices: Any
    final_over: Any


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
    evaluate: Callable[[Tree], Mapping[str, Any]] | None = None
    metric: str = "final_loss"
    better: Literal["lower", "higher"] = "lower"
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
    final_over: Any = "data"

    def plan(self) -> Plan:
        """The plan of the sweep. Raises `TransformationError` for an argument that cannot be used."""
        self._check()
        population, select = self.population, self.select
        seed = whole_seed("sweep.run: seed", self.seed)
        make = self.params if is_initializer(self.params) else None
        params = jax.eval_shape(make, jax.random.key(seed)) if make else as_arrays("sweep.run", self.params)
        numbers = {name: jnp.zeros([]) for name in population.numbers}
        given = (lambda params, batch: self.loss(params, batch, **numbers)) if numbers else self.loss
        clock = Clock.of("sweep.run", self.steps, self.record_every)
        data = check_data("sweep.run", given, params, self.data, self.batch_size)
        final, final_rows = self._final(given, params, data)
        most = max(len(group.lanes) for group in population.groups)
        tile = TILE if self.width is None else int(self.width)
        found = devices.chosen(self.devices, -(-most // tile))
        device = next(device for device in found if device.process_index == jax.process_index())
        if self.width is None:
            tile = min(TILE, most) if device.platform == "cpu" else ALL
        program = Program(
            loss=self.loss,
            evaluate=self.evaluate,
            batch_size=None if self.batch_size is None else int(self.batch_size),
            every=clock.every,
            records=clock.touched,
            width=0 if self.over == "map" else tile,
            stop_diverged=self.stop_diverged,
            patience=self.patience,
            metrics=tuple(self._columns(params)),
            final_rows=final_rows,
        )
        if isinstance(select, Halving | Hyperband):
            select.cuts(clock.steps, population.size)
        return Plan(
            program,
            population,
            params=params,
            make=make,
            data=data,
            clock=clock,
            seed=seed,
            select=select,
            metric=self.metric,
            better=self.better,
            devices=found,
            lanes_at_once=self.lanes_at_once,
            memory=memory_of(device, len(found)) if self.memory is None else self.memory,
            save_every=self.save_every,
            final=final,
        )

    def _final(self, loss: Callable[..., Any], params: Tree, data: Tree) -> tuple[Tree, int | None]:
        """The rows of the final loss, and over how many at a time it is computed; 0 where it is not."""
        over = self.final_over
        if isinstance(over, str):
            if over not in ("data", "none"):
                raise TransformationError(
                    f"sweep.run: final_over: expected 'data', 'none' or a tree of rows like data, found {over!r}"
                )
            rows = data
        else:
            rows = within("final_over", check_data)("sweep.run", loss, params, over, None)
        if isinstance(over, str) and over == "none":
            return rows, 0
        made = self.params(jax.random.key(whole_seed("seed", self.seed))) if is_initializer(self.params) else params
        numbers = {
            name: jnp.asarray(column[0], jnp.result_type(float)) for name, column in self.population.numbers.items()
        }
        own = functools.partial(self.loss, **numbers)
        return rows, rows_at_once(own, made, rows, self.batch_size)

    def _check(self) -> None:
        """Raise `TransformationError` for an argument that is not one of those allowed."""
        if not isinstance(self.population, Population):
            raise TransformationError(
                f"sweep.run: population: expected one of grid, sample or stack, found {self.population!r}"
            )
        for name, known in {"over": ("vmap", "map"), "better": ("lower", "higher")}.items():
            if getattr(self, name) not in known:
                words = " or ".join(map(repr, known))
                raise TransformationError(f"sweep.run: {name}: expected {words}, found {getattr(self, name)!r}")
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
        if self.evaluate is not None and not callable(self.evaluate):
            raise TransformationError(f"sweep.run: evaluate: expected a function, found {self.evaluate!r}")
        if not callable(self.loss):
            raise TransformationError(f"sweep.run: loss: expected a function, found {self.loss!r}")
        if self.folder is not None:
            local_folder("sweep.run", self.folder)
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Raise `TransformationError` unless the loss takes the numbers of the population."""
        if not self.population.numbers:
            return
        try:
            found = inspect.signature(self.loss).parameters
        except (TypeError, ValueError):
            return
        if any(p.kind == p.VAR_KEYWORD for p in found.values()):
            return
        named = [n for n, p in list(found.items())[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        wrong = next((name for name in self.population.numbers if name not in named), None)
        if wrong is not None:
            has = f"it takes {', '.join(named)}" if named else "it takes none"
            raise TransformationError(f"sweep.run: loss: it takes no number {wrong!r}{suggest(wrong, named)}; {has}")

    def _columns(self, params: Tree) -> list[str]:
        """The names of the metrics. Raises an error: no number, two columns of one name, an unknown metric."""
        metrics = {} if self.evaluate is None else jax.eval_shape(self.evaluate, params)
        if not isinstance(metrics, Mapping):
            raise TransformationError(f"sweep.run: evaluate: expected a mapping from names to numbers, found {metrics}")
        for name, x in metrics.items():
            if getattr(x, "shape", ()) != ():
                raise TransformationError(f"sweep.run: evaluate: {name}: expected one number, found shape {x.shape}")
        own = {name: None for point in self.population.points for name in point}
        names = ["lane", *own, "final_loss", *metrics, "steps", "status"]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise TransformationError(f"sweep.run: two columns of the table would be called {twice!r}")
        known = ["final_loss", *metrics]
        if self.metric not in known:
            hint = suggest(self.metric, known) if isinstance(self.metric, str) else ""
            raise TransformationError(
                f"sweep.run: metric: expected one of {', '.join(known)}, found {self.metric!r}{hint}"
            )
        return list(metrics)


# Initial parameters ---------------------------------------------------------------------------------------------------


def is_initializer(params: Any) -> bool:
    """Whether initial parameters are a function of a key. A callable module is not: it is a tree of parameters."""
    if not callable(params):
        return False
    leaf = jax.tree_util.treedef_is_leaf(jax.tree.structure(params))
    return leaf or isinstance(params, jax.tree_util.Partial) or not jax.tree.leaves(params)


def as_arrays(who: str, params: Tree) -> Tree:
    """Initial parameters as arrays. Raises a `TransformationError` that names a leaf which is not an array."""

    def one(path: Any, x: Any) -> Any:
        try:
            return jnp.asarray(x)
        except (TypeError, ValueError):
            where = jax.tree_util.keystr(path, simple=True, separator=".")
            hint = "; of an Equinox module give eqx.filter(model, eqx.is_array)" if callable(x) else ""
            raise TransformationError(
                f"{who}: params: {f'leaf {where}: ' if where else ''}expected an array, found "
                f"{getattr(x, '__name__', None) or type(x).__name__}{hint}"
            ) from None

    return jax.tree_util.tree_map_with_path(one, params)
