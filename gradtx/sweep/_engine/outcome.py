"""The outcome of a course: the result of all its lanes."""

from typing import Any

import jax
import numpy as np

from gradtx._training.model import Opened, rebuilt
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._engine.lanes import Lanes, Settings, auxiliary
from gradtx.sweep._engine.processes import total
from gradtx.sweep._engine.records import last_sums, means
from gradtx.sweep._engine.rows import at, join, to_host
from gradtx.sweep._engine.units import filled, rows_at, slots_for
from gradtx.sweep._result import DIVERGED, FINISHED, STALLED, STOPPED, History, Sweep

Tree = Any


def result(course: Any) -> Sweep:
    """The result of all lanes, once they are measured."""
    plan, population = course.plan, course.plan.population
    objective = plan.program.objective
    status = np.asarray(course.status, object)
    if plan.clock.steps > course.clock:
        status[[lane for lane in course.training if course.steps[lane] < plan.clock.steps]] = STOPPED
    parts, aux = [], []
    for group, own in enumerate(population.groups):
        training, gathered, settings = course.gather(group)
        rows = course.rows(group, training, gathered)
        lanes = np.asarray(own.lanes)
        stopped = lanes[~rows.alive]
        status[stopped[np.isin(status[stopped], (FINISHED, STOPPED))]] = STALLED
        parts.append((lanes, rows))
        if objective.has_aux:
            aux.append(_auxiliary(course, group, rows, _settings(course, group, training, settings)))
    ended = last_sums(course.sums, course.steps, plan.program.every)  # whether or not a lane was stopped there
    status[~np.isfinite(np.where(status == STALLED, ended, course.scores["final_loss"]))] = DIVERGED
    order = np.argsort(np.concatenate([lanes for lanes, _ in parts]))
    params, carried = at(join([(rows.params, rows.carried) for _, rows in parts]), order)
    scores = dict(course.scores)
    return Sweep(
        population=population,
        loss=losses(course),
        final_loss=scores.pop("final_loss"),
        params=rebuilt(Opened(params, carried.own, objective.form)),
        states=tuple(rows.state for _, rows in parts),
        metrics={name: scores[name] for name in plan.program.metrics},
        record_every=plan.program.every,
        steps=course.steps,
        steps_spent=total(course.spent),
        status=status.tolist(),
        metric=plan.metric,
        better=plan.better,
        history=_history(course),
        batch_size=plan.program.batch_size,
        seed=plan.seed,
        curves=dict(course.curves),
        evaluated=np.asarray(plan.clock.evaluations, int),
        model_state=objective.state(carried),
        aux=at(join(aux), order) if aux else None,
        origin=dict(course.origin),
    )


def losses(course: Any) -> np.ndarray:
    """The mean loss of every record, NaN after the end of a lane."""
    return means(course.sums, course.steps, course.plan.program.every)


def _history(course: Any) -> History | None:
    if not isinstance(course.plan.select, Evolution):
        return None
    numbers = {name: np.stack([turn[name] for turn in course.numbers]) for name in course.numbers[0]}
    turns = np.asarray(course.plan.select.turns(course.plan.clock.steps)[: len(course.parents)], int)
    return History(turns, np.asarray(course.parents, int).reshape(len(turns), -1), numbers)


# The auxiliary output of the final loss -------------------------------------------------------------------------------


def _settings(course: Any, group: int, training: list[int], settings: Settings) -> Settings:
    """The settings of all lanes of a group: as they are now where a lane trains, as asked for elsewhere."""
    own = list(course.plan.population.groups[group].lanes)
    place = {lane: n for n, lane in enumerate(own)}
    index = [place[lane] for lane in training]

    def one(begun: Any, now: Any) -> Any:
        if not np.ndim(begun):
            return begun
        begun = np.array(begun)
        begun[index] = now
        return begun

    return jax.tree.map(one, course.settings_of(group), settings)


def _auxiliary(course: Any, group: int, rows: Lanes, settings: Settings) -> Tree:
    """The auxiliary output of the final loss of all lanes of a group, tile by tile."""
    program, lanes = course.plan.program_of(group), len(rows.alive)
    device, data = next(iter(course.final.items()))
    width, found = slots_for(program, lanes if program.width < 0 else 1), []
    for first in range(0, lanes, width):
        index = filled(list(range(first, min(first + width, lanes))), width)
        placed = jax.device_put((rows_at(settings, index), at(rows, index)), device)
        made = auxiliary(program, placed[0], data, placed[1])
        found.append(at(to_host(made), slice(0, min(width, lanes - first))))
    return join(found)
