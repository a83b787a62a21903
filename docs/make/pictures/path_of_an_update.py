"""The path of an update."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def draw() -> Figure:
    """A chain with its two signals."""
    figure, ax = plt.subplots(layout="constrained")
    ax.plot([0, 1], [0, 1])
    return figure
