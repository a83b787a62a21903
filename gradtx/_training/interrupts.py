"""Ctrl-C while a run can still save: it ends at its next stop, and not in the middle of a step."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts(wanted: bool = True) -> Iterator[list[int]]:
    """Yields a list that is empty until Ctrl-C is pressed; pressed again, it interrupts at once.

    Without ``wanted``, and outside of the main thread, where signals cannot be caught, Ctrl-C does what it did.
    """
    found: list[int] = []
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield found
        return

    def asked(number: int, frame: Any) -> None:
        found.append(number)
        signal.signal(signal.SIGINT, before)
        print("stopping: the progress is saved first; Ctrl-C again stops at once", file=sys.stderr)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, asked)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
