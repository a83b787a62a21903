"""The compiled part of a sweep: lanes that train side by side, in tiles, on one device or on several.

Lanes stand in *slots*, one row each of stacked arrays. A *tile* is ``width`` slots that one ``vmap`` takes through the
steps together; tiles follow each other in a loop whose length is an argument, so fewer lanes are less work without a
new compilation. The width affects what a lane computes, in its last bits; its neighbours, its slot, the number of tiles
and the device do not. Every device runs the same program on its own slots, so none waits for another.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._rules.transformation import GradientTransformation
from gradtx._training.batches import batch_rows, next_order, order_of
from gradtx._training.evaluation import evaluated
from gradtx._training.objective import Carried, Objective, key_of
from gradtx._training.prepare import Maker
from gradtx.sweep._engine.final import over_rows

Tree = Any
ALL = -1  # a width: all slots of a device are one tile


@dataclass(frozen=True)
class Program:
    """What is compiled: everything about a training step except its numbers.

    ``objective``: what a step does, with a loss or by itself. ``fed``: the data are the batches of a stride. ``final``:
    whether there is a final loss, computed over ``final_rows`` rows at a time, or all at once if None. ``width``: slots
    a tile; `ALL` takes all of a device at once, 0 maps over single lanes without ``vmap``. ``records``: entries of the
    loss that one call may touch, each of ``every`` steps. ``patience``: records without a new best after which a lane
    stops. ``metrics``: the names of what ``evaluate`` returns.
    """

    objective: Objective
    evaluate: Callable[..., Any] | None
    batch_size: int | None
    every: int
    records: int
    width: int
    metrics: tuple[str, ...]
    stop_diverged: bool
    patience: int | None
    fed: bool = False
    final: bool = True
    final_rows: int | None = None

    @property
    def stops(self) -> bool:
        """Whether a lane may stop before the others."""
        return self.stop_diverged or self.patience is not None


class Settings(NamedTuple):
    """How lanes differ, one row per slot: transformation, numbers of the loss; seed, if each has its own."""

    tx: GradientTransformation
    numbers: dict[str, jax.Array]
    seed: jax.Array


class Lanes(NamedTuple):
    """What training changes, one row per slot. ``best``, ``since`` and ``sum`` serve the patience.

    ``carried``: what models and the loss carry beside parameters.
    """

    params: Tree
    state: Tree
    alive: jax.Array
    taken: jax.Array
    best: jax.Array
    since: jax.Array
    sum: jax.Array
    carried: Carried = Carried()


# Start ----------------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("program", "maker"))
def start(program: Program, settings: Settings, given: Tree, *, maker: Maker | None, slots: Any) -> Lanes:
    """Every slot before its first step: parameters and what is carried, as given, or as made from the seed."""
    many = slots.shape[0]
    if maker is not None:
        made = functools.partial(_made, maker, given)
        pair = jax.lax.map(made, settings.seed) if settings.seed.ndim else _rows(made(settings.seed), many)
    else:
        pair = _rows(given, many)
    params, carried = pair
    state = program.objective.init_rows(settings.tx, params)
    zeros = jnp.zeros(many)
    infinite = jnp.full_like(zeros, jnp.inf)
    count = jnp.zeros(many, jnp.int32)
    return Lanes(params, state, jnp.ones(many, bool), count, infinite, count, zeros, carried)


def _made(maker: Maker, given: Tree, seed: jax.Array) -> Tree:
    return jax.tree.map(jnp.asarray, maker(jax.random.key(seed), *given))


def _rows(tree: Tree, many: int) -> Tree:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (many, *jnp.shape(x))), tree)


@jax.jit
def take(tree: Tree, index: jax.Array) -> Tree:
    """Rows by their slots: what selection moves."""
    return jax.tree.map(lambda x: x[index], tree)


# Training -------------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("program",), donate_argnames=("lanes",))
def train(
    program: Program, settings: Settings, data: Tree, lanes: Lanes, first: Any, count: Any, active: jax.Array
) -> tuple[Lanes, jax.Array]:
    """``count`` steps from step ``first`` on, with the first ``active`` slots.

    Returns the lanes, and the sum of the losses of every record that was touched, slots × records.
    """
    sums = jnp.zeros((*lanes.alive.shape, program.records), lanes.sum.dtype)

    def body(t: Any, carry: Any) -> Any:
        lanes, sums = carry
        own = _settings_of(program, settings, t), _tile_of(program, lanes, t)
        made, losses = _steps(program, *own, data, first, count)
        return _put(program, lanes, made, t), _put(program, sums, losses, t)

    return _each_tile(program, active, body, (lanes, sums))


@functools.partial(jax.jit, static_argnames=("program", "measures"))
def finish(
    program: Program, settings: Settings, data: Tree, lanes: Lanes, active: jax.Array, *, measures: bool = True
) -> dict[str, jax.Array]:
    """``final_loss`` of the parameters to deploy, and what ``evaluate`` returns for them, by slot.

    Without ``measures`` there is no final loss: so the model is looked at during training.
    """
    real = lanes.sum.dtype
    loss = program.final and measures

    def one(settings: Settings, params: Tree, state: Tree, carried: Carried, taken: Any, data: Tree) -> Any:
        params = program.objective.deployed(settings.tx, params, state)
        found = {}
        if program.evaluate is not None:
            found = dict(evaluated(program.evaluate, program.objective, params, carried))
        if loss:
            more = {"key": _key_of(program, settings.seed, taken), **settings.numbers}

            def of(params: Tree, rows: Tree) -> jax.Array:
                return program.objective(params, carried, rows, **more)[0]

            found["final_loss"] = over_rows(of, params, data, program.final_rows)
        return {name: jnp.asarray(x).astype(real) for name, x in found.items()}

    own = (lanes.params, lanes.state, lanes.carried, lanes.taken if program.objective.keyed else None)
    each = _vmapped(program, one, _axes(settings), 0, 0, 0, 0, None)
    names = (*(["final_loss"] if loss else []), *program.metrics)
    blank = {name: jnp.full(lanes.alive.shape, jnp.nan, real) for name in names}

    def body(t: Any, out: Any) -> Any:
        made = each(_settings_of(program, settings, t), *_tile_of(program, own, t), data)
        return _put(program, out, made, t)

    return _each_tile(program, active, body, blank)


@functools.partial(jax.jit, static_argnames=("program",))
def auxiliary(program: Program, settings: Settings, data: Tree, lanes: Lanes) -> Tree:
    """The auxiliary output of the final loss, by slot."""

    def one(settings: Settings, lane: Lanes, data: Tree) -> Tree:
        params = program.objective.deployed(settings.tx, lane.params, lane.state)
        key = _key_of(program, settings.seed, lane.taken)
        return program.objective(params, lane.carried, data, key=key, **settings.numbers)[1].aux

    if program.width:
        return jax.vmap(one, (_axes(settings), 0, None))(settings, lanes, data)
    rows = len(lanes.alive)
    each = [one(_settings_of(program, settings, t), _tile_of(program, lanes, t), data) for t in range(rows)]
    return jax.tree.map(lambda *xs: jnp.stack(xs), *each)


def _key_of(program: Program, seed: jax.Array, step: Any) -> jax.Array | None:
    """The key of the loss of one lane at a step, if it takes one."""
    return key_of(jax.random.key(seed), step) if program.objective.keyed else None


def _steps(
    program: Program, settings: Settings, lanes: Lanes, data: Tree, first: Any, count: Any
) -> tuple[Lanes, jax.Array]:
    """Steps of one tile (or of one lane, unmapped)."""
    size = program.batch_size or 0
    rows = len(jax.tree.leaves(data)[0]) if size else 0
    seeded = program.width != 0 and settings.seed.ndim > 0
    of_lane = jax.vmap if seeded else lambda function: function
    own_batch, own_key = 0 if seeded and size else None, 0 if seeded and program.objective.keyed else None
    step = _vmapped(program, functools.partial(_step, program), _axes(settings), 0, own_batch, own_key, None)
    keys = of_lane(jax.random.key)(settings.seed)

    def body(carry: Any) -> Any:
        i, lanes, order, sums = carry
        n, batch = first + i, data
        if program.fed:
            batch = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), data)
        elif size:
            order = of_lane(lambda order, key: next_order(order, key, n, rows, size))(order, keys)
            chosen = of_lane(lambda order: batch_rows(order, n, size))(order)
            batch = jax.tree.map(lambda x: x[chosen], data)
        own = of_lane(lambda key: key_of(key, n))(keys) if program.objective.keyed else None
        lanes, values = step(settings, lanes, batch, own, n)
        return i + 1, lanes, order, sums.at[..., n // program.every - first // program.every].add(values)

    def going(carry: Any) -> Any:
        return (carry[0] < count) & jnp.any(carry[1].alive) if program.stops else carry[0] < count

    order = None
    if size:
        epoch = first // (rows // size)
        order = of_lane(lambda key: order_of(key, epoch, rows))(keys)
    sums = jnp.zeros((*lanes.alive.shape, program.records), lanes.sum.dtype)
    _, lanes, _, sums = jax.lax.while_loop(going, body, (jnp.zeros_like(first), lanes, order, sums))
    return lanes, sums


def _step(program: Program, settings: Settings, lane: Lanes, batch: Tree, key: Any, n: Any) -> tuple[Lanes, jax.Array]:
    """One step of one lane; a lane that has stopped stays as it is."""
    before = (lane.params, lane.state, lane.carried)
    *made, value = program.objective.advance(settings.tx, *before, batch, key=key, **settings.numbers)
    value = value.astype(lane.sum.dtype)
    if not program.stops:
        params, state, carried = made
        return lane._replace(params=params, state=state, carried=carried, taken=lane.taken + 1), value
    goes = lane.alive & jnp.isfinite(value) if program.stop_diverged else lane.alive
    params, state, carried = jax.tree.map(lambda new, old: jnp.where(goes, new, old), tuple(made), before)
    total = lane.sum + value
    ends = (n + 1) % program.every == 0
    better = total < lane.best
    since = jnp.where(ends, jnp.where(better, 0, lane.since + 1), lane.since)
    lasts = goes if program.patience is None else goes & (since < program.patience)
    value = jnp.where(lane.alive, value, 0)
    best = jnp.where(ends & better, total, lane.best)
    taken, total = lane.taken + goes.astype(lane.taken.dtype), jnp.where(ends, 0, total)
    return Lanes(params, state, lasts, taken, best, since, total, carried), value


# Tiles ----------------------------------------------------------------------------------------------------------------


def _axes(settings: Settings) -> Settings:
    return Settings(0, 0, 0 if settings.seed.ndim else None)  # pyright: ignore[reportArgumentType]


def _vmapped(program: Program, function: Callable[..., Any], *axes: Any) -> Callable[..., Any]:
    return jax.vmap(function, axes) if program.width else function


def _tile_of(program: Program, tree: Tree, t: Any) -> Tree:
    if program.width == ALL:
        return tree
    if not program.width:
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, t, keepdims=False), tree)
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, t * program.width, program.width), tree)


def _settings_of(program: Program, settings: Settings, t: Any) -> Settings:
    own = _tile_of(program, settings if settings.seed.ndim else settings._replace(seed=None), t)
    return own if settings.seed.ndim else own._replace(seed=settings.seed)


def _put(program: Program, tree: Tree, tile: Tree, t: Any) -> Tree:
    if program.width == ALL:
        return tile
    at = t * max(program.width, 1)
    wide = tile if program.width else jax.tree.map(lambda x: x[None], tile)
    return jax.tree.map(lambda x, own: jax.lax.dynamic_update_slice_in_dim(x, own, at, 0), tree, wide)


def _each_tile(program: Program, active: jax.Array, body: Callable[..., Any], carry: Any) -> Any:
    width = max(program.width, 1)
    if program.width == ALL:
        return body(jnp.zeros([], jnp.int32), carry)
    return jax.lax.fori_loop(jnp.zeros([], jnp.int32), (active + width - 1) // width, body, carry)
