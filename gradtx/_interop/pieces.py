"""The parts of a state of Optax: where each is kept in ours."""

from collections.abc import Callable
from typing import Any

import jax

Layout = Any


class Piece:
    """A part of Optax's state that is made of entries of ours: ``out(*entries)``, and ``back(part) -> entries``."""

    def __init__(self, paths: tuple[str, ...], out: Callable[..., Any], back: Callable[[Any], tuple[Any, ...]]):
        self.paths, self.out, self.back = paths, out, back

    @classmethod
    def of(cls, leaf: Any) -> "Piece":
        """A leaf of a layout as a piece."""
        return leaf if isinstance(leaf, Piece) else cls((leaf,), lambda x: x, lambda x: (x,))

    def moved(self, where: Callable[[str], str]) -> "Piece":
        """The same piece at other paths."""
        return Piece(tuple(map(where, self.paths)), self.out, self.back)


def moved(layout: Layout, where: Callable[[str], str]) -> Layout:
    """The layout with other paths."""
    return jax.tree.map(lambda leaf: Piece.of(leaf).moved(where), layout)
