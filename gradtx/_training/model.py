"""A model: whatever people train, opened into arrays that training can hold, and put together again for the loss.

What is in it falls into three parts. *Parameters* are arrays, and train where they are in floating point. What is
*carried* are arrays that the model changes by itself, from step to step: running statistics, counts of random draws.
All else is *static*: functions, strings, None, Python's whole numbers and bools. A `Form` holds that, and is a constant
of the compiled program.

- A tree of arrays is itself.
- Any other tree trains its arrays; its other leaves are static. In an Equinox module Python's floats are too.
- An nnx module, or a tree of them, trains its variables of type ``nnx.Param``; its other variables are carried.
- Flax's variables with ``params`` and ``batch_stats`` train ``params``; their other collections are carried.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._value.errors import TransformationError

Tree = Any


@dataclass(frozen=True)
class Form:
    """The static part of a model. This one is that of a tree of arrays: there is nothing static."""

    @property
    def told(self) -> bool:
        """Whether the loss returns what is carried, beside its value."""
        return False

    def close(self, params: Tree, carried: Tree) -> Any:
        """The model, as the loss sees it."""
        return params

    def carry(self, model: Any, carried: Tree, returned: Any) -> Tree:
        """What is carried after the loss has used the model, and returned something beside its value."""
        return carried


class Opened(NamedTuple):
    """A model in its three parts."""

    params: Tree
    carried: Tree
    form: Form


def opened(who: str, model: Any) -> Opened:
    """A model in its three parts. Raises a `TransformationError` that names a leaf which can be in none of them."""
    nodes = _nnx_nodes()
    if nodes and _has(model, nodes):
        return _opened_nnx(model)
    if isinstance(model, Mapping) and {"params", "batch_stats"} <= set(model):
        parts = {name: jax.tree.map(jnp.asarray, part) for name, part in model.items()}
        return Opened(parts.pop("params"), parts, Variables())
    return opened_tree(f"{who}: params", model)


def checked(who: str, model: Any) -> Any:
    """The model, its leaves as arrays if it is a tree of arrays. Raises what `opened` raises."""
    params, _, form = opened(who, model)
    return params if type(form) is Form else model


def member(model: Any, n: Any) -> Any:
    """One of stacked models."""
    nodes = _nnx_nodes()
    if nodes and _has(model, nodes):
        params, carried, form = _opened_nnx(model)
        return form.close(*jax.tree.map(lambda x: x[n], (params, carried)))
    return jax.tree.map(lambda x: x[n] if isinstance(x, np.ndarray | jax.Array) else x, model)


def rebuilt(opened: Opened) -> Any:
    """The model of arrays that came back from a run; it can be called, as its arrays are JAX's."""
    params, carried, form = opened
    if type(form) is Form:
        return params
    return form.close(jax.tree.map(jnp.asarray, params), carried)


# A tree whose leaves are partly no arrays -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Mixed(Form):
    """A tree some of whose leaves are static: those that are not None."""

    structure: Any
    static: tuple[Any, ...]
    kinds: tuple[type, ...]  # so that 1 is not True, nor 1.0

    def close(self, params: Tree, carried: Tree) -> Any:
        pairs = zip(trees.flatten(params)[0], self.static, strict=True)
        return self.structure.unflatten([fixed if x is None else x for x, fixed in pairs])


def opened_tree(who: str, model: Any) -> Opened:
    """A tree in its three parts."""
    leaves, structure = trees.flatten(model)
    inside = _in_equinox(model)
    each = zip(trees.paths(model), leaves, inside, strict=True)
    fixed = [x is not None and _is_static(who, path, x, module) for path, x, module in each]
    if not any(fixed):
        return Opened(trees.map(jnp.asarray, model), None, Form())
    if all(x is None or static for x, static in zip(leaves, fixed, strict=True)):
        raise TransformationError(f"{who}: expected at least one array, found {model!r}")
    arrays = [None if x is None or static else jnp.asarray(x) for x, static in zip(leaves, fixed, strict=True)]
    constants = tuple(x if static else None for x, static in zip(leaves, fixed, strict=True))
    return Opened(structure.unflatten(arrays), None, Mixed(structure, constants, tuple(map(type, constants))))


def _is_static(who: str, path: str, x: Any, module: bool) -> bool:
    """Whether a leaf is no array, but a constant. Raises for one that can be neither."""
    if isinstance(x, jax.Array):
        return False
    if isinstance(x, float | complex) and module and not isinstance(x, np.generic):
        return True
    if not isinstance(x, bool | int | str | bytes) and not callable(x):
        try:
            jax.eval_shape(lambda: jnp.asarray(x))
            return False
        except (TypeError, ValueError):
            pass
    try:
        hash(x)
    except TypeError:
        where = f"leaf {path}: " if path else ""
        raise TransformationError(
            f"{who}: {where}expected an array, or a constant that hashes, found {type(x).__name__}"
        ) from None
    return True


def _in_equinox(model: Any) -> list[bool]:
    """For every leaf, None included, whether it is inside an Equinox module."""
    module, found = _equinox_module(), []
    for x in jax.tree.leaves(model, is_leaf=lambda x: x is None or (module is not None and isinstance(x, module))):
        inside = module is not None and isinstance(x, module)
        found += [True] * len(trees.flatten(x)[0]) if inside else [False]
    return found


def _equinox_module() -> Any:
    return getattr(sys.modules.get("equinox"), "Module", None)


# Flax's variables -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variables(Form):
    """Variables of Flax: the loss returns the collections that it changed, as ``apply(..., mutable=[...])`` does."""

    @property
    def told(self) -> bool:
        return True

    def close(self, params: Tree, carried: Tree) -> Any:
        return {"params": params, **carried}

    def carry(self, model: Any, carried: Tree, returned: Any) -> Tree:
        if returned is None:
            return carried
        wrong = None if isinstance(returned, Mapping) else type(returned).__name__
        if wrong is None:
            wrong = next((repr(name) for name in returned if name not in carried), None)
        if wrong is not None:
            raise TransformationError(
                f"loss: expected it to return (value, collections), with some of {', '.join(carried)}, found {wrong}"
            )
        return {**carried, **{name: returned[name] for name in carried if name in returned}}


# nnx ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph(Form):
    """Modules of nnx: their graph, and where each variable stands. The loss changes what is carried in place."""

    graph: Any
    places: tuple[tuple[tuple[Any, ...], ...], ...]
    structures: tuple[Any, ...]

    def close(self, params: Tree, carried: Tree) -> Any:
        parts = (params, carried)
        states = [
            structure.unflatten([_get(part, path) for path in paths])
            for part, paths, structure in zip(parts, self.places, self.structures, strict=True)
        ]
        return sys.modules["flax.nnx"].merge(self.graph, *states)

    def carry(self, model: Any, carried: Tree, returned: Any) -> Tree:
        nnx = sys.modules["flax.nnx"]
        now = dict(_at_places(nnx.split(model, nnx.Param, ...)[2]))
        return _nested([(path, now[path]) for path in self.places[1]])


def _opened_nnx(model: Any) -> Opened:
    nnx = sys.modules["flax.nnx"]
    graph, *states = nnx.split(model, nnx.Param, ...)
    found = [_at_places(state) for state in states]
    params, carried = map(_nested, found)
    places = tuple(tuple(path for path, _ in each) for each in found)
    return Opened(params, carried, Graph(graph, places, tuple(jax.tree.structure(state) for state in states)))


def _at_places(state: Any) -> list[tuple[tuple[Any, ...], jax.Array]]:
    """The arrays of a state of nnx, each under the path of its variable."""
    found = []
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        names = [getattr(key, "key", getattr(key, "name", getattr(key, "idx", None))) for key in path]
        if isinstance(path[-1], jax.tree_util.GetAttrKey):  # the value of a variable
            names.pop()
        found.append((tuple(names), jnp.asarray(x)))
    return found


def _nested(items: list[tuple[tuple[Any, ...], Any]]) -> dict[Any, Any]:
    tree: dict[Any, Any] = {}
    for path, x in items:
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = x
    return tree


def _get(tree: Tree, path: tuple[Any, ...]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _nnx_nodes() -> tuple[type, ...]:
    """The types of nnx's modules, where nnx is in use."""
    names = vars(sys.modules["flax.nnx"]) if "flax.nnx" in sys.modules else {}
    return tuple(names[name] for name in ("Pytree", "Object", "Module") if name in names)


def _has(tree: Any, kind: Any) -> bool:
    """Whether there is an object of that kind in a tree."""
    return any(isinstance(x, kind) for x in jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, kind)))


# Models from a key ----------------------------------------------------------------------------------------------------


def is_initializer(params: Any) -> bool:
    """Whether a model is yet to be made by a function of a key. A callable module is not: it is a tree of arrays."""
    nodes = _nnx_nodes()
    if not callable(params) or (nodes and isinstance(params, nodes)):
        return False
    leaf = jax.tree_util.treedef_is_leaf(jax.tree.structure(params))
    return leaf or isinstance(params, jax.tree_util.Partial) or not jax.tree.leaves(params)


def made_of(open_: Callable[[Any], Opened], make: Callable[..., Any], key: jax.Array) -> Opened:
    """The form of a model that is made of a key, and the shapes of its arrays."""
    forms = []

    def arrays(key: jax.Array) -> Any:
        *parts, form = open_(make(key))
        forms.append(form)
        return parts

    params, carried = jax.eval_shape(arrays, key)
    return Opened(params, carried, forms[0])
