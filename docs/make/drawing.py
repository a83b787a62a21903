"""Pictures: each is a module of `docs.make.pictures` with a function ``draw``, drawn for light and for dark pages."""

import hashlib
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = HERE / "pictures"
CACHE = ROOT / ".cache" / "manual"
NAMED = re.compile(r"!\[(?P<what>[^\]]*)\]\((?P<to>(?:\.\./)*pictures/)(?P<name>\w+)\.svg\)")

COLOURS = {  # eight that are told apart by a colour-blind reader, on either ground
    "light": ["#3f51b5", "#d1495b", "#00798c", "#b36a00", "#6a4c93", "#4d7c0f", "#8d5524", "#5c677d"],
    "dark": ["#8c9eff", "#ff8a94", "#4dd0e1", "#ffc267", "#c9a7eb", "#b5d96b", "#d9a679", "#b8c2d0"],
}
INK = {"light": ("#2b2f36", "#c9ced6"), "dark": ("#e4e7ec", "#4a515e")}  # of text, and of lines behind the data


def style(shade: str) -> dict[str, Any]:
    """The settings of matplotlib for a light or a dark page."""
    from cycler import cycler

    text, faint = INK[shade]
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
    clear = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    return {
        **dict.fromkeys(inked, text),
        **dict.fromkeys((*clear, "legend.facecolor"), "none"),
        "axes.prop_cycle": cycler(color=COLOURS[shade]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "figure.figsize": (6.0, 3.5),
        "font.size": 10,
        "grid.color": faint,
        "legend.edgecolor": faint,
        "legend.frameon": False,
        "lines.color": text,
        "patch.edgecolor": text,
        "savefig.transparent": True,
        "svg.fonttype": "path",
        "svg.hashsalt": "gradtx",
    }


def names() -> list[str]:
    """The names of all pictures."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def draw(name: str, shade: str) -> bytes:
    """A picture as SVG, for a ``light`` or a ``dark`` page."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", **style(shade)}):
        figure = importlib.import_module(f"docs.make.pictures.{name}").draw()
        written = io.BytesIO()
        figure.savefig(written, format="svg", bbox_inches="tight", pad_inches=0.05, metadata={"Date": None})
        plt.close(figure)
    return written.getvalue()


def drawn(name: str) -> dict[str, bytes]:
    """A picture in both colours, drawn anew only if it or gradtx has changed."""
    kept = {shade: CACHE / f"{name}-{shade}-{_print_of(name)}.svg" for shade in COLOURS}
    if not all(path.exists() for path in kept.values()):
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob(f"{name}-*-*.svg"):
            old.unlink()
        for shade, path in kept.items():
            path.write_bytes(draw(name, shade))
    return {shade: path.read_bytes() for shade, path in kept.items()}


def two_shades(markdown: str) -> str:
    """A page that names pictures, with each of them twice: what the reader sees goes by the colours of the page."""
    both = r"![\g<what>](\g<to>\g<name>-light.svg#only-light)![\g<what>](\g<to>\g<name>-dark.svg#only-dark)"
    return NAMED.sub(both, markdown)


def named_in(markdown: str) -> Iterator[str]:
    """The names of the pictures of a page."""
    return (found["name"] for found in NAMED.finditer(markdown))


def _print_of(name: str) -> str:
    found = hashlib.sha256()
    shared = sorted((*HERE.glob("*.py"), *(ROOT / "gradtx").rglob("*.py")))
    for path in (FOLDER / f"{name}.py", *shared):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]
