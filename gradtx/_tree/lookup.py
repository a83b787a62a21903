"""Values in a tree by the name that they have there, whatever is around them: for states of any transformation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from gradtx._tree.paths import Tree, is_none

Path = tuple[Any, ...]
Filter = Callable[[Path, Any], bool]


@dataclass(frozen=True)
class NamedTupleKey:
    """An entry of a path: the field ``name`` of a named tuple of the type ``tuple_name``.

    >>> str(NamedTupleKey("ScaleByAdamState", "mu"))
    'ScaleByAdamState.mu'
    """

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


def get_all_with_path(tree: Tree, key: Any, filtering: Filter | None = None) -> list[tuple[Path, Any]]:
    """Every value of that name, with its path: first those nearest to the root.

    ``key`` is a key of a mapping, a field of a named tuple or of another node with named children, or the name of the
    type of a named tuple. A value counts even if it is a subtree, and is searched in its turn. ``filtering(path,
    value)`` says which to keep; in a path, a field of a named tuple is a `NamedTupleKey`.

    >>> state = {"slow": {"count": 1}, "fast": [{"count": 2}]}
    >>> [(jax.tree_util.keystr(path), value) for path, value in get_all_with_path(state, "count")]
    [("['fast'][0]['count']", 2), ("['slow']['count']", 1)]
    """
    return [(path, value) for path, value in _found((), tree, key) if filtering is None or filtering(path, value)]


def get(tree: Tree, key: Any, default: Any = None, filtering: Filter | None = None) -> Any:
    """The one value of that name, as for `get_all_with_path`; ``default`` if there is none.

    Raises `KeyError`: more than one value.

    >>> from gradtx import adam
    >>> int(get(adam(0.1).init({"w": 0.0}), "count"))
    0
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        places = ", ".join(jax.tree_util.keystr(path) or "the root" for path, _ in found)
        raise KeyError(f"Found multiple values for {key!r}: at {places}; filtering chooses one")
    return found[0][1] if found else default


def set(tree: Tree, filtering: Filter | None = None, /, **kwargs: Any) -> Tree:
    """A copy in which every value of these names is replaced; names and ``filtering`` as for `get_all_with_path`.

    Values of one name are found at any depth, also beside and below one that is replaced elsewhere (Optax leaves some
    of those as they are). Raises `KeyError`: a name without a value.

    >>> set({"slow": {"count": 1}, "mu": 0.5}, count=7)
    {'slow': {'count': 7}, 'mu': 0.5}
    """
    for key in kwargs:
        if not get_all_with_path(tree, key, filtering):
            left = " that filtering keeps" if filtering else ""
            raise KeyError(f"Found no value for {key!r}{left}")
    return _replaced((), tree, kwargs, filtering)


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Tree,
    /,
    *rest: Tree,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Tree:
    """``f`` on everything that a state keeps for parameters, such as moments; the rest of the state as it is.

    ``initable`` is the transformation, of gradtx or of another library, or its ``init``; which parts of its state are
    trees like the parameters is found by a call of it. ``rest`` are trees like the parameters, such as their shardings:
    ``f(array, *leaves)`` gets the leaf of each beside every array that is kept for a parameter, also if there are
    several (factors) or if they have another shape. ``None`` in a state stays. ``transform_non_params`` is applied to
    all other leaves, such as counts; ``is_leaf`` is that of `jax.tree.map`.

    >>> from gradtx import adam
    >>> tx = adam(0.1)
    >>> specs = map_params(tx, lambda _, spec: spec, tx.init({"w": 0.0}), {"w": "rows"})
    >>> specs["scale_by_ewma"], int(specs["count"])
    ({'mu': {'w': 'rows'}}, 0)
    """
    init = getattr(initable, "init", initable)

    def mapped(kept: Any, value: Any) -> Any:
        if isinstance(kept, _Params):
            return _beside(f, value, rest, is_leaf)
        return value if transform_non_params is None else transform_non_params(value)

    return jax.tree.map(mapped, init(_Params()), state, is_leaf=lambda x: isinstance(x, _Params))


@jax.tree_util.register_pytree_node_class
class _Params:
    """Stands for the parameters: a tree without leaves, which comes back wherever a state has a tree like them."""

    def tree_flatten(self) -> tuple[tuple[()], None]:
        return (), None

    @classmethod
    def tree_unflatten(cls, _: None, children: Any) -> "_Params":
        return cls()


def _beside(f: Callable[..., Any], value: Any, rest: Sequence[Any], is_leaf: Callable[[Any], bool] | None) -> Any:
    """``f`` on the arrays of a tree like the parameters, which may have several for each."""

    def ends(x: Any) -> bool:
        return x is None or (is_leaf is not None and is_leaf(x))

    def present(x: Any, *others: Any) -> Any:
        return None if x is None else f(x, *others)

    leaves, treedef = jax.tree.flatten(value, is_leaf=ends)
    try:
        columns = [treedef.flatten_up_to(tree) for tree in rest]
    except (ValueError, TypeError):  # deeper than the parameters
        outer = jax.tree.structure(rest[0], is_leaf=is_none)
        columns = [outer.flatten_up_to(tree) for tree in (value, *rest)]
        parts = [
            jax.tree.map(lambda x, others=others: present(x, *others), part, is_leaf=ends)
            for part, *others in zip(*columns, strict=True)
        ]
        return outer.unflatten(parts)
    return treedef.unflatten([present(x, *others) for x, *others in zip(leaves, *columns, strict=True)])


# Nodes and their names ------------------------------------------------------------------------------------------------


def _found(path: Path, tree: Tree, key: Any) -> Iterator[tuple[Path, Any]]:
    nodes = list(_nodes_with(path, tree, key))
    for at, node in nodes:
        if key == _type_name(node):
            yield at, node
        else:
            yield from ((own, child) for own, child in _children(at, node) if _name_of(own[-1]) == key)
    for at, node in nodes:
        for own, child in _children(at, node):
            yield from _found(own, child, key)


def _nodes_with(path: Path, node: Any, key: Any) -> Iterator[tuple[Path, Any]]:
    """The topmost nodes that have a child of that name, or are of a type of that name."""
    children = _children(path, node)
    if (key == _type_name(node)) or any(_name_of(own[-1]) == key for own, _ in children):
        yield path, node
    else:
        for own, child in sorted(children, key=_sorted_as(node)):
            yield from _nodes_with(own, child, key)


def _sorted_as(node: Any) -> Callable[[tuple[Path, Any]], Any]:
    """The order of JAX: the keys of a plain mapping are sorted, other children stay where they are."""
    return (lambda child: child[0][-1].key) if type(node) is dict else (lambda child: 0)


def _children(path: Path, node: Any) -> list[tuple[Path, Any]]:
    """The children of a node, each with its path; none if it is a leaf."""
    if type(node) is dict:
        return [((*path, jax.tree_util.DictKey(key)), child) for key, child in node.items()]
    fields = getattr(type(node), "_fields", None)
    if isinstance(node, tuple) and fields is not None:
        name = type(node).__name__
        return [((*path, NamedTupleKey(name, key)), child) for key, child in zip(fields, node, strict=True)]
    below, _ = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    return [((*path, *own), child) for own, child in below if own]


def _name_of(entry: Any) -> Any:
    """The name of a child, by the last entry of its path; the entry itself where children are counted."""
    return getattr(entry, "name", getattr(entry, "key", entry)) if not isinstance(entry, COUNTED) else entry


COUNTED = (jax.tree_util.SequenceKey, jax.tree_util.FlattenedIndexKey)


def _type_name(node: Any) -> str | None:
    return type(node).__name__ if isinstance(node, tuple) and hasattr(node, "_fields") else None


def _replaced(path: Path, node: Any, values: dict[str, Any], filtering: Filter | None) -> Any:
    def chosen(at: Path, x: Any) -> bool:
        return filtering is None or filtering(at, x)

    name = _type_name(node)
    if name in values and chosen(path, node):
        return values[name]
    children = _children(path, node)
    if not children:
        return node
    new = [
        values[key] if (key := _name_of(own[-1])) in values and chosen(own, child) else child for own, child in children
    ]
    new = [
        _replaced(own, child, values, filtering) if x is child else x
        for x, (own, child) in zip(new, children, strict=True)
    ]
    if type(node) is dict:
        return dict(zip(node, new, strict=True))
    if name is not None:
        return type(node)(*new)
    return jax.tree.structure(node, is_leaf=lambda x: x is not node).unflatten(new)
