"""Where a leaf stands: the words of its path, the layers that hold it, the leaves beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._tree.paths import Tree, is_none, path_name

Words = tuple[str, ...]
Shape = tuple[int, ...]
FLAX = {"Linear": "dense", "LinearGeneral": "general", "Conv": "conv", "ConvTranspose": "conv", "Embed": "embed"}
NAMED = (
    (re.compile(r"Dense_\d+|linear(_\d+)?"), "dense"),
    (re.compile(r"DenseGeneral_\d+"), "general"),
    (re.compile(r".*conv.*", re.IGNORECASE), "conv"),
)


@dataclass(frozen=True)
class Place:
    """A leaf among the others.

    ``words`` is its path without the box that holds it, a path of Haiku taken apart; ``holders`` are the objects on the
    way to it; ``near`` has the shapes of all leaves by their words.
    """

    path: str
    words: Words
    leaf: Any
    holders: tuple[Any, ...]
    near: Mapping[Words, Shape] = field(repr=False)

    @property
    def shape(self) -> Shape:
        """The shape of the leaf."""
        return tuple(getattr(self.leaf, "shape", ()))

    @property
    def name(self) -> str:
        """The last word."""
        return self.words[-1] if self.words else ""

    @property
    def module(self) -> str:
        """The word before it."""
        return self.words[-2] if len(self.words) > 1 else ""

    def beside(self, *names: str) -> Shape | None:
        """The shape of a leaf in the same branch, the first that is there."""
        found = (self.near.get((*self.words[:-1], name)) for name in names)
        return next((shape for shape in found if shape is not None), None)

    @property
    def layer(self) -> str | None:
        """The kind of layer that holds it, where a class or the name that a library gives says so."""
        for holder in self.holders[::-1][:2]:
            known = [FLAX[name] for name in classes_of(holder, "flax.nnx") if name in FLAX]
            if known:
                return known[0]
        return next((layer for pattern, layer in NAMED if pattern.fullmatch(self.module)), None)


def classes_of(x: Any, library: str) -> list[str]:
    """The names of the classes of an object that are of a library."""
    return [kind.__name__ for kind in type(x).__mro__ if kind.__module__.startswith(f"{library}.")]


def places_of(tree: Tree) -> list[Place | None]:
    """The place of each leaf, in the order of `gradtx.tree.flatten`; ``None`` for a missing leaf."""
    rows = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_none)
    found = [(keys, *_way(tree, keys)) for keys, _ in rows]
    near = {
        words: tuple(getattr(x, "shape", ()))
        for (_, words, _), (_, x) in zip(found, rows, strict=True)
        if is_parameter(x)
    }
    places = [
        None if x is None else Place(path_name(keys), words, x, holders, near)
        for (keys, words, holders), (_, x) in zip(found, rows, strict=True)
    ]
    return places


def is_parameter(x: Any) -> bool:
    """Whether it is a floating-point number or an array of them."""
    if isinstance(x, float | complex):
        return True
    return hasattr(x, "shape") and jnp.issubdtype(getattr(x, "dtype", object), jnp.inexact)


def _way(tree: Tree, keys: tuple[Any, ...]) -> tuple[Words, tuple[Any, ...]]:
    """The words of a path and the objects on the way to its leaf."""
    holders = [tree]
    for key in keys[:-1]:
        holders.append(_inside(holders[-1], key))
    boxed = len(keys) > 1 and getattr(keys[-1], "name", None) == "value" and not classes_of(holders[-1], "equinox")
    if boxed:  # a variable of nnx, a box of linen
        keys, holders = keys[:-1], holders[:-1]
    words = [word for key in keys for word in path_name((key,)).split("/") if word != "~"]
    return tuple(words), tuple(holders)


def _inside(x: Any, key: Any) -> Any:
    try:
        if isinstance(key, jax.tree_util.GetAttrKey):
            return getattr(x, key.name)
        return x[key.idx if isinstance(key, jax.tree_util.SequenceKey) else key.key]
    except (AttributeError, KeyError, IndexError, TypeError):
        return None
