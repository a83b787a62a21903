"""The folder of a sweep before it runs: progress to resume, to read back, or to delete."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from gradtx._cli.asked import Task
from gradtx._value.errors import TransformationError
from gradtx.sweep import Population
from gradtx.sweep._disk import storage
from gradtx.sweep._disk.identity import transformations_of
from gradtx.sweep._engine.plan import ends_of


def prepare(task: Task, population: Population, console: Console, *, resume: bool, fresh: bool) -> bool:
    """Say which progress is resumed, or delete it. Returns whether the sweep is finished already.

    Raises `click.UsageError`: ``resume`` where there is nothing.
    """
    folder, select = task.folder, task.training.get("select")
    place = folder / "progress"
    if fresh:
        _delete(place)
        return False
    found = _standing(place)
    if found is None:
        if resume:
            raise click.UsageError(f"--resume: there is no progress in {folder}: leave --resume out to start there")
        return False
    where, settings = found
    if not _is_this(settings, population, task):
        return False  # the run itself will say what is different
    if where is None:
        console.print(f"{place} has no checkpoint yet: starting from step 0", markup=False)
        return False
    if where["round"] >= len(ends_of(select, task.steps, population.size)):
        console.print(f"this sweep was finished: reading it back from {place}", markup=False)
        return True
    at = f"step {where['spent'] // population.size} of {task.steps}"
    if select is not None:
        at = f"the {where['spent']:,}th step of all lanes together"
    console.print(f"going on from {at}, found in {place}", markup=False)
    return False


@contextmanager
def hints(folder: Path) -> Iterator[None]:
    """Errors of the run about what is in the folder name the options that help."""
    try:
        yield
    except TransformationError as error:
        if str(folder.absolute() / "progress") in str(error):
            raise TransformationError(f"{error} (--fresh does that; --out names another folder)") from None
        raise


def _standing(place: Path) -> tuple[dict[str, Any] | None, dict[str, Any]] | None:
    """The place of the newest checkpoint, and the settings of its sweep. None if there is no progress."""
    try:
        settings = json.loads((place / "settings.json").read_text(encoding="utf-8"))
        done = sorted((int(file.stem) for file in place.glob("*.json") if file.stem.isdigit()), reverse=True)
        where = json.loads((place / f"{done[0]}.json").read_text(encoding="utf-8"))["where"] if done else None
        return where, dict(settings)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None, {}


def _is_this(settings: Mapping[str, Any], population: Population, task: Task) -> bool:
    """Whether the progress belongs to this sweep, as far as that is known before it runs."""
    own = task.training
    here = {"steps": task.steps, "batch_size": own.get("batch_size"), "seed": task.seed}
    here |= {"lanes": population.size, "select": repr(own.get("select")), "patience": own.get("patience")}
    here |= {"transformations": transformations_of(population)}
    return all(settings.get(name) == x for name, x in here.items())


def _delete(place: Path) -> None:
    """Delete progress and nothing else. Progress of a running process is not deleted."""
    if not place.is_dir():
        return
    strange = [path.name for path in place.iterdir() if not _ours(path.name)]
    if strange:
        raise TransformationError(
            f"--fresh: {place} holds {strange[0]!r}, which is no progress of a sweep: nothing was deleted"
        )
    storage._locked(place / "lock").close()
    shutil.rmtree(place)


def _ours(name: str) -> bool:
    first = name.lstrip(".").partition(".")[0]
    return first in ("settings", "lock") or first.isdigit()
