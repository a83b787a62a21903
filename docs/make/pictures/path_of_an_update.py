"""The path of an update through a clip and Adam: two signals, a scope, a clock and a state."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

UPDATE, GRADIENT, CLOCK = "C0", "C1", "C2"  # colours of what runs
AT = {"scale_by_ewma": 3.5, "bias_correction": 2.75, "scale_by_rms": 2.0, "scale_by_learning_rate": 1.25}
LEFT, RIGHT, LINE, OTHER, TIME = 1.15, 3.25, 2.2, 3.85, 4.85  # where boxes begin and end, and where the lines run


def draw() -> Figure:
    """From top to bottom: gradients come in, updates go out."""
    figure, ax = plt.subplots(figsize=(6.0, 5.4), layout="constrained")
    ax.set(xlim=(0, 6), ylim=(0.2, 5.75))
    ax.axis("off")
    ax.text(3.02, 5.62, "gradients", ha="center", va="center", fontsize=11)
    scope(ax)
    signals(ax)
    clock(ax)
    box(ax, LEFT, 4.25, 4.5, "clip_by_global_norm", "conditions: rewrites both")
    for name, y in AT.items():
        box(ax, LEFT, RIGHT, y, name)
    for name, field in (("scale_by_ewma", "mu"), ("scale_by_rms", "nu")):
        state(ax, AT[name], field)
    ax.text(LINE, 0.32, "updates, for apply_updates", ha="center", va="center", fontsize=11)
    return figure


def signals(ax: Axes) -> None:
    """The update, through all links; and the gradient, which the denominator asks for."""
    stops = [5.45, 4.78, 4.22, *(y + side for y in AT.values() for side in (0.22, -0.22)), 0.5]
    for start, end in zip(stops[::2], stops[1::2], strict=True):
        arrow(ax, (LINE, start), (LINE, end), UPDATE)
    arrow(ax, (OTHER, 5.45), (OTHER, 4.78), GRADIENT)
    ax.plot([OTHER, OTHER], [4.22, AT["scale_by_rms"]], color=GRADIENT, lw=2)
    arrow(ax, (OTHER, AT["scale_by_rms"]), (RIGHT, AT["scale_by_rms"]), GRADIENT)
    ax.text(LINE - 0.12, 5.15, "update", ha="right", va="center", color=UPDATE, fontsize=11)
    ax.text(OTHER + 0.12, 5.15, "gradient", ha="left", va="center", color=GRADIENT, fontsize=11)


def clock(ax: Axes) -> None:
    """The count of the outermost chain, which all read that want the time."""
    readers = [AT[name] for name in ("bias_correction", "scale_by_rms", "scale_by_learning_rate")]
    ax.plot([TIME, TIME], [4.05, min(readers) + 0.1], color=CLOCK, lw=1.5, ls=(0, (2, 2)))
    for y in readers:
        arrow(ax, (TIME, y + 0.1), (RIGHT, y + 0.1), CLOCK, lw=1.5, ls=(0, (2, 2)))
    ax.text(TIME + 0.02, 4.5, "clock\ncount → t", ha="center", va="center", color=CLOCK, fontsize=11)


def scope(ax: Axes) -> None:
    """Where Adam begins and ends."""
    ax.add_patch(
        FancyBboxPatch(
            (0.12, 0.8), 5.6, 3.1, "round,pad=0.02,rounding_size=0.12", fc="none", lw=1.0, ls="--", alpha=0.6
        )
    )
    ax.text(5.62, 0.95, "adam, a scope", ha="right", va="center", fontsize=10, style="italic")


def state(ax: Axes, y: float, field: str) -> None:
    """What a link keeps from one step to the next."""
    ax.add_patch(FancyBboxPatch((0.28, y - 0.15), 0.42, 0.3, "round,pad=0.02,rounding_size=0.12", fc="none", lw=1.2))
    ax.text(0.49, y, field, ha="center", va="center", fontsize=10, family="monospace")
    ax.annotate(
        "", (LEFT, y), (0.73, y), arrowprops={"arrowstyle": "<->", "lw": 1.2, "color": plt.rcParams["text.color"]}
    )


def box(ax: Axes, left: float, right: float, y: float, name: str, note: str = "") -> None:
    """A link."""
    height = 0.28 if note else 0.2
    ax.add_patch(
        FancyBboxPatch(
            (left, y - height), right - left, 2 * height, "round,pad=0.02,rounding_size=0.08", fc="none", lw=1.4
        )
    )
    ax.text(
        (left + right) / 2, y + (0.1 if note else 0), name, ha="center", va="center", fontsize=10, family="monospace"
    )
    if note:
        ax.text((left + right) / 2, y - 0.14, note, ha="center", va="center", fontsize=9, style="italic")


def arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str, lw: float = 2, ls: object = "-"
) -> None:
    """From one place to another."""
    look = {"arrowstyle": "-|>", "lw": lw, "color": color, "ls": ls, "shrinkA": 0, "shrinkB": 1, "mutation_scale": 11}
    ax.annotate("", end, start, arrowprops=look)
