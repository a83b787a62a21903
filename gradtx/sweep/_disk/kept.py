"""What another sweep left in a folder and this one can use: lanes of the same points, as far as they have trained.

Lanes do not affect each other where nothing selects among them. So lanes that are there are kept by the identity of
their points, new ones begin, and all go on to the steps that are asked for now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from gradtx.sweep._disk.snapshot import under, unflat
from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.rows import at
from gradtx.sweep._engine.units import like, rows_at
from gradtx.sweep._request import Request


def like_before(request: Request, there: Mapping[str, Any], plan: Plan) -> Plan:
    """The plan with the width and the records of the sweep in the folder, where the request does not say its own.

    Records of a longer run are a multiple of what they were.
    """
    if plan.feed is not None:  # another plan would draw its first batch again
        return plan
    changes: dict[str, Any] = {}
    before, every = there.get("record_every"), plan.program.every
    if request.record_every is None and isinstance(before, int) and every % before:
        changes["record_every"] = -(-every // before) * before
    width = there.get("width")
    own = request.width is None and request.over == "vmap" and width != plan.program.width
    if own and isinstance(width, int) and width > 0:
        changes["width"] = width
    return replace(request, **changes).plan() if changes else plan


def sources(there: Sequence[str], here: Sequence[str]) -> dict[int, int]:
    """For each lane here that is there, its number there; equal points are used once each.

    >>> sources(["a", "b", "a"], ["c", "a", "a", "a"])
    {1: 0, 2: 2}
    """
    places: dict[str, list[int]] = {}
    for n, point in enumerate(there):
        places.setdefault(point, []).append(n)
    return {n: places[point].pop(0) for n, point in enumerate(here) if places.get(point)}


def carry(
    course: Course,
    where: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    there: Mapping[str, Any],
    here: Mapping[str, Any],
) -> dict[int, int]:
    """Bring a course to where the lanes in the folder are that it has; its others begin. Returns `sources`."""
    plan, found = course.plan, sources(there["points"], here["points"])
    mine, theirs = np.asarray(list(found)), np.asarray(list(found.values()))
    course.steps[mine] = arrays["steps"][theirs]
    course.spent = int(course.steps.sum()) if jax.process_index() == 0 else 0
    _carry_records(course, mine, arrays["sums"][theirs], there["record_every"])
    if there["steps"] == here["steps"] and there["measured"] == here["measured"] and "measured" in arrays:
        for name, column in under("score.", arrays).items():
            course.scores[name] = np.full(plan.population.size, np.nan, column.dtype)
            course.scores[name][mine] = column[theirs]
        course.measured[mine] = arrays["measured"][theirs]
    for number, group in enumerate(plan.population.groups):
        begun, own = course.settings_of(number), list(group.lanes)
        new = [lane for lane in own if lane not in found]
        course.place(number, new, rows_at(begun, [own.index(lane) for lane in new]), None, 0)
        for other, lanes in enumerate(where["groups"]):
            kept = [lane for lane in own if lane in found and found[lane] in set(lanes)]
            if kept:
                _carry_rows(
                    course, number, other, kept, [lanes.index(found[lane]) for lane in kept], len(lanes), arrays
                )
    return found


def _carry_records(course: Course, lanes: np.ndarray, sums: np.ndarray, every: int) -> None:
    """Sums of losses, in records that are as long or longer."""
    wide = course.plan.clock.every // every
    padded = np.pad(sums, ((0, 0), (0, -sums.shape[1] % wide)))
    longer = padded.reshape(len(sums), -1, wide).sum(axis=2)
    course.sums[lanes, : longer.shape[1]] = longer


def _carry_rows(
    course: Course, group: int, other: int, lanes: list[int], places: list[int], many: int, arrays: Mapping[str, Any]
) -> None:
    """Parameters and states of lanes of a group, from their places in a group of the folder."""
    plan, begun = course.plan, course.settings_of(group)
    own = list(plan.population.groups[group].lanes)
    _, shapes = like(plan, begun, many)
    rows = at(unflat(f"rows.{other}", shapes, arrays), np.asarray(places))
    clock = course.steps[lanes]
    still = ~np.asarray(rows.alive)  # a lane that has stopped stays as it is
    clock = np.where(still, plan.clock.steps, clock)
    for step in sorted(set(clock.tolist()), reverse=True):
        chosen = np.flatnonzero(clock == step)
        settings = rows_at(begun, [own.index(lanes[n]) for n in chosen])
        course.place(group, [lanes[n] for n in chosen], settings, at(rows, chosen), int(step))
