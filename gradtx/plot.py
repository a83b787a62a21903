"""Pictures (matplotlib, imported when used).

Colours are viridis, which a colour-blind reader can tell apart and which prints in grey; what is best is drawn in the
colour of the text, black if not said otherwise.
"""

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from gradtx._report.axes import (
    TRANSFORMATION,
    Axis,
    axes_of,
    grid_axes,
    logarithmic,
    shades_of,
    short,
    smooth,
    title,
    top_of,
    transformations,
    words,
)
from gradtx._report.canvas import NEAT, ink, pyplot
from gradtx._report.races import COLOURS, line_style, stage

__all__ = ["animate_race", "averages", "curves", "heat_map", "race", "save_sweep", "schedules", "sweep"]


def __dir__() -> list[str]:
    return __all__


def sweep(result: Any, *, metric: str | None = None, better: str | None = None) -> Any:
    """A sweep as a figure: the curves of its lanes, and beside them a heat map where its points are a grid of two axes.

    What was evaluated during training stands between them, one picture a metric.

    ``metric`` is what lanes are ranked by and the heat map shows, a column of the sweep's table, and ``better`` is
    "lower" or "higher": those of the sweep if not given.
    """
    result = result.ranked_by(metric, better)
    axes = axes_of(result)
    grid = grid_axes(axes, len(result.points))
    draw = [lambda ax: curves(ax, result, axes)]
    draw += [lambda ax, name=name: evaluations(ax, result, axes, name) for name in result.curves]
    draw += [lambda ax: heat_map(ax, result, *grid)] if grid else []
    plt = pyplot()
    with plt.rc_context(NEAT):
        size = (6.25 * len(draw) if len(draw) > 1 else 6.5, 4.6)
        figure, places = plt.subplots(1, len(draw), figsize=size, squeeze=False, layout="constrained")
        for ax, one in zip(places[0], draw, strict=True):
            one(ax)
    return figure


def save_sweep(result: Any, folder: Path, *, metric: str | None = None, better: str | None = None) -> list[Path]:
    """Write ``curves.png`` and, for a grid of two axes, ``heatmap.png``; return what was written.

    ``curves_<metric>.png`` is of what was evaluated during training.
    """
    plt = pyplot()
    result = result.ranked_by(metric, better)
    axes = axes_of(result)
    grid = grid_axes(axes, len(result.points))
    pictures = {"curves.png": lambda ax: curves(ax, result, axes)}
    for name in result.curves:
        pictures[f"curves_{_file_name(name)}.png"] = lambda ax, name=name: evaluations(ax, result, axes, name)
    for old in folder.glob("curves_*.png"):
        old.unlink()
    if grid:
        pictures["heatmap.png"] = lambda ax: heat_map(ax, result, *grid)
    (folder / "heatmap.png").unlink(missing_ok=True)
    for name, draw in pictures.items():
        with plt.rc_context(NEAT):
            figure, ax = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
            draw(ax)
            figure.savefig(folder / name)
            plt.close(figure)
    return [folder / name for name in pictures]


def curves(ax: Any, result: Any, axes: list[Axis]) -> None:
    """The training loss of every lane on a log scale, coloured by the axis that varies first, the best lane in bold.

    Noise of the mini-batches is averaged out over a fiftieth of the run. A curve ends where its lane did.
    """
    plt = pyplot()
    steps, losses = smooth(result.loss, result.record_every)
    losses, floor = logarithmic(losses)
    axis = axes[0] if axes else None
    shades, colour, norm = _shades(axis, len(losses))
    for shade, loss in zip(shades, losses, strict=True):
        ax.plot(steps, loss, _alone(loss), color=shade, lw=0.9, alpha=0.8)
    best = result.order[0]
    if np.isfinite(result.score[best]):
        which = f"{'lowest' if result.better == 'lower' else 'highest'} {title(result.metric)}"
        label = textwrap.fill(f"{which}: {_described(result, best, axes)}", 58)
        ax.plot(steps, losses[best], _alone(losses[best]), color=ink(), lw=2.2, label=_plain(label))
    else:
        ax.plot([], [], " ", label="all lanes diverged")
    lanes = len(result.points)
    scale = "linear" if floor is None else "log"
    heading = f"{lanes} lane{'s' * (lanes != 1)}"
    ax.set(xlabel="step", ylabel="training loss", yscale=scale, title=heading)
    if floor is not None:  # a lane that blows up does not squeeze the others
        ax.set_ylim(floor, top_of(result.loss, floor))
        if np.any(result.loss == 0):
            ax.annotate(
                "0", (0, floor), (-6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right"
            )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    if axis is not None:
        bar = ax.figure.colorbar(plt.cm.ScalarMappable(norm, colour), ax=ax, label=_plain(title(axis.name)))
        if axis.labels:
            few = np.unique(np.linspace(0, len(axis.labels) - 1, min(12, len(axis.labels))).astype(int))
            bar.set_ticks(few, labels=[_plain(_cut(axis.labels[n])) for n in few])
            bar.minorticks_off()


def evaluations(ax: Any, result: Any, axes: list[Axis], name: str) -> None:
    """What was evaluated during training, one curve a lane in the colours of `curves`, the best lane in bold."""
    column, steps, best = result.curves[name], result.evaluated, result.order[0]
    shades, _, _ = _shades(axes[0] if axes else None, len(column))
    for shade, values in zip(shades, column, strict=True):
        ax.plot(steps, values, "." if np.sum(np.isfinite(values)) == 1 else "-", color=shade, lw=0.9, alpha=0.8)
    if np.isfinite(result.score[best]):
        ax.plot(steps, column[best], ".-", color=ink(), lw=2.2)
    ax.set(xlabel="step", ylabel=_plain(title(name)), title=f"{_plain(title(name))} during training")


def _shades(axis: Axis | None, lanes: int) -> tuple[list[Any], Any, Any]:
    """The colour of each lane, by the axis that varies first; and the colour map and the scale of that axis."""
    colour = pyplot().get_cmap("viridis")
    if axis is None:
        return [colour(0.5)] * lanes, colour, None
    norm = _norm(axis)
    colour = colour.resampled(len(axis.labels)) if axis.labels else colour
    return [colour(norm(x)) if np.isfinite(x) else "0.6" for x in axis.values], colour, norm


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def heat_map(ax: Any, result: Any, x: Axis, y: Axis) -> None:
    """One cell a lane: the metric over two axes of the grid, the best cell framed; lanes that diverged stay grey."""
    plt = pyplot()
    xs, ys = np.unique(x.values).tolist(), np.unique(y.values).tolist()
    cells = np.full((len(ys), len(xs)), np.nan)
    for n, value in enumerate(result.score):
        cells[ys.index(y.values[n]), xs.index(x.values[n])] = value
    ax.set_facecolor("0.8")
    low = result.better == "lower"
    least, most = shades_of(cells, result.better)
    shades = {"vmin": least, "vmax": most, "cmap": "viridis_r" if low else "viridis"}
    image = ax.imshow(cells, origin="lower", aspect="auto", **shades)
    ax.set_xticks(range(len(xs)), [short(value) for value in xs], rotation=60 if len(xs) > 8 else 0)
    ax.set_yticks(range(len(ys)), [short(value) for value in ys])
    size = min(max(60 / len(xs), 5.5), 9.0)  # points, so that a number fits into its cell
    if cells.size <= 200:
        for (row, col), value in np.ndenumerate(cells):
            if np.isfinite(value):
                bright = (value - least) / (most - least)
                text = f"{value:.3f}" if 0.01 < abs(value) < 10 else f"{value:.0e}"
                shade = "white" if (1 - bright if low else bright) < 0.6 else "black"
                ax.text(col, row, text, ha="center", va="center", fontsize=size, color=shade)
    best = result.order[0]
    if np.isfinite(result.score[best]):
        corner = xs.index(x.values[best]) - 0.5, ys.index(y.values[best]) - 0.5
        ax.add_patch(plt.Rectangle(corner, 1, 1, fill=False, lw=2.2, edgecolor="black"))
    name = _plain(title(result.metric))
    ax.set(xlabel=_plain(title(x.name)), ylabel=_plain(title(y.name)), title=f"{name} (best framed, diverged grey)")
    ax.figure.colorbar(image, ax=ax, label=name, extend="max" if low else "min")


def _described(result: Any, lane: int, axes: list[Axis]) -> str:
    """The point of a lane, first what varies; of a population that evolved the numbers at the end."""
    if result.history is not None:
        ended = {axis.name: float(axis.values[lane]) for axis in axes if axis.numeric}
        return f"{words(ended)} at the end" if ended else words(result.points[lane])
    point, names = result.points[lane], [axis.name for axis in axes]
    shown = {name: point[name] for name in [*names, *point] if name in point}
    kind = [transformations(result)[lane]] if TRANSFORMATION in names and TRANSFORMATION not in point else []
    return ", ".join([*kind, *([words(shown)] if shown else [])])


def _norm(axis: Axis) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    if axis.labels:
        return Normalize(-0.5, len(axis.labels) - 0.5)
    low, high = np.nanmin(axis.values), np.nanmax(axis.values)
    return LogNorm(low, high) if axis.log else Normalize(low, high)


def _alone(loss: np.ndarray) -> str:
    """A line, or a dot where there is but one point."""
    return "o" if np.isfinite(loss).sum() == 1 else "-"


def _plain(text: str) -> str:
    """Text in which a dollar is a dollar, and begins no formula."""
    return text.replace("$", r"\$")


def _cut(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# Races, schedules, averages -------------------------------------------------------------------------------------------


def race(surface: Any, paths: dict[str, np.ndarray], losses: dict[str, np.ndarray], *, title: str = "") -> Any:
    """Paths of several optimizers on a surface, over its contours (or its curve), and their losses; a figure.

    ``surface`` has ``loss``, ``start``, ``window`` and ``minima``; ``paths`` are steps × parameters.
    """
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, draw = stage(plt, surface, paths, losses, title)
    draw(max(len(path) for path in paths.values()))
    return figure


def animate_race(surface: Any, paths: Any, losses: Any, file: str | Path, *, title: str = "", frames: int = 60) -> None:
    """The same as a film: a GIF in which the paths grow, a pause at the end."""
    plt = pyplot()
    from matplotlib.animation import PillowWriter

    steps = max(len(path) for path in paths.values())
    with plt.rc_context(NEAT):
        figure, draw = stage(plt, surface, paths, losses, title)
    writer = PillowWriter(fps=15)
    with writer.saving(figure, str(file), dpi=80):
        for frame in [*np.unique(np.geomspace(1, steps, frames).astype(int)), *[steps] * 15]:
            draw(int(frame))
            writer.grab_frame()
    plt.close(figure)


SHORT = 30  # letters of a name that leaves room for another beside it


def schedules(curves_of: dict[str, Any], steps: int) -> Any:
    """Schedules as curves: ``{"name": schedule}`` over the steps of a run; a figure."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        columns = 2 if max(map(len, curves_of), default=0) <= SHORT else 1
        figure, ax = plt.subplots(figsize=(7, 4.2 + 0.2 * len(curves_of) / columns), layout="constrained")
        at = np.arange(steps + 1)
        for n, (name, schedule) in enumerate(curves_of.items()):
            ax.plot(at, [float(schedule(step)) for step in at], label=name, **line_style(n))
        ax.set(xlabel="step", ylabel="value", xlim=(0, steps))
        figure.legend(frameon=False, loc="outside lower center", ncols=columns)
    return figure


def averages(series: Any, decays: tuple[float, ...] = (0.5, 0.9)) -> Any:
    """A series, its moving averages from zero, and the same with their bias corrected (dotted); a figure."""
    plt = pyplot()
    series = np.asarray(series, np.float64)
    t = np.arange(1, len(series) + 1)
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
        ax.plot(t, series, "o", ms=3, color="0.6", label="series")
        for n, decay in enumerate(decays):
            weights = (1 - decay) * decay ** np.maximum(t[:, None] - t, 0) * (t[:, None] >= t)
            mean = weights @ series
            ax.plot(t, mean, color=COLOURS[n], lw=1.8, label=f"β = {decay:g}")
            ax.plot(t, mean / (1 - decay**t), color=COLOURS[n], lw=1.8, ls=":", label=f"β = {decay:g}, corrected")
        ax.set(xlabel="t", ylabel="average")
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
