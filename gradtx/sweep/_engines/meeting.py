"""Where the caller of a sweep and its workers meet: the folder ``chunks`` in the folder of the sweep.

- ``sweep.json``: which sweep it is, what it was begun with, and how many lanes a chunk has. ``request``: the sweep
  itself, pickled.
- ``<round>/chunks.json``: the chunks of a round. It is written after all else that the round begins with.
- ``<round>/<chunk>/``: the leases of a chunk, a folder each, with the progress that its owner saved; there is a
  ``done`` beside the progress of a chunk that is at the end of its round. ``begin/``: what it begins with.
- ``caller/``, ``gpus/``, ``compiling/``: leases of other things. ``workers/``: what each worker did. ``compiled/``: the
  compiled programs, unless JAX has been given another folder for them. ``finished``: no more work will come.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.differences import differences
from gradtx.sweep._disk.files import write_whole, writing
from gradtx.sweep._disk.folders import local_folder, made_folder
from gradtx.sweep._disk.storage import Storage
from gradtx.sweep._engines.chunks import Chunk, State
from gradtx.sweep._engines.leases import numbers

ROOM = "chunks"


class Meeting:
    """The folder in which a sweep is shared out."""

    def __init__(self, folder: Any):
        self.folder = local_folder("sweep.run", folder).absolute()
        self.place = self.folder / ROOM

    def exists(self) -> bool:
        """Whether a sweep was begun here."""
        return (self.place / "sweep.json").exists()

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Which sweep it is: ``identity``, ``versions``, ``options`` of JAX, ``lanes`` of a chunk, ``path``."""
        return json.loads((self.place / "sweep.json").read_text(encoding="utf-8"))

    def begin(self, settings: dict[str, Any], request: bytes) -> None:
        """Write down which sweep it is, or raise `TransformationError` where another one is here."""
        if (self.folder / "progress" / "settings.json").exists():
            raise TransformationError(
                f"sweep.run: {self.folder} holds the progress of a sweep that one machine trains: go on with "
                "engine='local', or give another folder"
            )
        if self.exists():
            what = differences(self.settings["identity"], json.loads(json.dumps(settings["identity"])))
            if what:
                raise TransformationError(
                    f"sweep.run: {self.folder} holds another sweep: {what}. Nothing was changed: give another folder, "
                    f"or delete {self.place} to start anew"
                )
            return
        for name in ("caller", "gpus", "compiling", "workers"):
            made_folder("sweep.run", self.place / name)
        with writing(self.place):
            write_whole(self.place / "request", request)
            write_whole(self.place / "sweep.json", json.dumps(settings))

    # Rounds and chunks ------------------------------------------------------------------------------------------------

    def open(self, number: int, chunks: Sequence[Chunk], state_of: Callable[[Chunk], State | None]) -> list["Place"]:
        """Begin a round, each chunk from its state, or from nothing. A round that was begun before stays as it is."""
        found = self.round(number)
        if found is None:
            for n, chunk in enumerate(chunks):
                place = Place(self, number, n, chunk)
                made_folder("sweep.run", place.folder)
                state = None if place.begins() else state_of(chunk)
                if state is not None:
                    place.storage("begin").save(*state)
            with writing(self.place):
                write_whole(self.place / str(number) / "chunks.json", json.dumps([asdict(chunk) for chunk in chunks]))
            found = [Place(self, number, n, chunk) for n, chunk in enumerate(chunks)]
        if [place.chunk for place in found] != list(chunks):
            raise TransformationError(
                f"sweep.run: {self.place / str(number)} is damaged: its chunks are not those of this sweep. Nothing "
                f"was changed: put back a copy of it, or delete {self.place} to start anew"
            )
        return found

    def round(self, number: int) -> list["Place"] | None:
        """The chunks of a round; None where it has not begun."""
        try:
            found = json.loads((self.place / str(number) / "chunks.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return [Place(self, number, n, Chunk(**x | {"lanes": tuple(x["lanes"])})) for n, x in enumerate(found)]

    @property
    def is_finished(self) -> bool:
        """Whether no more work will come."""
        return (self.place / "finished").exists()

    def finish(self) -> None:
        """Say that no more work will come."""
        with writing(self.place):
            write_whole(self.place / "finished", "")


def refuse_chunks(folder: Any) -> None:
    """Raise `TransformationError` where a folder holds a sweep of workers."""
    meeting = Meeting(folder)
    if meeting.exists():
        raise TransformationError(
            f"sweep.run: {meeting.folder} holds the progress of a sweep that workers train: go on with an engine "
            "(engine='folder' trains its chunks here), or give another folder"
        )


class Place:
    """Where the leases and the progress of one chunk are."""

    def __init__(self, meeting: Meeting, round_: int, number: int, chunk: Chunk):
        self.name, self.chunk = f"{round_}/{number}", chunk
        self.folder = meeting.place / str(round_) / str(number)

    def done(self) -> dict[str, Any] | None:
        """What its worker said at the end of the chunk: the ``lease``, the ``steps``, the ``best`` loss; or None."""
        for n in numbers(self.folder):
            try:
                return json.loads((self.folder / str(n) / "done").read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue
        return None

    def begins(self) -> bool:
        """Whether what the chunk begins with was saved."""
        return any((self.folder / "begin" / "progress").glob("[0-9]*.json"))

    def end(self, lease: int, steps: int, best: float) -> None:
        """Say that the chunk is at its end, and remove what is not needed any more."""
        told = {"lease": lease, "steps": steps, "best": best if np.isfinite(best) else None}
        with writing(self.folder):
            write_whole(self.folder / str(lease) / "done", json.dumps(told))
        for name in ("begin", *(str(n) for n in numbers(self.folder) if n < lease)):
            shutil.rmtree(self.folder / name / "progress", ignore_errors=True)

    def storage(self, name: str) -> Storage:
        """Where states are saved: under the number of a lease, or as the beginning."""
        storage = Storage(self.folder / name, {"chunk": self.name}, locks=False)
        storage.open()
        return storage

    def load(self, name: str) -> State | None:
        """The state under a name; None where nothing was saved."""
        return Storage(self.folder / name, {"chunk": self.name}, writes=False).load()

    def newest(self) -> State | None:
        """The newest state that any owner saved, or that the chunk begins with; None where it begins with nothing."""
        return _again(self._newest)

    def _newest(self) -> State | None:
        for name in (*map(str, numbers(self.folder)), "begin"):
            found = self.load(name)
            if found is not None:
                return found
        return None

    def result(self) -> State:
        """The state at the end of the chunk. Raises `TransformationError` where it is gone."""
        return _again(self._result)

    def _result(self) -> State:
        told = self.done()
        found = self.load(str(told["lease"])) if told else None
        if found is None:
            raise TransformationError(f"sweep.run: {self.folder} is damaged: what its worker saved is gone")
        return found


def _again(read: Callable[[], Any]) -> Any:
    """What is read, at the third attempt at the latest: an owner that was taken for dead may just be writing."""
    for _ in range(2):
        with suppress(TransformationError):
            return read()
    return read()
