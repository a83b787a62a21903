"""Packing: many small arrays in one buffer, so that a training step runs a few large kernels, not many small ones.

It saves the launches of kernels, and the fixed cost that a program has for every array. It costs two copies of the
small leaves: out of the buffer for the loss, and into it for the gradient. `jax.lax.split` takes the buffer apart,
because the transpose of one split is one concatenation; the transpose of slices is as many padded arrays, added up.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.checks import leaf_error, structure_error
from gradtx._value.errors import TransformationError

Tree = Any

SMALL = 2**13
"""Leaves with fewer numbers than this are packed: biases, scales, small kernels. A matrix product needs its matrix as
an array of its own, so a packed matrix is first copied out of its buffer: one kernel more, where one was to be saved.
"""


class Layout(NamedTuple):
    """For every leaf of a tree: its path, its shape, and the buffer that it is in (None: it is not packed)."""

    treedef: Any
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    buffers: tuple[str | None, ...]

    def sizes(self, buffer: str) -> list[int]:
        """The size of each leaf in a buffer."""
        return [int(np.prod(shape)) for shape, own in zip(self.shapes, self.buffers, strict=True) if own == buffer]


@jax.tree_util.register_pytree_with_keys_class
class Packed:
    """A tree whose small leaves share one buffer per dtype; see `pack`. A pytree of the buffers and the large leaves.

    ``buffers`` maps dtypes (with labels, if `pack` was given ``by``) to one-dimensional arrays; ``apart`` has the large
    leaves in the order of the tree; ``layout`` says where each leaf is.
    """

    __slots__ = ("apart", "buffers", "layout")

    def __init__(self, buffers: dict[str, Any], apart: tuple[Any, ...], layout: Layout):
        self.buffers, self.apart, self.layout = buffers, apart, layout

    def unpack(self) -> Tree:
        """The tree that was packed, with the current numbers.

        If `jax.vmap` or a sweep has put axes in front of the buffers, the leaves have them in front, too.

        >>> pack({"a": jnp.ones((2, 2)), "b": jnp.zeros(3)}).unpack()["b"]
        Array([0., 0., 0.], dtype=float32)
        """
        parts = {name: self._split(name, buffer) for name, buffer in self.buffers.items()}
        apart = iter(self.apart)
        return self.layout.treedef.unflatten(
            [next(apart) if name is None else next(parts[name]) for name in self.layout.buffers]
        )

    def _split(self, name: str, buffer: Any) -> Iterator[Any]:
        shapes = [shape for shape, own in zip(self.layout.shapes, self.layout.buffers, strict=True) if own == name]
        parts = jax.lax.split(buffer, self.layout.sizes(name), axis=buffer.ndim - 1)
        return (part.reshape(*part.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True))

    def like(self, tree: Tree) -> "Packed":
        """Pack a tree like the one that was packed, in the same layout, such as gradients of the unpacked tree.

        Raises `TransformationError`: a leaf that is missing or has another shape, or a dtype unlike those beside it.

        >>> packed = pack({"a": jnp.zeros(2), "b": jnp.zeros(1)})
        >>> packed.like({"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}).buffers
        {'float32': Array([1., 2., 3.], dtype=float32)}
        """
        leaves, treedef = jax.tree.flatten(tree)
        if treedef != self.layout.treedef:
            blank = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in self.layout.shapes]
            raise structure_error(self.layout.treedef.unflatten(blank), tree)
        for path, leaf, shape in zip(self.layout.paths, leaves, self.layout.shapes, strict=True):
            if jnp.shape(leaf) != shape:
                raise leaf_error(path, jax.ShapeDtypeStruct(shape, jnp.float32), leaf)
        return _arranged(leaves, self.layout)

    def tree_flatten_with_keys(self) -> Any:
        key = jax.tree_util.DictKey
        large = [path for path, name in zip(self.layout.paths, self.layout.buffers, strict=True) if name is None]
        buffers = [(key(f"packed {name}"), buffer) for name, buffer in self.buffers.items()]
        aux = (tuple(self.buffers), self.layout)
        return [*buffers, *((key(path), leaf) for path, leaf in zip(large, self.apart, strict=True))], aux

    def tree_flatten(self) -> Any:
        return (*self.buffers.values(), *self.apart), (tuple(self.buffers), self.layout)

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> "Packed":
        names, layout = aux
        children = tuple(children)
        return cls(dict(zip(names, children, strict=False)), children[len(names) :], layout)

    def __repr__(self) -> str:
        packed = [f"{_leaves(self.layout.buffers.count(name))} in {buffer}" for name, buffer in self._shown()]
        return f"<Packed: {', '.join([*packed, f'{_leaves(len(self.apart))} apart'])}>"

    def _shown(self) -> Iterator[tuple[str, str]]:
        for name, x in self.buffers.items():
            dtype, _, label = name.partition(" ")
            yield name, f"{dtype}{list(getattr(x, 'shape', ()))}{f' ({label})' if label else ''}"


def _leaves(count: int) -> str:
    return f"{count} {'leaf' if count == 1 else 'leaves'}"


def pack(params: Tree, *, below: int = SMALL, by: Any = None) -> Packed:
    """Put all leaves with fewer than ``below`` numbers into one buffer per dtype; larger leaves stay as they are.

        θ = (θ₁, θ₂, ...) → one vector;   loss(θ) → loss(unpack(vector))

    The result is a pytree: `jax.grad` of a loss that unpacks it is packed, the state of a transformation is packed, and
    ``update`` and `apply_updates` work as on any tree. Gradients of the unpacked tree are packed by `Packed.like`. The
    results are the same as without packing, for every transformation that treats each number by itself, and for a norm
    over all of them. Masks and groups choose whole buffers: pass as ``by`` the mask or labels that `masked` or
    `partition` will use, and leaves that it tells apart share no buffer. Whatever depends on single leaves is refused,
    with the reason: masks that would divide a buffer, formulas that reduce or depend on a shape, links of other
    libraries, rules over whole trees that do not say ``packs=True``.

    Where it pays: on a GPU with many small leaves, where every leaf is a kernel, and on a CPU if a step takes a
    millisecond or two. Where it does not: on a TPU, whose step gets no shorter and moves more bytes; where nearly all
    numbers are in large leaves. The README and ``benchmarks/RESULTS.md`` have the figures. The trap: leaves that are
    sharded over devices, or not floating-point, are not packed. Leaves that are not packed are the same arrays as in
    ``params``: if a step donates them, they are gone from ``params``, too.

    Raises `TransformationError`: ``below`` is not a whole number; ``by`` has no label for a leaf.

    >>> from gradtx import adam, apply_updates
    >>> packed = pack({"w": jnp.array([[1.0, 2.0]]), "b": jnp.array([0.5])})
    >>> packed
    <Packed: 2 leaves in float32[3], 0 leaves apart>
    >>> def loss(packed, x):
    ...     params = packed.unpack()
    ...     return jnp.sum((params["w"] @ x + params["b"]) ** 2)
    >>> tx = adam(0.5)
    >>> updates, state = tx.update(jax.grad(loss)(packed, jnp.ones(2)), tx.init(packed), packed)
    >>> apply_updates(packed, updates).unpack()["w"]
    Array([[0.5, 1.5]], dtype=float32)
    """
    if isinstance(below, bool) or not isinstance(below, int):
        raise TransformationError(f"pack: below: expected a whole number, found {below!r}")
    leaves, treedef = jax.tree.flatten(params)
    leaves = [_array(x) for x in leaves]
    paths = [trees.path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    told = trees.mask if trees.are_patterns(by) else trees.labels
    labels = [""] * len(leaves) if by is None else [f" {x}" for x in treedef.flatten_up_to(told(by, params))]
    small = [_is_small(x, below) for x in leaves]
    buffers = tuple(
        f"{jnp.dtype(x.dtype)}{label}" if own else None for x, label, own in zip(leaves, labels, small, strict=True)
    )
    return _arranged(leaves, Layout(treedef, tuple(paths), tuple(jnp.shape(x) for x in leaves), buffers))


def _array(x: Any) -> Any:
    try:
        return jnp.asarray(x)
    except (TypeError, ValueError):
        return x


def _is_small(x: Any, below: int) -> bool:
    if not jnp.issubdtype(getattr(x, "dtype", object), jnp.inexact) or x.size >= below:
        return False
    return isinstance(x, Tracer) or not isinstance(x, jax.Array) or x.sharding.is_fully_replicated


def _arranged(leaves: list[Any], layout: Layout) -> Packed:
    """The leaves of a tree in a layout."""
    buffers = {}
    for name in sorted({name for name in layout.buffers if name is not None}):
        own = [n for n, buffer in enumerate(layout.buffers) if buffer == name]
        parts = [jnp.asarray(leaves[n]) for n in own]
        for n, part in zip(own, parts, strict=True):
            if part.dtype != parts[0].dtype:
                beside = f"{parts[0].dtype} as in the leaves beside it"
                raise TransformationError(f"leaf {layout.paths[n]}: expected {beside}, found {part.dtype}")
        buffers[name] = jnp.concatenate([part.ravel() for part in parts])
    return Packed(buffers, tuple(x for x, name in zip(leaves, layout.buffers, strict=True) if name is None), layout)


# What rules ask of a tree that may be packed --------------------------------------------------------------------------


def is_packed(tree: Tree) -> bool:
    """Whether a tree is packed, or a part of it is."""
    return any(isinstance(x, Packed) for x in jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Packed)))


def choice(choose: Callable[[Tree], Tree], tree: Tree) -> Tree:
    """The choice that a mask or labels make for each leaf of a tree; for packed leaves, one choice per buffer.

    Raises `TransformationError`: they choose differently for two leaves in one buffer.
    """
    parts, treedef = jax.tree.flatten(tree, is_leaf=lambda x: x is None or isinstance(x, Packed))
    if not any(isinstance(part, Packed) for part in parts):
        return choose(tree)
    opened = choose(treedef.unflatten([_opened(part) if isinstance(part, Packed) else part for part in parts]))
    said = zip(parts, treedef.flatten_up_to(opened), strict=True)
    return treedef.unflatten([_of_buffers(part, own) if isinstance(part, Packed) else own for part, own in said])


def _opened(packed: Packed) -> Tree:
    """The unpacked tree, with shapes in place of the packed leaves."""
    layout, apart = packed.layout, iter(packed.apart)
    rows = zip(layout.shapes, layout.buffers, strict=True)
    found = [(shape, packed.buffers[name]) if name is not None else (None, next(apart)) for shape, name in rows]
    return layout.treedef.unflatten(
        [x if shape is None or x is None else jax.ShapeDtypeStruct(shape, x.dtype) for shape, x in found]
    )


def _of_buffers(packed: Packed, said: Tree) -> Packed:
    layout, buffers = packed.layout, {}
    words = layout.treedef.flatten_up_to(said)
    first: dict[str, str] = {}
    for path, name, word in zip(layout.paths, layout.buffers, words, strict=True):
        if name is None:
            continue
        if buffers.setdefault(name, word) != word:
            apart = "gradtx.pack(params, by=...) keeps apart what a mask or labels tell apart"
            raise TransformationError(f"it chooses between {first[name]} and {path}, which are in one buffer: {apart}")
        first.setdefault(name, path)
    rest = tuple(word for word, name in zip(words, layout.buffers, strict=True) if name is None)
    return Packed({name: buffers[name] for name in packed.buffers}, rest, layout)


def refuse_packed(tree: Tree, why: str) -> None:
    """Raise `TransformationError` where a tree is packed."""
    if is_packed(tree):
        raise TransformationError(f"{why}, and packed parameters (gradtx.pack) have no small leaves: unpack them")
