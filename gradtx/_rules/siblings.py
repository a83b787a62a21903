"""The tree that a part was taken from, for rules that read what a leaf is from the leaves beside it."""

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import jax

from gradtx._rules.protocol import Tree
from gradtx._tree.paths import flatten

P = ParamSpec("P")
R = TypeVar("R")
_WHOLE: ContextVar[Tree] = ContextVar("whole", default=None)
_MADE: ContextVar[dict[Hashable, Any]] = ContextVar("made")


@contextlib.contextmanager
def whole(tree: Tree) -> Iterator[None]:
    """While this is open, parts of the tree, ``None`` for other leaves, are known as such."""
    if whole_of(tree) is not tree:  # a part of what is known
        yield
        return
    tokens = _WHOLE.set(jax.tree.map(_without_numbers, tree)), _MADE.set({})
    try:
        yield
    finally:
        _WHOLE.reset(tokens[0])
        _MADE.reset(tokens[1])


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


def remembered(tree: Tree, key: Hashable, make: Callable[[], R]) -> R:
    """What ``make`` makes of a tree, made once as long as `whole` knows the tree."""
    if tree is not _WHOLE.get():
        return make()
    made = _MADE.get()
    if key not in made:
        made[key] = make()
    return made[key]


def _shape(x: object) -> object:
    return getattr(x, "shape", None)


def _without_numbers(x: object) -> object:
    return jax.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, jax.Array) else x
