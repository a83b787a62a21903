"""What pictures are drawn on: matplotlib, imported where one is made, and how they look."""

from typing import Any

NEAT = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "figure.dpi": 130}


def pyplot() -> Any:
    """Matplotlib's pyplot. Raises `ImportError`, which says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'gradtx[plot]'") from None
    return plt


def ink() -> Any:
    """The colour of text, which stands out from the background in any style."""
    return pyplot().rcParams["text.color"]
