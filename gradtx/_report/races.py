"""Races of optimizers on a surface: the stage on which paths and losses grow (matplotlib)."""

from collections.abc import Callable
from typing import Any

import numpy as np

# Okabe and Ito's colours, which colour-blind readers can tell apart; lines differ in their dashes too.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
DASHES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)), "-."]
LEAST = 1e-12  # the end of a log scale of losses


def line_style(n: int) -> dict[str, Any]:
    """How the n-th line looks."""
    return {"color": COLOURS[n % len(COLOURS)], "ls": DASHES[n % len(DASHES)], "lw": 1.6}


def stage(plt: Any, surface: Any, paths: Any, losses: Any, title: str) -> tuple[Any, Callable[[int], None]]:
    """A figure with the surface and empty lines, and a function that draws the first steps of every path."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    heights = _ground(left, surface)
    many = len(paths)
    tracks = [left.plot([], [], label=name, **line_style(n))[0] for n, name in enumerate(paths)]
    heads = [left.plot([], [], "o", ms=6, mec="white", color=line_style(n)["color"], zorder=5)[0] for n in range(many)]
    falls = [right.plot([], [], **line_style(n))[0] for n in range(many)]
    marks = [[_arrow(ax, line_style(n)["color"]) for n in range(many)] for ax in (left, right)]
    _scale(right, losses, heights, max(len(path) for path in paths.values()))
    figure.legend(tracks, list(paths), loc="outside lower center", ncols=min(6, many), frameon=False)
    figure.suptitle(title)
    flat = len(surface.window) == 1

    def draw(count: int) -> None:
        for n, name in enumerate(paths):
            path, loss = paths[name][:count], losses[name][:count]
            points = np.stack([path[:, 0], loss if flat else path[:, 1]])
            fall = np.stack([np.arange(len(loss)), loss])
            tracks[n].set_data(*points)
            heads[n].set_data(*points[:, -1:])
            falls[n].set_data(*fall)
            for ax, mark, line in ((left, marks[0][n], points), (right, marks[1][n], fall)):
                _show_exit(ax, mark, line)

    return figure, draw


def _ground(ax: Any, surface: Any) -> np.ndarray:
    """Draw the surface, with its minima; return its heights."""
    (low, high), *other = surface.window
    x = np.linspace(low, high, 240)
    if other:
        y = np.linspace(other[0][0], other[0][1], 240)
        heights = np.asarray(surface.loss(np.stack(np.meshgrid(x, y))))
        spread = heights - heights.min()
        levels = np.unique(heights.min() + np.quantile(spread, np.linspace(0, 1, 28) ** 1.5))
        ax.contourf(x, y, heights, levels=levels, cmap="Greys", alpha=0.55)
        ax.contour(x, y, heights, levels=levels, colors="0.55", linewidths=0.4)
        ax.set(xlim=(low, high), ylim=other[0], xlabel="θ₁", ylabel="θ₂")
    else:
        heights = np.asarray(surface.loss(x[None]))
        ax.plot(x, heights, color="0.5", lw=1.2)
        room = 0.06 * float(np.ptp(heights))
        ax.set(xlim=(low, high), ylim=(heights.min() - room, heights.max() + room), xlabel="θ", ylabel="L(θ)")
    for minimum in surface.minima:
        ax.plot(*minimum, marker="*", ms=15, color=ax.xaxis.label.get_color(), ls="none", zorder=6)
    return heights


def _scale(ax: Any, losses: Any, heights: np.ndarray, steps: int) -> None:
    """The losses' axis: no higher than thrice where they begin, no lower than the surface that is drawn."""
    finite = np.concatenate([loss[np.isfinite(loss)] for loss in losses.values()])
    positive = finite.size > 0 and bool(finite.min() > 0)
    ax.set(xlabel="step", ylabel="loss", xlim=(0, max(steps - 1, 1)), yscale="log" if positive else "linear")
    if not finite.size:
        return
    first, least = float(next(iter(losses.values()))[0]), float(finite.min())
    if positive:
        ax.set_ylim(max(least, LEAST), 3 * max(first, LEAST))
        return
    low, high = max(least, float(heights.min())), max(first, min(float(finite.max()), float(heights.max())))
    room = 0.1 * (high - low or 1.0)
    ax.set_ylim(low - room, high + room)


# Lines that leave the frame -------------------------------------------------------------------------------------------


def leaves(line: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> tuple[float, float, str] | None:
    """Where a line of points (2 × n) leaves a window and does not return, and an arrow that points that way.

    >>> leaves(np.array([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]]), (-2.0, 2.0), (-1.0, 1.0))
    (2.0, 0.0, '>')
    """
    ends = np.array([x, y])
    with np.errstate(invalid="ignore"):
        inside = np.all((line >= ends[:, :1]) & (line <= ends[:, 1:]), axis=0)
    if inside[-1] or not inside.any():
        return None
    last = int(np.flatnonzero(inside)[-1])
    a, b = line[:, last], line[:, last + 1]
    wide = np.ptp(ends, axis=1)  # what is infinite, or no number, is somewhere beyond
    b = np.where(np.isnan(b) | (b == np.inf), ends[:, 1] + wide, np.where(b == -np.inf, ends[:, 0] - wide, b))
    share, side = 1.0, (1, 1)
    for axis in (0, 1):
        for end, edge in enumerate(ends[axis]):
            gone = b[axis] < edge if end == 0 else b[axis] > edge
            if gone and b[axis] != a[axis]:
                here = (edge - a[axis]) / (b[axis] - a[axis])
                if here <= share:
                    share, side = here, (axis, end)
    place = a + share * (b - a)
    return float(place[0]), float(place[1]), {(0, 0): "<", (0, 1): ">", (1, 0): "v", (1, 1): "^"}[side]


def _arrow(ax: Any, colour: str) -> Any:
    """An arrow at the frame that is not yet to be seen."""
    return ax.plot([], [], ls="none", ms=9, color=colour, mec="white", clip_on=False, zorder=7)[0]


def _show_exit(ax: Any, mark: Any, line: np.ndarray) -> None:
    scaled = line.astype(np.float64)
    (low, high), log = ax.get_ylim(), ax.get_yscale() == "log"
    if log:  # a straight line between two points is straight as it is drawn
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled[1] = np.log10(scaled[1])
        low, high = np.log10(low), np.log10(high)
    found = leaves(scaled, ax.get_xlim(), (low, high))
    if found is None:
        mark.set_data([], [])
        return
    mark.set_data([found[0]], [10.0 ** found[1] if log else found[1]])
    mark.set_marker(found[2])
