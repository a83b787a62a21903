"""What `gradtx.sweep.lr_finder` sees: the loss at the end of 64 short runs over their learning rates."""

import runpy
from pathlib import Path
from typing import Any


def draw() -> Any:
    """The figure."""
    import gradtx
    from gradtx import sweep

    problem = runpy.run_path(str(Path(__file__).parents[1] / "noisy_sine.py"))
    loss, network, data = (problem[name] for name in ("loss", "network", "data"))
    found = sweep.lr_finder(loss, network, gradtx.sgd, data, steps=50, batch_size=50, low=1e-4, progress=False)
    figure = found.plot()
    figure.set_size_inches(6, 3.5)
    return figure
