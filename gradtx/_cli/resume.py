"""The folder of a sweep before it runs: progress to resume, to read back, or to delete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gradtx._cli.words import many
from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.files import locked
from gradtx.sweep._run import Standing


def prepare(folder: Path, *, resume: bool, fresh: bool) -> None:
    """Delete the progress in a folder if it is to be ``fresh``.

    Raises `click.UsageError`: ``resume`` where there is nothing.
    """
    place = folder / "progress"
    if fresh:
        _delete(place)
    elif resume and not (place / "settings.json").exists():
        raise click.UsageError(f"--resume: there is no progress in {folder}: leave --resume out to start there")


def told(standing: Standing, steps: int, *, selects: bool) -> str:
    """Where a sweep stands before it trains, in words; empty at its beginning."""
    place = os.path.relpath(standing.place)
    if standing.kept is not None:
        new = standing.lanes - standing.kept
        begun = f"{many(standing.kept, 'lane')} of {standing.lanes:,} found in {place}"
        rest = f"{many(new, 'lane')} new" if new else "none is new"
        aside = f"; {many(standing.aside, 'lane')} there besides, kept as before-*" if standing.aside else ""
        return f"{begun}, {rest}{aside}"
    if standing.measured:
        return f"this sweep was finished: reading it back from {place}"
    if not standing.steps:
        return ""
    at = f"step {standing.steps // standing.lanes:,} of {steps:,}"
    if selects:
        at = f"the {standing.steps:,}th step of all lanes together"
    return f"going on from {at}, found in {place}"


@contextmanager
def hints(folder: Path) -> Iterator[None]:
    """Errors of the run about what is in the folder name the options that help."""
    try:
        yield
    except TransformationError as error:
        if str(folder.absolute() / "progress") in str(error):
            raise TransformationError(f"{error} (--fresh does that; --out names another folder)") from None
        raise


def _delete(place: Path) -> None:
    """Delete progress and nothing else. Progress of a running process is not deleted."""
    if not place.is_dir():
        return
    strange = [path.name for path in place.iterdir() if not _ours(path.name)]
    if strange:
        raise TransformationError(
            f"--fresh: {place} holds {strange[0]!r}, which is no progress of a sweep: nothing was deleted"
        )
    lock = locked(place / "lock")
    if lock is None:
        raise TransformationError(f"--fresh: another process is running the sweep in {place.parent}")
    lock.close()
    shutil.rmtree(place)


def _ours(name: str) -> bool:
    first = name.lstrip(".").partition(".")[0]
    return first in ("settings", "lock") or first.removeprefix("before-").isdigit()
