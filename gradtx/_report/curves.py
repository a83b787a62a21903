"""The curves of all lanes in the page: as many points as it has room for, in compressed bytes."""

import base64
import gzip
from typing import Any

import numpy as np

from gradtx._report.axes import smooth

POINTS = 150_000  # of all lanes together
FEWEST, MOST = 60, 600  # points of a lane
KEPT = 0xFFFFFF00  # bits of a float32: all but the last eight of the mantissa, an error of 2⁻¹⁶


def shortened(loss: np.ndarray, record_every: int) -> tuple[np.ndarray, np.ndarray]:
    """The steps and the losses to draw, as means over equal parts of the run where there are more than have room."""
    points = min(MOST, max(FEWEST, POINTS // len(loss)))
    return smooth(loss, record_every, points)


def packed(values: np.ndarray) -> str:
    """Numbers to five digits: the bytes of float32, first the highest byte of all, compressed, as text.

    >>> len(packed(np.zeros((128, 500)))) < 300
    True
    """
    single = np.ascontiguousarray(values, np.float32)
    bits = single.view(np.uint32).astype(np.uint64)
    rounded = np.where(np.isfinite(single), bits + 0x80, bits) & KEPT
    planes = [(rounded >> shift & 0xFF).astype(np.uint8) for shift in (24, 16, 8)]
    return base64.b64encode(gzip.compress(np.stack(planes).tobytes(), mtime=0)).decode()


def drawn(result: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What is drawn over the steps, by its name: the training loss, and the held-out curves where there are some."""
    found = {"training loss": shortened(result.loss, result.record_every)}
    for name, values in result.curves.items():
        found[name] = np.asarray(result.evaluated, np.float64), np.asarray(values, np.float64)
    return found
