"""The identity of a sweep: what its lanes compute, on which data, as text and digests."""

import functools
import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from gradtx._training.evaluation import evaluated
from gradtx._value.fingerprint import CannotTell, fingerprint
from gradtx._value.plain import plain
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.rows import is_key
from gradtx.sweep._grouping import Group
from gradtx.sweep._population import Population

Tree = Any


def identity(plan: Plan) -> dict[str, Any]:
    """What identifies a sweep. Devices, memory and how often it is saved do not belong to it."""
    program, population = plan.program, plan.population
    return question(plan) | {
        "lanes": population.size,
        "width": program.width,
        "transformations": transformations_of(population),
        "numbers": {name: column.tolist() for name, column in population.numbers.items()},
        "seeds": None if population.seeds is None else population.seeds.tolist(),
        "batch_sizes": None if population.batch_sizes is None else population.batch_sizes.tolist(),
        "update": (updates := [_update_of_group(plan, group) for group in population.groups]),
        "points": points_of(population, updates),
    }


def question(plan: Plan) -> dict[str, Any]:
    """What all lanes share: the loss, the data, initial parameters, and how they are trained and ranked."""
    program = plan.program
    made = plan.ready.made(jax.random.key(plan.seed))
    ranked = {  # which lanes go on, or curves, may depend on it; else only the table does
        "evaluate": _program_of_evaluate(plan),
        "final_loss": _rows_of_final_loss(plan),
    }
    selects = plan.select is not None
    bound = selects or plan.feed is not None or plan.clock.evaluate_every is not None
    return {
        "steps": plan.clock.steps,
        "batch_size": program.batch_size,
        "seed": plan.seed,
        "record_every": program.every,
        "evaluate_every": plan.clock.evaluate_every,
        "select": repr(plan.select),
        "metric": f"{plan.metric}, {plan.better}" if selects else "any",
        "patience": program.patience,
        "stop_diverged": program.stop_diverged,
        "loss": _program_of_loss(plan),
        "evaluate": ranked["evaluate"] if bound else "any",
        "final_loss": ranked["final_loss"] if bound else "any",
        "measured": ranked,
        "params": digest_of(jax.tree.map(jnp.asarray, made)),
        "data": digest_of(plan.data) if plan.feed is None else plan.feed.described,
    }


def _rows_of_final_loss(plan: Plan) -> str:
    if not plan.final_loss:
        return "the last record"
    return "data" if plan.held_out is None else digest_of(plan.held_out)


def _program_of_loss(plan: Plan) -> str:
    numbers, objective = numbers_like(plan.population), plan.program.objective
    key = jax.random.key(0)
    return program_of(
        lambda params, carried, *batch: objective.computed(params, carried, *batch, key=key, **numbers),
        plan.ready.params,
        plan.ready.carried,
        *plan.batch(plan.program.batch_size),
    )


def _program_of_evaluate(plan: Plan) -> str:
    evaluate, objective = plan.program.evaluate, plan.program.objective
    if evaluate is None:
        return "none"
    return program_of(functools.partial(evaluated, evaluate, objective), plan.ready.params, plan.ready.carried)


def numbers_like(population: Population) -> dict[str, Any]:
    """One of each number of the loss."""
    return {name: jnp.zeros([]) for name in population.numbers}


def of_every_trial(plan: Plan) -> dict[str, Any]:
    """What all trials of a search share, whatever their seeds; as a digest where it is neither text nor a number."""
    population = plan.population
    shared = question(replace(plan, seed=0))
    asked = shared | {
        "seeds": "none" if population.seeds is None else ", ".join(map(str, population.seeds.tolist())),
        "transformation": update_of(plan, population.lane(0), plan.program.batch_size),
        **shared["measured"],
    }
    apart = {"seed", "metric", "record_every", "measured"} | ({"evaluate"} if plan.metric == "final_loss" else set())
    return {name: x for name, x in asked.items() if name not in apart}


def transformations_of(population: Population) -> list[list[str]]:
    """For each structure, its first transformation as it prints, and a digest of the numbers of all."""
    first = [population.lane(group.lanes[0]) for group in population.groups]
    words = ["a train step" if tx is None else _without_addresses(repr(plain(tx))) for tx in first]
    return [[word, digest_of(group.tx)] for word, group in zip(words, population.groups, strict=True)]


def points_of(population: Population, updates: Sequence[str]) -> list[str]:
    """A digest of every lane: of its transformation, the numbers of its loss, its seed, its batch size."""
    found = [""] * population.size
    numbers = [population.numbers[name] for name in sorted(population.numbers)]
    seeds = [] if population.seeds is None else [population.seeds]
    for group, update in zip(population.groups, updates, strict=True):
        leaves = [np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in jax.tree.leaves(group.tx)]
        for row, lane in enumerate(group.lanes):
            own = [x[row] for x in leaves] + [x[lane] for x in (*numbers, *seeds)]
            text = f"{update} {group.batch_size}".encode() + b"".join(
                f"{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes() for x in own
            )
            found[lane] = hashlib.sha256(text).hexdigest()[:16]
    return found


def _update_of_group(plan: Plan, group: Group) -> str:
    return update_of(plan, plan.population.lane(group.lanes[0]), group.batch_size or plan.program.batch_size)


def update_of(plan: Plan, tx: Any, size: int | None) -> str:
    """A digest of what a step of a transformation computes: two functions inside may print alike and yet differ."""
    numbers, objective, key = numbers_like(plan.population), plan.program.objective, jax.random.key(0)
    if tx is None:
        return "none"

    def step(tx: Any, params: Tree, carried: Any, *batch: Tree) -> Any:
        state = tx.init(params)
        return state, objective.advance(tx, params, state, carried, *batch, key=key, **numbers)[:3]

    return program_of(step, tx, plan.ready.params, plan.ready.carried, *plan.batch(size))


# Digests --------------------------------------------------------------------------------------------------------------


def digest_of(tree: Tree) -> str:
    """A digest of a tree of arrays: paths, shapes, dtypes and every byte."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        found.update(jax.tree_util.keystr(path).encode())
        x = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        found.update(f"{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return found.hexdigest()[:16]


def program_of(function: Callable[..., Any] | None, *args: Any) -> str:
    """A digest of what a function computes: the program that it is traced to, and every constant in it."""
    if function is None:
        return "none"
    traced = jax.make_jaxpr(function)(*args)
    text = _without_addresses(str(traced.jaxpr)) + digest_of(list(_constants(traced)))
    unknown = ""
    for called in _called_back(traced.jaxpr):
        try:
            text += fingerprint(called)
        except CannotTell as error:  # then no two digests are equal
            unknown = f"it calls {error}, which may be another ({uuid.uuid4().hex[:8]})"
    return unknown or hashlib.sha256(text.encode()).hexdigest()[:16]


def _called_back(program: Jaxpr) -> Iterator[Callable[..., Any]]:
    """The Python functions that a program calls back, and those of the programs inside it."""
    for equation in program.eqns:
        if equation.primitive.name in ("pure_callback", "io_callback"):
            callback = equation.params["callback"]
            yield getattr(callback, "callback_func", callback)
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(inner):
                yield from _called_back(getattr(inner, "jaxpr", inner))


def _constants(traced: Any) -> Iterator[Any]:
    """The constants of a program, and of the programs inside it."""
    yield from (x for x in traced.consts if hasattr(x, "dtype"))
    for equation in traced.jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(inner):
                yield from _constants(inner if hasattr(inner, "consts") else ClosedJaxpr(inner, []))


def _is_program(x: Any) -> bool:
    return isinstance(x, ClosedJaxpr | Jaxpr)


def _without_addresses(text: str) -> str:
    """The text without memory addresses, so that every process prints the same."""
    return re.sub(r"0x[0-9a-f]+", "", text)
