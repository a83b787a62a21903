"""How something grows: a table of curves, and a picture of several."""

from pathlib import Path

Curves = dict[str, dict[int, float]]
COLORS = ["blue", "orange", "green", "red", "purple", "brown", "pink", "gray", "olive", "cyan"]


def table(curves: Curves, first: str, show: str) -> list[str]:
    """The lines of a table in Markdown, a row a curve; ``show`` is how a number is written."""
    xs = list(next(iter(curves.values())))
    lines = [f"| {first} | {' | '.join(f'{x:,}' for x in xs)} |", "|---" * (len(xs) + 1) + "|"]
    return lines + [f"| {name} | {' | '.join(format(curve[x], show) for x in xs)} |" for name, curve in curves.items()]


def scaled(curves: Curves, factor: float) -> Curves:
    """The same in another unit."""
    return {name: {x: factor * y for x, y in curve.items()} for name, curve in curves.items()}


def draw(panels: dict[str, tuple[str, str, Curves]], picture: Path, scale: str = "log") -> None:
    """A panel for each title: its axes, of one scale, and its curves. A name has one color in all panels."""
    from matplotlib.figure import Figure

    names = dict.fromkeys(name for _, _, curves in panels.values() for name in curves)
    color = {name: f"tab:{COLORS[n % len(COLORS)]}" for n, name in enumerate(names)}
    figure = Figure(figsize=(max(6.4, 4.4 * len(panels)), 3.8), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, (below, beside, curves)) in zip(axes, panels.items(), strict=True):
        for name, curve in curves.items():
            axis.plot(list(curve), list(curve.values()), marker="o", markersize=3, label=name, color=color[name])
        axis.set(title=title, xlabel=below, ylabel=beside, xscale=scale, yscale=scale)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.savefig(picture, dpi=110)
