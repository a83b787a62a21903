"""A worker: it claims one chunk after the other, and trains it from the last save of whoever had it before."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.files import write_whole, writing
from gradtx.sweep._disk.owners import in_words, new_owner
from gradtx.sweep._disk.snapshot import restore, snapshot
from gradtx.sweep._engine.outcome import losses
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engines import gpus
from gradtx.sweep._engines.chunks import ChunkCourse, part_of
from gradtx.sweep._engines.compiling import as_at_the_caller, counted, first
from gradtx.sweep._engines.leases import Lease, Lost, Watch
from gradtx.sweep._engines.meeting import Meeting, Place
from gradtx.sweep._engines.sending import received

WAIT = 0.2  # seconds between looks for new chunks


def work(folder: str | Path) -> dict[str, Any]:
    """Train chunks of the sweep in a folder until there are none left. Returns what was done, as `workers` has it.

    This is what every worker of an engine runs, and ``python -m gradtx worker FOLDER``. Workers may join and leave at
    any time, from any machine that sees the folder and has the same versions of Python, JAX, gradtx and the loss. A
    worker waits where others have all chunks, and ends with the sweep, or where nobody is left who would begin the next
    round. The sweep is pickled in the folder: join only folders that you trust.

    Raises `TransformationError`: no sweep was begun there; another version of something; another kind of device than
    that of the other workers; a GPU that another worker has.
    """
    meeting, watch = Meeting(folder), Watch()
    if not meeting.exists():
        raise TransformationError(
            f"worker: {meeting.folder} holds no sweep for workers: begin one with sweep.run(..., folder=, engine=)"
        )
    with as_at_the_caller(meeting.settings["options"], meeting.place / "compiled"):
        _, plan = received(meeting)
        with equipped(meeting, plan, watch) as worker:
            while not meeting.is_finished:
                if not worker.step():
                    if watch.owner_of(meeting.place / "caller") is None and not worker.left():
                        break
                    time.sleep(WAIT)
            return worker.done


def workers(folder: str | Path) -> list[dict[str, Any]]:
    """What each worker of a sweep has done: its machine and device, chunks, lanes, steps, seconds, and programs.

    ``compiled`` programs it compiled itself, ``read`` ones came from the compilation cache that all workers share.
    """
    files = sorted((Meeting(folder).place / "workers").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


class Worker:
    """The work of one process. ``done`` is what it has done so far."""

    def __init__(self, meeting: Meeting, plan: Plan, watch: Watch):
        self.meeting, self.plan, self.watch = meeting, plan, watch
        self.began, self.before = time.monotonic(), counted()
        self.together: dict[int, dict[int, int]] = {}
        self.round, self.places = -1, list[Place]()
        self.owner = new_owner()
        device = plan.devices[0]
        self.done: dict[str, Any] = {
            "worker": in_words(self.owner), "device": device.device_kind, "chunks": 0, "lanes": 0, "steps": 0,
            "seconds": 0.0, "compiled": 0, "read": 0,
        }  # fmt: skip

    def left(self) -> list[Place]:
        """The chunks of the newest round that are not at its end."""
        while (found := self.meeting.round(self.round + 1)) is not None:
            self.round, self.places = self.round + 1, found
        self.places = [place for place in self.places if not place.done()]
        return self.places

    def step(self) -> bool:
        """Claim a chunk and train it; False where others have all that are left."""
        for place in self.left():
            lease = self.watch.claim(place.folder)
            if lease is None:
                continue
            try:
                with lease.held():
                    self._train(place, lease)
            except Lost:  # it was taken for dead
                pass
            return True
        return False

    def _train(self, place: Place, lease: Lease) -> None:
        chunk, plan = place.chunk, self.plan
        course = ChunkCourse(part_of(plan, chunk, self.meeting.settings["lanes"]))
        course.together = self.together.setdefault(chunk.group, course.together)
        storage, saved = place.storage(str(lease.number)), place.newest()
        lasts = time.monotonic()
        with first(self.meeting.place / "compiling" / str(chunk.group), self.watch) as alone:
            if saved is None:
                course.begin()
            else:
                restore(course, *saved)
            going = course.go()
            next(going, None)
            if alone:
                course.measure(course.units())
        for _ in going:
            if time.monotonic() - lasts >= plan.save_every:
                self._save(course, storage, lease)
                lasts = time.monotonic()
        course.measure(course.units())
        self._save(course, storage, lease)
        found = losses(course)
        best = float(np.min(found, initial=np.inf, where=np.isfinite(found)))
        place.end(lease.number, course.spent, best)
        self._tell(len(chunk.lanes), course.spent)

    def _save(self, course: ChunkCourse, storage: Any, lease: Lease) -> None:
        """Save, unless the lease is another's; also an error on the way may only mean that it is."""
        lease.check()
        try:
            storage.save(*snapshot(course))
        except Exception:
            lease.check()
            raise
        lease.check()

    def _tell(self, lanes: int, steps: int) -> None:
        """Write down what this worker has done."""
        done, now = self.done, counted()
        done |= {"chunks": done["chunks"] + 1, "lanes": done["lanes"] + lanes, "steps": done["steps"] + steps}
        done |= {"compiled": now[0] - self.before[0], "read": now[1] - self.before[1]}
        done["seconds"] = round(time.monotonic() - self.began, 3)
        file = self.meeting.place / "workers" / f"{self.owner.replace(' ', '-').replace('/', '-')}.json"
        with writing(file.parent):
            write_whole(file, json.dumps(done))


@contextmanager
def equipped(meeting: Meeting, plan: Plan, watch: Watch) -> Iterator[Worker]:
    """A worker with the devices of this process. Raises `TransformationError` where they cannot be used."""
    _agree_on_platform(meeting, plan.devices[0].platform)
    with gpus.held(meeting.place / "gpus", watch, jax.local_devices(), os.environ):
        yield Worker(meeting, plan, watch)


def _agree_on_platform(meeting: Meeting, platform: str) -> None:
    """The first worker says on which kind of device the sweep is trained; raise where this one has another."""
    place = meeting.place / "platform"
    with writing(meeting.place), suppress(FileExistsError), open(place, "x", encoding="utf-8") as file:
        file.write(platform)
    there = place.read_text(encoding="utf-8") or platform  # empty for the moment in which it is written
    if there != platform:
        raise TransformationError(
            f"worker: the sweep in {meeting.folder} is trained on {there}, and this worker has {platform}: bits would "
            f"differ: set JAX_PLATFORMS, or give it a machine with {there}"
        )
