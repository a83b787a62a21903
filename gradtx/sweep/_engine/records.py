"""Records of the training loss: sums over so many steps of every lane, and the means that they stand for."""

from collections.abc import Sequence

import numpy as np

from gradtx._training.chunks import CHUNKS


def means(sums: np.ndarray, steps: np.ndarray, every: int) -> np.ndarray:
    """The mean loss of every record, NaN after the end of a lane.

    >>> means(np.array([[6.0, 5.0, 0.0]]), np.array([4]), 3)
    array([[ 2.,  5., nan]])
    """
    starts = np.arange(sums.shape[1]) * every
    counts = np.clip(steps[:, None] - starts, 1, every).astype(sums.dtype)
    return np.where(starts < steps[:, None], sums / counts, np.nan)


def last_means(sums: np.ndarray, steps: np.ndarray, every: int, lanes: Sequence[int]) -> np.ndarray:
    """The mean loss of the last record of lanes.

    >>> last_means(np.array([[6.0, 5.0, 0.0]]), np.array([4]), 3, [0])
    array([5.])
    """
    record = np.maximum(steps[lanes] - 1, 0) // every
    return sums[lanes, record] / np.maximum(steps[lanes] - record * every, 1).astype(sums.dtype)


def last_sums(sums: np.ndarray, steps: np.ndarray, every: int) -> np.ndarray:
    """The sum of the record that every lane was in when it stopped: not finite where it diverged there."""
    record = np.minimum(steps // every, sums.shape[1] - 1)
    return sums[np.arange(len(record)), record]


def recent_means(sums: np.ndarray, steps: np.ndarray, every: int, lanes: Sequence[int]) -> np.ndarray:
    """The mean loss of lanes over the records that the last fiftieth of all steps touches.

    >>> recent_means(np.array([[6.0, 5.0, 0.0]]), np.array([4]), 3, [0])
    array([5.])
    """
    sums, steps = sums[lanes], steps[lanes]
    records = np.arange(sums.shape[1])
    first = np.maximum(0, -(-steps // every) - -(-sums.shape[1] // CHUNKS))
    taken = np.where((first[:, None] <= records) & (records <= steps[:, None] // every), sums, 0)
    return (np.sum(taken, axis=1) / np.maximum(1, steps - first * every)).astype(sums.dtype)
