"""Complex parameters as pairs of real ones."""

from typing import Any, NamedTuple

import jax

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link


class Parts(NamedTuple):
    """The parts of a complex array; in paths of leaves, ``w.real`` and ``w.imaginary``."""

    real: jax.Array
    imaginary: jax.Array


@transformation
def split_real_and_imaginary(inner: Link) -> Late:
    """A transformation to which a complex array is two real ones.

        u ← v + iw,   (v, w) = inner(Re uₜ, Im uₜ)

    It is for an ``inner`` that does not know complex numbers, or should treat their parts apart: Adam then has a second
    moment for each. Real leaves pass as they are. State: ``inner``.

    >>> from gradtx import scale_by_sign
    >>> tx = split_real_and_imaginary(scale_by_sign())
    >>> tx.update(jnp.array([3.0 - 4.0j]), {})[0]
    Array([1.-1.j], dtype=complex64)
    """

    def update(step: Any, updates: Tree, state: Any) -> Any:
        new, inner = step(split(updates))
        return joined(new, updates), {"inner": inner}

    return around(inner, update, view=split, back=joined, every_step=True)


def split(tree: Tree) -> Tree:
    """The tree with the parts of a complex leaf in its place."""
    return trees.map(lambda x: Parts(x.real, x.imag) if jax.numpy.iscomplexobj(x) else x, tree)


def joined(tree: Tree, like: Tree) -> Tree:
    """A tree like ``like``, from one with the parts of its complex leaves."""
    return trees.map(lambda _, x: jax.lax.complex(*x) if isinstance(x, Parts) else x, like, tree)
