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


def sweep(result: Any, *, metric: str = "final_loss", better: str = "lower") -> Any:
    """A sweep as a figure: the curves of its lanes, and beside them a heat map where its points are a grid of two axes.

    ``metric`` is what the heat map shows, a column of the sweep's table; ``better`` is "lower" or "higher".
    """
    axes = grid_axes(result.points)
    plt = _pyplot()
    with plt.rc_context(NEAT):
        figure, places = plt.subplots(
            1, 2 if axes else 1, figsize=(12.5 if axes else 6.5, 4.6), squeeze=False, layout="constrained"
        )
        curves(places[0, 0], result)
        if axes:
            heat_map(places[0, 1], result, *axes, metric=metric, better=better)
    return figure


def save_sweep(result: Any, folder: Path, **options: Any) -> list[Path]:
    """Write ``curves.png`` and, for a grid of two axes, ``heatmap.png``; return what was written."""
    plt = _pyplot()
    pictures = {"curves.png": lambda ax: curves(ax, result)}
    axes = grid_axes(result.points)
    if axes:
        pictures["heatmap.png"] = lambda ax: heat_map(ax, result, *axes, **options)
    (folder / "heatmap.png").unlink(missing_ok=True)
    for name, draw in pictures.items():
        with plt.rc_context(NEAT):
            figure, ax = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
            draw(ax)
            figure.savefig(folder / name)
            plt.close(figure)
    return [folder / name for name in pictures]


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
    finite = losses[np.isfinite(losses)]
    if np.isfinite(result.final_loss[best]):
        ax.plot(steps, losses[best], color="black", lw=2.2, label=f"lowest final loss: {_words(result.points[best])}")
    else:
        ax.plot([], [], " ", label="all lanes diverged")
    positive = finite.size > 0 and finite.min() > 0
    scale = "log" if positive else "linear"
    ax.set(xlabel="step", ylabel="training loss", yscale=scale, title=f"{len(result.points)} lanes")
    if positive:  # a lane that blows up does not squeeze the others
        start = result.loss[:, 0][np.isfinite(result.loss[:, 0])]
        ax.set_ylim(0.7 * finite.min(), 2 * max(float(np.median(start)) if start.size else 0.0, finite.min()))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    if norm and axis:
        ax.figure.colorbar(plt.cm.ScalarMappable(norm, colour), ax=ax, label=_title(axis))


def heat_map(ax: Any, result: Any, x: str, y: str, *, metric: str = "final_loss", better: str = "lower") -> None:
    """One cell a lane: a metric over two axes of the grid, the best cell framed; lanes that diverged stay grey.

    Of cells that are equally good the one with the lowest final loss is framed.
    """
    plt = _pyplot()
    column = result.final_loss if metric == "final_loss" else result.metrics[metric]
    xs, ys = (sorted({float(point[name]) for point in result.points}) for name in (x, y))
    cells = np.full((len(ys), len(xs)), np.nan)
    for n, point in enumerate(result.points):
        if np.isfinite(result.final_loss[n]):
            cells[ys.index(float(point[y])), xs.index(float(point[x]))] = column[n]
    ax.set_facecolor("0.8")
    low = better == "lower"
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
    alive = [n for n in result.order if np.isfinite(result.final_loss[n])]
    if alive:
        point = result.points[(min if low else max)(alive, key=lambda n: column[n])]  # the first in order, if equal
        corner = xs.index(float(point[x])) - 0.5, ys.index(float(point[y])) - 0.5
        ax.add_patch(plt.Rectangle(corner, 1, 1, fill=False, lw=2.2, edgecolor="black"))
    ax.set(xlabel=_title(x), ylabel=_title(y), title=f"{_title(metric)} (best framed, diverged grey)")
    ax.figure.colorbar(image, ax=ax, label=_title(metric), extend="max" if low else "min")


def varying(points: list[dict[str, Any]]) -> list[str]:
    """The names of the numbers that differ between the points."""
    names = [name for name in points[0] if all(isinstance(point.get(name), int | float) for point in points)]
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


# Races, schedules, averages -------------------------------------------------------------------------------------------

# Okabe and Ito's colours, which colour-blind readers can tell apart; lines differ in their dashes too.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
DASHES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)), "-."]


def _line(n: int) -> dict[str, Any]:
    return {"color": COLOURS[n % len(COLOURS)], "ls": DASHES[n % len(DASHES)], "lw": 1.6}


def race(surface: Any, paths: dict[str, np.ndarray], losses: dict[str, np.ndarray], *, title: str = "") -> Any:
    """Paths of several optimizers on a surface, over its contours (or its curve), and their losses; a figure.

    ``surface`` has ``loss``, ``start``, ``window`` and ``minima``; ``paths`` are steps × parameters.
    """
    figure, draw = _stage(surface, paths, losses, title)
    draw(max(len(path) for path in paths.values()))
    return figure


def animate_race(surface: Any, paths: Any, losses: Any, file: str | Path, *, title: str = "", frames: int = 60) -> None:
    """The same as a film: a GIF in which the paths grow, a pause at the end."""
    plt = _pyplot()
    from matplotlib.animation import PillowWriter

    steps = max(len(path) for path in paths.values())
    figure, draw = _stage(surface, paths, losses, title)
    writer = PillowWriter(fps=15)
    with writer.saving(figure, str(file), dpi=80):
        for frame in [*np.unique(np.geomspace(1, steps, frames).astype(int)), *[steps] * 15]:
            draw(int(frame))
            writer.grab_frame()
    plt.close(figure)


def _stage(surface: Any, paths: Any, losses: Any, title: str) -> Any:
    """A figure with the surface and empty lines, and a function that draws the first steps of every path."""
    plt = _pyplot()
    with plt.rc_context(NEAT):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    (low, high), *other = surface.window
    x = np.linspace(low, high, 240)
    if other:
        y = np.linspace(other[0][0], other[0][1], 240)
        height = np.asarray(surface.loss(np.stack(np.meshgrid(x, y))))
        spread = height - height.min()
        levels = height.min() + np.quantile(spread, np.linspace(0, 1, 28) ** 1.5)
        left.contourf(x, y, height, levels=np.unique(levels), cmap="Greys", alpha=0.55)
        left.contour(x, y, height, levels=np.unique(levels), colors="0.55", linewidths=0.4)
        left.set(xlim=(low, high), ylim=other[0], xlabel="θ₁", ylabel="θ₂")
    else:
        left.plot(x, np.asarray(surface.loss(x[None])), color="0.5", lw=1.2)
        left.set(xlim=(low, high), xlabel="θ", ylabel="L(θ)")
    for minimum in surface.minima:
        left.plot(*minimum, marker="*", ms=15, color="black", ls="none", zorder=6)
    tracks = [left.plot([], [], label=name, **_line(n))[0] for n, name in enumerate(paths)]
    heads = [left.plot([], [], "o", ms=6, mec="white", color=_line(n)["color"], zorder=5)[0] for n in range(len(paths))]
    falls = [right.plot([], [], **_line(n))[0] for n in range(len(paths))]
    finite = np.concatenate([loss[np.isfinite(loss)] for loss in losses.values()])
    positive = finite.size > 0 and finite.min() > 0
    steps = max(len(path) for path in paths.values())
    right.set(xlabel="step", ylabel="loss", xlim=(0, steps - 1), yscale="log" if positive else "linear")
    if finite.size:
        first, least = float(next(iter(losses.values()))[0]), float(finite.min())
        low, high = (max(least, 1e-12), 3 * first) if positive else (least, first)
        right.set_ylim(low, high) if positive else right.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    figure.legend(tracks, list(paths), loc="outside lower center", ncols=min(6, len(paths)), frameon=False)
    figure.suptitle(title)

    def draw(count: int) -> None:
        for track, head, fall, name in zip(tracks, heads, falls, paths, strict=True):
            path, loss = paths[name][:count], losses[name][:count]
            points = path.T if other else np.stack([path[:, 0], loss])
            track.set_data(*points)
            head.set_data(*points[:, -1:])
            fall.set_data(np.arange(len(loss)), loss)

    return figure, draw


def schedules(curves_of: dict[str, Any], steps: int) -> Any:
    """Schedules as curves: ``{"name": schedule}`` over the steps of a run; a figure."""
    plt = _pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
        at = np.arange(steps + 1)
        for n, (name, schedule) in enumerate(curves_of.items()):
            ax.plot(at, [float(schedule(step)) for step in at], label=name, **_line(n))
        ax.set(xlabel="step", ylabel="value", xlim=(0, steps))
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def averages(series: Any, decays: tuple[float, ...] = (0.5, 0.9)) -> Any:
    """A series, its moving averages from zero, and the same with their bias corrected (dotted); a figure."""
    plt = _pyplot()
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
