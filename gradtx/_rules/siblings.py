"""The tree that a part was taken from, for rules that read what a leaf is from the leaves beside it."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

import jax

from gradtx._rules.protocol import Tree
from gradtx._tree.paths import flatten

P = ParamSpec("P")
R = TypeVar("R")
_WHOLE: ContextVar[Tree] = ContextVar("whole", default=None)


@contextlib.contextmanager
def whole(tree: Tree) -> Iterator[None]:
    """While this is open, parts of the tree, ``None`` for other leaves, are known as such."""
    known = whole_of(tree)
    token = _WHOLE.set(jax.tree.map(_shape, tree) if known is tree else known)
    try:
        yield
    finally:
        _WHOLE.reset(token)


def knowing_the_whole(which: Callable[..., Tree]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator of methods, during which the tree that ``which`` finds in the arguments is known."""

    def decorator(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def knowing(*args: P.args, **kwargs: P.kwargs) -> R:
            with whole(which(*args[1:], **kwargs)):
                return method(*args, **kwargs)

        return knowing

    return decorator


def whole_of(part: Tree) -> Tree:
    """The tree that this is a part of, as shapes; itself, if that is not known."""
    known = _WHOLE.get()
    (leaves, treedef), (all_leaves, whole_treedef) = flatten(part), flatten(known)
    if known is None or treedef != whole_treedef:
        return part
    same = all(x is None or (y is not None and _shape(x) == _shape(y)) for x, y in zip(leaves, all_leaves, strict=True))
    return known if same else part


def _shape(x: object) -> object:
    return jax.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, jax.Array | jax.ShapeDtypeStruct) else x
