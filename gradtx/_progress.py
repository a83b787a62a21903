"""A progress bar for runs that take long (rich, imported when used)."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0  # seconds without a bar


@contextmanager
def progress(label: str, total: int, show: bool | None, *, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Yields ``advance(steps, note)``. The bar appears once the run has taken a second. ``done`` was there before.

    ``show=None`` shows it on a terminal where rich is installed, ``True`` always, ``False`` never.
    Raises `ImportError`: ``show=True`` without rich.
    """
    bar = _bar(show)
    task: Any = None
    began = time.monotonic()

    def advance(steps: int, note: str = "") -> None:
        nonlocal task, done
        done += steps
        if bar is not None and task is None and (show or time.monotonic() - began > PATIENCE):
            bar.start()
            task = bar.add_task(label, total=total, note="")
        if bar is not None and task is not None:
            bar.update(task, completed=done, note=note)

    try:
        yield advance
    finally:
        if bar is not None and task is not None:
            bar.stop()


def _bar(show: bool | None) -> Any:
    if show is False or (show is None and not sys.stderr.isatty()):
        return None
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        if show:
            raise ImportError("a progress bar needs rich: pip install 'gradtx[progress]'") from None
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
