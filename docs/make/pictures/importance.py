"""What each number explains of the final loss: `gradtx.sweep.importance` of a grid with two seeds."""

import runpy
from pathlib import Path
from typing import Any


def draw() -> Any:
    """The figure."""
    import numpy as np

    import gradtx
    from gradtx import sweep

    problem = runpy.run_path(str(Path(__file__).parents[1] / "noisy_sine.py"))
    loss, network, data = (problem[name] for name in ("loss", "network", "data"))
    axes = {"learning_rate": np.geomspace(1e-3, 0.3, 6), "b1": [0.0, 0.5, 0.9], "eps": [1e-8, 1e-4]}
    population = sweep.grid(gradtx.adam, **axes, seeds=range(2))
    result = sweep.run(loss, network, population, data, steps=60, batch_size=50, progress=False)
    figure = sweep.importance(result, scale="rank").plot()
    figure.set_size_inches(6, 3.0)
    return figure
