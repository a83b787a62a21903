"""The caller of a sweep whose chunks are trained by workers: it shares out, waits, selects, and makes the result."""

import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gradtx._training.progress import progress as progress_bar
from gradtx._value.errors import TransformationError
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._disk.snapshot import restore, snapshot
from gradtx.sweep._engine.lanes import ALL
from gradtx.sweep._engine.outcome import result
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engines.chunks import State, Whole, beginning, divided, joined, part_state
from gradtx.sweep._engines.compiling import as_at_the_caller, options
from gradtx.sweep._engines.engine import Crew, Engine
from gradtx.sweep._engines.leases import Watch
from gradtx.sweep._engines.meeting import Meeting, Place
from gradtx.sweep._engines.sending import sent
from gradtx.sweep._engines.worker import Worker, equipped
from gradtx.sweep._engines.worker import workers as done_by
from gradtx.sweep._origin import origin_of
from gradtx.sweep._request import Request
from gradtx.sweep._result import Sweep

EACH = 4  # chunks that a worker trains one after the other, if it is not said how many lanes a chunk has
SHORTEST, LONGEST = 0.05, 1.0  # seconds between looks at what the workers have done
LINGER = 5.0  # seconds in which a network's disk may show what workers wrote that have ended


def share_out(request: Request) -> Sweep:
    """Train a sweep by workers, from its beginning or from what its folder holds."""
    workers = request.engine.workers if isinstance(request.engine, Engine) else 1
    began = time.monotonic()
    plan, lanes = pinned(request, workers)
    meeting, watch = Meeting(request.folder), Watch()
    meeting.begin(*sent(request_of(request, plan), plan, lanes))
    lanes = meeting.settings["lanes"]
    lease = watch.claim(meeting.place / "caller")
    if lease is None:
        raise TransformationError(
            f"sweep.run: the sweep in {meeting.folder} is being run by {watch.owner_of(meeting.place / 'caller')}: "
            "wait for it, or end it. To help, start workers: python -m gradtx worker FOLDER"
        )
    with lease.held(), _hands(request, plan, meeting, watch) as hands:
        label = f"{plan.population.size} lanes, {workers} worker{'s' * (workers != 1)}"
        with progress_bar(label, plan.total, request.progress) as bar:
            state = beginning(plan)
            while True:
                places = _begun(plan, meeting, state, lanes)
                for place in hands.wait(places):
                    told = place.done() or {}
                    bar(told.get("steps", 0), math.nan if told.get("best") is None else told["best"])
                course = Whole(plan)
                restore(course, *joined(plan, state, ((place.chunk, place.result()) for place in places)))
                course.turn()
                if course.round == len(plan.ends):
                    break
                state = snapshot(course)
        meeting.finish()
        course.measure_all()
        course.origin = _origin(request, plan, time.monotonic() - began)
        return result(course)


def _origin(request: Request, plan: Plan, seconds: float) -> dict[str, Any]:
    """Where the result comes from: the devices are those of the workers."""
    name = request.engine if isinstance(request.engine, str) else type(request.engine).__name__.lower()
    found = Counter(str(done["device"]) for done in done_by(request.folder))
    return origin_of(plan.devices, seconds, name) | ({"devices": dict(found)} if found else {})


def pinned(request: Request, workers: int) -> tuple[Plan, int]:
    """The plan of a sweep in which a tile has one width everywhere, and how many lanes a chunk has: whole tiles."""
    plan = replace(request.plan(), lanes_at_once=None)
    if isinstance(plan.select, Evolution) and plan.program.stops:
        raise TransformationError(
            "sweep.run: engine: population_based with patience or stop_diverged depends on which lanes train together: "
            "leave these out, or train on one machine, engine='local'"
        )
    most, tile = max(len(group.lanes) for group in plan.population.groups), max(plan.program.width, 1)
    lanes = request.lanes_at_once or math.ceil(most / (EACH * workers))
    lanes = tile * math.ceil(min(lanes, most) / tile)
    if plan.program.width == ALL:
        return replace(plan, program=replace(plan.program, width=lanes)), lanes
    return plan, lanes


def request_of(request: Request, plan: Plan) -> Request:
    """The request with the width of its tiles written down: another machine would choose another."""
    return request if request.over == "map" else replace(request, width=plan.program.width)


def _begun(plan: Plan, meeting: Meeting, state: State, lanes: int) -> list[Place]:
    """A round that has begun: its chunks, with what they begin with."""
    number, training = state[0]["round"], state[0]["training"]
    begin = plan.ends[number - 1] if number else 0
    chunks = divided(plan.population, training, lanes, begin, plan.ends[number])
    return meeting.open(number, chunks, lambda chunk: part_state(plan, state, chunk) if number else None)


# Who trains -----------------------------------------------------------------------------------------------------------


@contextmanager
def _hands(request: Request, plan: Plan, meeting: Meeting, watch: Watch) -> Iterator[Any]:
    """Who trains the chunks: the workers of an engine, or the caller itself."""
    if not isinstance(request.engine, Engine):
        with as_at_the_caller(options(), meeting.place / "compiled"), equipped(meeting, plan, watch) as worker:
            yield Own(worker)
        return
    hands = Hired(request.engine, meeting)
    try:
        yield hands
    finally:
        hands.dismiss()


class Own:
    """The caller trains all chunks that no other worker has."""

    def __init__(self, worker: Worker):
        self.worker = worker

    def wait(self, places: list[Place]) -> Iterator[Place]:
        """Train and wait until all chunks are at their ends; yield each that is."""
        left = list(places)
        while left:
            ended = [place for place in left if place.done()]
            left = [place for place in left if place not in ended]
            yield from ended
            if left and not self.worker.step():
                time.sleep(LONGEST)


class Hired:
    """Workers of an engine, which are started when there is something to do."""

    def __init__(self, engine: Engine, meeting: Meeting):
        self.engine, self.meeting = engine, meeting
        self.crew: Crew | None = None
        self.said = 0

    def wait(self, places: list[Place]) -> Iterator[Place]:
        """Wait until all chunks are at their ends; yield each that is. Raises where no worker is left."""
        left, pause, ended_at = list(places), SHORTEST, math.inf
        while True:
            alone = self._look()
            ended_at = min(ended_at, time.monotonic()) if alone else math.inf
            ended = [place for place in left if place.done()]
            left = [place for place in left if place not in ended]
            yield from ended
            if not left:
                return
            if time.monotonic() - ended_at >= LINGER:
                self._give_up(len(left), len(places))
            if self.crew is None:
                self.crew = self.engine.start(str(self.meeting.folder))
            pause = SHORTEST if ended else min(LONGEST, 1.2 * pause)
            time.sleep(pause)

    def _look(self) -> bool:
        """Warn of workers that have failed; whether all that were started have ended."""
        if self.crew is None:
            return False
        alone, failures = self.crew.running() == 0, self.crew.failures()
        for failure in failures[self.said :]:
            if not alone:
                warnings.warn(f"sweep.run: a worker has ended, the others go on: {failure}", stacklevel=2)
        self.said = len(failures)
        return alone

    def _give_up(self, left: int, chunks: int) -> None:
        failures = self.crew.failures() if self.crew else []
        raise TransformationError(
            f"sweep.run: all workers have ended, and {left} of {chunks} chunks are not at their ends. The same call "
            f"goes on from what was saved. {failures[0] if failures else ''}".strip()
        )

    def dismiss(self) -> None:
        """End the workers: by themselves where the sweep is finished, and at once otherwise."""
        if self.crew is None:
            return
        patience = time.monotonic() + 10.0
        while self.meeting.is_finished and self.crew.running() and time.monotonic() < patience:
            time.sleep(SHORTEST)
        self.crew.stop()
