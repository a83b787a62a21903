"""Pictures (matplotlib, imported when used).

Colours are viridis, which a colour-blind reader can tell apart and which prints in grey; what is best is drawn in
black.
"""

from pathlib import Path
from typing import Any

import numpy as np

NEAT = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "figure.dpi": 130}


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'gradtx[plot]'") from None
    return plt


def sweep(result: Any, *, metric: str | None = None) -> Any:
    """A sweep as a figure: the curves of its lanes, and beside them a heat map where its points are a grid of two axes.

    ``metric`` is what the heat map shows: a column of the sweep's table; its first metric if not given, or the final
    loss.
    """
    axes = grid_axes(result.points)
    plt = _pyplot()
    with plt.rc_context(NEAT):
        figure, places = plt.subplots(
            1, 2 if axes else 1, figsize=(12.5 if axes else 6.5, 4.6), squeeze=False, layout="constrained"
        )
        curves(places[0, 0], result)
        if axes:
            heat_map(places[0, 1], result, *axes, metric=metric)
    return figure


def save_sweep(result: Any, folder: Path) -> None:
    """Write ``curves.png`` and, for a grid of two axes, ``heatmap.png``."""
    plt = _pyplot()
    pictures = {"curves.png": lambda ax: curves(ax, result)}
    axes = grid_axes(result.points)
    if axes:
        pictures["heatmap.png"] = lambda ax: heat_map(ax, result, *axes)
    for name, draw in pictures.items():
        with plt.rc_context(NEAT):
            figure, ax = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
            draw(ax)
            figure.savefig(folder / name)
            plt.close(figure)


def curves(ax: Any, result: Any) -> None:
    """The training loss of every lane on a log scale, coloured by the axis that varies first, the best lane in black.

    Noise of the mini-batches is averaged out over a fiftieth of the run.
    """
    plt = _pyplot()
    steps, losses = _smooth(result.loss, result.record_every)
    axis = next(iter(varying(result.points)), None)
    colour, norm = plt.get_cmap("viridis"), None
    if axis:
        values = [float(point[axis]) for point in result.points]
        norm = _scale(values)
    best = result.order[0]
    for n, loss in enumerate(losses):
        shade = colour(norm(float(result.points[n][axis]))) if norm and axis else colour(0.5)
        ax.plot(steps, np.where(np.isfinite(loss), loss, np.nan), color=shade, lw=0.9, alpha=0.8)
    ax.plot(steps, losses[best], color="black", lw=2.2, label=f"lowest final loss: {_words(result.points[best])}")
    ax.set(xlabel="step", ylabel="training loss", yscale="log", title=f"{len(result.points)} lanes")
    finite = losses[np.isfinite(losses) & (losses > 0)]
    if finite.size:  # a lane that blows up does not squeeze the others
        ax.set_ylim(0.7 * finite.min(), 2 * max(float(np.nanmedian(result.loss[:, 0])), finite.min()))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    if norm and axis:
        ax.figure.colorbar(plt.cm.ScalarMappable(norm, colour), ax=ax, label=_title(axis))


def heat_map(ax: Any, result: Any, x: str, y: str, *, metric: str | None = None) -> None:
    """One cell a lane: a metric over two axes of the grid, the best cell framed; lanes that diverged stay grey."""
    plt = _pyplot()
    metric = metric if metric is not None else str(next(iter(result.metrics), "final_loss"))
    column = result.final_loss if metric == "final_loss" else result.metrics[metric]
    xs, ys = (sorted({float(point[name]) for point in result.points}) for name in (x, y))
    cells = np.full((len(ys), len(xs)), np.nan)
    for n, point in enumerate(result.points):
        if np.isfinite(result.final_loss[n]):
            cells[ys.index(float(point[y])), xs.index(float(point[x]))] = column[n]
    ax.set_facecolor("0.8")
    low = metric == "final_loss"
    bad, good = np.nanquantile(cells, [0.9, 0.0] if low else [0.1, 1.0]) if np.isfinite(cells).any() else (0.0, 1.0)
    shades = {"vmin": min(bad, good), "vmax": max(bad, good), "cmap": "viridis_r" if low else "viridis"}
    image = ax.imshow(cells, origin="lower", aspect="auto", **shades)
    ax.set_xticks(range(len(xs)), [_short(value) for value in xs], rotation=60 if len(xs) > 8 else 0)
    ax.set_yticks(range(len(ys)), [_short(value) for value in ys])
    if cells.size <= 200:
        for (row, col), value in np.ndenumerate(cells):
            dark = (value - bad) / ((good - bad) or 1.0) < 0.6
            text = f"{value:.3f}" if 0.01 < abs(value) < 10 else f"{value:.0e}"
            ax.text(col, row, text, ha="center", va="center", fontsize=5.5, color="white" if dark else "black")
    if np.isfinite(cells).any():
        row, col = np.unravel_index((np.nanargmin if low else np.nanargmax)(cells), cells.shape)
        ax.add_patch(plt.Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, lw=2.2, edgecolor="black"))
    ax.set(xlabel=_title(x), ylabel=_title(y), title=f"{_title(metric)} (best framed, diverged grey)")
    ax.figure.colorbar(image, ax=ax, label=_title(metric), extend="max" if low else "min")


def varying(points: list[dict[str, Any]]) -> list[str]:
    """The names of the numbers that differ between the points."""
    names = [name for name, value in points[0].items() if isinstance(value, int | float)]
    return [name for name in names if len({point[name] for point in points}) > 1]


def grid_axes(points: list[dict[str, Any]]) -> tuple[str, str] | None:
    """The two axes of a full grid of points, or None where they are something else."""
    names = varying(points)
    if len(names) != 2:
        return None
    x, y = names
    cells = {(point[x], point[y]) for point in points}
    full = len({a for a, _ in cells}) * len({b for _, b in cells})
    return (x, y) if len(cells) == full == len(points) else None


def _scale(values: list[float]) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    low, high = min(values), max(values)
    return LogNorm(low, high) if low > 0 and high / low > 30 else Normalize(low, high)


def _smooth(loss: np.ndarray, record_every: int, points: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Means over equal parts of the run, and the steps in the middle of each."""
    parts = np.array_split(np.arange(loss.shape[1]), min(points, loss.shape[1]))
    steps = np.array([(part[0] + part[-1] + 1) / 2 for part in parts]) * record_every
    return steps, np.stack([loss[:, part].mean(axis=1) for part in parts], axis=1)


def _short(value: float) -> str:
    """A number for an axis: 0.9, 0.0016 as 1.6e-3."""
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:.4g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _words(point: dict[str, Any]) -> str:
    shown = [
        f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = {value}" for name, value in point.items()
    ]
    return ", ".join(shown[:4])
