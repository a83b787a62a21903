"""Runs of four lengths that share their trunk: `gradtx.sweep.horizons`."""

import runpy
from pathlib import Path
from typing import Any


def draw() -> Any:
    """The figure."""
    import gradtx
    from gradtx import sweep

    def make(length: int) -> Any:
        down = length // 5
        return gradtx.adam(gradtx.warmup_stable_decay_schedule(0.0, 0.1, 10, length - 10 - down, down))

    problem = runpy.run_path(str(Path(__file__).parents[1] / "noisy_sine.py"))
    loss, network, data = (problem[name] for name in ("loss", "network", "data"))
    lengths = [50, 100, 200, 400]
    found = sweep.horizons(loss, network, make, data, lengths=lengths, batch_size=20, record_every=5, progress=False)
    figure = found.plot()
    figure.set_size_inches(6, 3.5)
    return figure
