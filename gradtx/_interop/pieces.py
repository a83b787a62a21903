"""The parts of a state of Optax: where each is kept in ours."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._interop.optax_types import MaskedNode

Layout = Any


class Piece:
    """A part of Optax's state that is made of entries of ours: ``out(*entries)``, and ``back(part) -> entries``.

    ``whole``: it is all that a link keeps, as it is, and has no entry if the link keeps nothing.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        out: Callable[..., Any],
        back: Callable[[Any], tuple[Any, ...]],
        *,
        whole: bool = False,
    ):
        self.paths, self.out, self.back, self.whole = paths, out, back, whole

    @classmethod
    def of(cls, leaf: Any) -> "Piece":
        """A leaf of a layout as a piece."""
        return leaf if isinstance(leaf, Piece) else cls((leaf,), lambda x: x, lambda x: (x,), whole=not leaf)

    def moved(self, where: Callable[[str], str]) -> "Piece":
        """The same piece at other paths."""
        return Piece(tuple(map(where, self.paths)), self.out, self.back, whole=self.whole)


def said(number: Any) -> Piece:
    """A number of the call, or one that nothing depends on, which Optax keeps in the state and we do not."""
    return Piece((), lambda: jnp.asarray(number), lambda x: ())


IS_FIRST = Piece(("count",), lambda count: count == 0, lambda first: (jnp.where(first, 0, 1).astype(jnp.int32),))
"""Whether the step is the first, which our count says."""


def moved(layout: Layout, where: Callable[[str], str]) -> Layout:
    """The layout with other paths."""
    return jax.tree.map(lambda leaf: Piece.of(leaf).moved(where), layout)


def with_nodes(state: Any) -> Any:
    """None, as we leave leaves out, as the node that Optax puts there."""
    return jax.tree.map(lambda x: MaskedNode() if x is None else x, state, is_leaf=lambda x: x is None)


def without_nodes(state: Any) -> Any:
    """The way back from `with_nodes`."""
    return jax.tree.map(lambda x: None if is_node(x) else x, state, is_leaf=is_node)


def is_node(x: Any) -> bool:
    """Whether this stands for a leaf that a mask leaves out."""
    return isinstance(x, MaskedNode)
