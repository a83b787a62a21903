"""Leases: which worker may train a chunk, agreed on by files alone, on any disk that all workers see.

A lease is a folder whose name is its number. To make a folder is atomic, also on a network's file system, so of several
workers that ask for the same number one gets it. Its owner says that it is alive by touching a file in it. Where that
file stops changing, or its owner is a process of this machine that has ended, the next number is free. An owner writes
into the folder of its own lease and nowhere else, so one that was taken for dead and wakes up harms nobody.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gradtx.sweep._disk.files import write_whole
from gradtx.sweep._disk.owners import in_words, is_dead, new_owner

BEAT, GRACE = 10.0, 90.0  # seconds: how often an owner says that it is alive, and after which silence it is dead


class Lost(Exception):
    """Raised in a worker whose lease has become another's."""


@dataclass(frozen=True)
class Lease:
    """A lease of what ``place`` stands for, under a number that grows with every owner."""

    place: Path
    number: int

    @property
    def folder(self) -> Path:
        """Where its owner writes."""
        return self.place / str(self.number)

    def check(self) -> None:
        """Raise `Lost` if there is a newer lease."""
        if newest(self.place) != self.number:
            raise Lost(str(self.folder))

    @contextmanager
    def held(self, every: float = BEAT) -> Iterator["Lease"]:
        """Keep saying that the owner is alive until the block ends; then the lease is free."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(every):
                with suppress(OSError):  # a disk that does not answer may do so again
                    os.utime(self.folder / "owner")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
            with suppress(OSError):
                (self.folder / "ended").touch()


class Watch:
    """What one process has seen of the leases of others: clocks of different machines are never compared."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, grace: float = GRACE):
        self.clock, self.grace = clock, grace
        self.seen: dict[Path, tuple[int, float]] = {}

    def is_free(self, lease: Path) -> bool:
        """Whether a lease has ended, or its owner has."""
        if (lease / "ended").exists():
            return True
        owner, beat = _read(lease)
        if owner and is_dead(owner):
            return True
        now = self.clock()
        before, since = self.seen.get(lease, (None, now))
        if before != beat:
            self.seen[lease] = beat, now
            return False
        return now - since >= self.grace

    def claim(self, place: Path) -> Lease | None:
        """A lease of a place; None while another owner is alive."""
        last = newest(place)
        if last and not self.is_free(place / str(last)):
            return None
        lease = Lease(place, last + 1)
        try:
            os.mkdir(lease.folder)
        except FileExistsError:  # another was faster
            return None
        write_whole(lease.folder / "owner", new_owner())
        return lease

    def owner_of(self, place: Path) -> str | None:
        """Who holds the lease of a place, in words; None if nobody does."""
        last = newest(place)
        if not last or self.is_free(place / str(last)):
            return None
        owner, _ = _read(place / str(last))
        return in_words(owner) if owner else "a process that has just begun"


def newest(place: Path) -> int:
    """The number of the newest lease of a place; 0 if there was none yet."""
    return max(numbers(place), default=0)


def numbers(place: Path) -> list[int]:
    """The numbers of all leases of a place, the newest first."""
    return sorted((int(name) for name in os.listdir(place) if name.isdigit()), reverse=True)


def _read(lease: Path) -> tuple[str, int]:
    """The owner of a lease, and when it last said that it was alive, by the clock of the disk; or nothing yet."""
    try:
        with open(lease / "owner", encoding="utf-8") as file:  # what was opened is not what a network remembers
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return "", 0
