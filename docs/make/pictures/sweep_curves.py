"""The curves of a sweep: 24 Adams learn a sine from noisy points."""

import runpy
from pathlib import Path
from typing import Any


def draw() -> Any:
    """The figure."""
    from matplotlib import pyplot as plt

    from gradtx._report.axes import axes_of
    from gradtx.plot import curves

    problem = runpy.run_path(str(Path(__file__).parents[1] / "noisy_sine.py"))
    result = problem["swept"]()
    figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
    curves(ax, result, axes_of(result))
    return figure
