"""The heat map of a sweep: the error over learning rate and b1."""

import runpy
from pathlib import Path
from typing import Any


def draw() -> Any:
    """The figure."""
    from matplotlib import pyplot as plt

    from gradtx._report.axes import axes_of, grid_axes
    from gradtx.plot import heat_map

    problem = runpy.run_path(str(Path(__file__).parents[1] / "noisy_sine.py"))
    result = problem["swept"]()
    figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
    heat_map(ax, result, *grid_axes(axes_of(result), len(result.points)))
    return figure
