"""What a callback is told between chunks of steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradtx._value.errors import TransformationError

Callback = Callable[["Progress"], Any]


@dataclass(frozen=True)
class Progress:
    """Where a run stands: ``step`` of ``steps``.

    ``loss``: the mean training loss of the last record; in a sweep one a lane, NaN where it has not begun or was
    dropped. ``best``: the lane with the lowest of them, None in `gradtx.fit` and where all diverged. ``curves``: what
    ``evaluate`` returned so far, one array per name; NaN for what is still to come.
    """

    step: int
    steps: int
    loss: np.ndarray
    best: int | None = None
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)


def check_callback(who: str, callback: Any) -> None:
    """Raise `TransformationError` for what is no function."""
    if callback is not None and not callable(callback):
        raise TransformationError(f"{who}: callback: expected a function of the progress, found {callback!r}")


def wants_to_stop(callback: Callback | None, progress: Callable[[], Progress]) -> bool:
    """Tell the callback; whether it returned True."""
    return callback is not None and callback(progress()) is True
