"""A progress bar for runs that take long (rich, imported when used)."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0  # seconds without a bar


class Pace:
    """How far a run is, and how fast: ``done`` steps of ``total``, ``best`` the lowest loss so far.

    ``unit`` is the word for steps, ``of`` the word for the loss; ``higher`` says that a higher value is better.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        best: float = math.inf,
        *,
        unit: str = "steps",
        of: str = "loss",
        higher: bool = False,
    ):
        self.unit, self.of, self.pick = unit, of, max if higher else min
        self.total, self.done, self.best = total, done, best
        self.began = self.since = time.monotonic()
        self.start = self.base = done
        self.doing = ""  # what is waited for beside steps

    def advance(self, steps: int, loss: float, doing: str = "") -> None:
        """Count ``steps`` more, with ``loss`` the lowest loss among them; or say what is waited for beside steps."""
        self.doing = doing
        first, now = self.done == self.start, time.monotonic()
        self.done += steps
        if math.isfinite(loss):
            self.best = self.pick(self.best, loss) if math.isfinite(self.best) else loss
        if first and self.done < self.total:  # the time so far went mostly into compilation
            self.since, self.base = now, self.done

    @property
    def rate(self) -> float:
        """Steps per second, without those from before a resume; NaN until it is known."""
        seconds, steps = time.monotonic() - self.since, self.done - self.base
        return steps / seconds if steps and seconds > 0 else math.nan

    def words(self) -> list[str]:
        """Steps, rate, best loss, and the time left, or taken."""
        spent = time.monotonic() - self.began
        left = (self.total - self.done) / self.rate
        ended = self.done >= self.total
        return [
            f"{self.done:,}/{self.total:,} {self.unit}",
            "" if math.isnan(self.rate) else f"{per_second(self.rate)}",
            f"best {self.of} {self.best:.4g}" if math.isfinite(self.best) else "",
            self.doing
            if self.doing
            else f"in {clock(spent)}"
            if ended
            else ""
            if math.isnan(left)
            else f"{clock(left)} left",
        ]


@contextmanager
def progress(
    label: str, total: int, show: bool | None, *, done: int = 0, best: float = math.inf, **words: Any
) -> Iterator[Callable[..., None]]:
    """Yields ``advance(steps, loss)``, or ``advance(0, doing="...")`` for what is no step.

    The bar appears once the run has taken a second.

    A run that resumes has ``done`` steps and a ``best`` loss already. ``show=None`` shows the bar on a terminal where
    rich is installed, ``True`` always (without a terminal, as one line at the end), ``False`` never. ``words`` as in
    `Pace`. Raises `ImportError`: ``show=True`` without rich.
    """
    pace, bar = Pace(total, done, best, **words), _bar(show)
    task: Any = None

    def advance(steps: int, loss: float = math.nan, doing: str = "") -> None:
        nonlocal task
        pace.advance(steps, loss, doing)
        if bar is None or not bar.console.is_terminal:
            return
        if task is None and (show or time.monotonic() - pace.began > PATIENCE):
            bar.start()
            task = bar.add_task(label, total=total, words="")
        if task is not None:
            bar.update(task, completed=pace.done, words="  ".join(word for word in pace.words() if word))

    try:
        yield advance
    finally:
        pace.doing = ""
        if bar is not None and task is not None:
            bar.update(task, completed=pace.done, words="  ".join(word for word in pace.words() if word))
            bar.stop()
        elif show and pace.done > done:
            print(f"{label}: {', '.join(word for word in pace.words() if word)}", file=sys.stderr)


def per_second(rate: float) -> str:
    """A rate in words.

    >>> per_second(12345.6), per_second(3.21), per_second(2.5e6)
    ('12.3 k/s', '3.21/s', '2.5 M/s')
    """
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rate >= unit:
            return f"{rate / unit:.3g}{name}/s"
    return f"{rate:.3g}/s"


def clock(seconds: float) -> str:
    """A time in words.

    >>> clock(0.43), clock(75), clock(7322)
    ('0.4 s', '1:15', '2:02:02')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(show: bool | None) -> Any:
    if show is False or (show is None and not sys.stderr.isatty()):
        return None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:
        if show:
            raise ImportError("a progress bar needs rich: pip install 'gradtx[progress]'") from None
        return None
    columns = TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[words]}")
    return Progress(*columns, console=Console(stderr=True))
