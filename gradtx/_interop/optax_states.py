"""States of Optax from ours, and ours from Optax's."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._interop import optax_types
from gradtx._interop.contrib_layouts import with_averages
from gradtx._interop.layouts import layout_of
from gradtx._interop.pieces import Layout, Piece
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError

Tree = Any


def written(layout: Layout, state: Any) -> Any:
    """A state of ours in a layout of Optax."""
    return jax.tree.map(lambda leaf: _out(Piece.of(leaf), state), layout)


def _out(piece: Piece, state: Any) -> Any:
    return piece.out(*(_entry(state, path) for path in piece.paths))


def _entry(state: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        known = state if isinstance(state, Mapping) else getattr(state, "_asdict", dict)()
        if name not in known:  # a link without state has no entry; what needs no step keeps no count
            return jnp.zeros([], jnp.int32) if name == "count" else {}
        state = known[name]
    return state


def read(layout: Layout, state: Any) -> dict[str, Any]:
    """The entries of our state, from one of Optax in that layout."""
    leaves, treedef = jax.tree.flatten(layout)
    made: dict[str, Any] = {}
    for leaf, part in zip(leaves, treedef.flatten_up_to(state), strict=True):
        piece = Piece.of(leaf)
        for path, entry in zip(piece.paths, piece.back(part), strict=True):
            if not (piece.whole and isinstance(entry, dict) and not entry):
                _put(made, path.split(".") if path else [], entry)
    return made


def _put(top: dict[str, Any], path: list[str], entry: Any) -> None:
    if not path:
        top.update(entry)
        return
    made: Any = top
    for name in path[:-1]:
        made = made.setdefault(name, {})
    if path[-1] == "count" and "count" in made:  # links that count together here count each for itself there,
        made["count"] = jnp.maximum(made["count"], entry)  # and some of them not far
    else:
        made.setdefault(path[-1], entry)


def to_optax_state(tx: GradientTransformation, params: Tree, state: Any) -> Any:
    """The state that Optax's counterpart of a transformation would have here, to go on with Optax.

    Moments, counts and accumulators are moved over as they are; nothing is computed. If Optax is installed, the result
    is made of its own named tuples, and of ones of the same names and fields otherwise. The parts of a transformation
    that Optax does not have keep their state as it is. Chains in chains are one chain here, and so is their state; one
    of which all links have names is Optax's ``named_chain``. The trap: a count that nothing depends on (Lion's) is not
    kept here, so that it starts again. Raises `TransformationError`: a state that is not of ``tx``.

    >>> import gradtx
    >>> tx, params = gradtx.sgd(0.1, 0.9), jnp.zeros(1)
    >>> to_optax_state(tx, params, tx.init(params))[0].trace
    Array([0.], dtype=float32)
    """
    _expect_like(jax.eval_shape(tx.init, params), state, "to_optax_state")
    made = written(layout_of(tx), state)
    try:
        return renamed(made, _of_optax)
    except ImportError:
        return made


def from_optax_state(tx: GradientTransformation, params: Tree, state: Any) -> Any:
    """The state with which ``tx`` goes on where Optax's counterpart of it has stopped.

    ``state`` is what Optax's ``init`` or ``update`` returned, or what a checkpoint gave back of it: named tuples, or
    the dictionaries and lists that Flax and Orbax make of them. Raises `TransformationError`: a state of another
    optimizer; the error names the first difference.

    >>> import gradtx, optax
    >>> params = jnp.zeros(1)
    >>> from_optax_state(gradtx.sgd(0.1, 0.9), params, optax.sgd(0.1, 0.9).init(params))
    {'trace': Array([0.], dtype=float32)}
    """
    layout, like = layout_of(tx), jax.eval_shape(tx.init, params)
    state = renamed(state, lambda kind: getattr(optax_types, kind.__name__, kind))
    is_own = layout == ""  # a transformation of gradtx.optax has Optax's form itself
    made = with_averages(_as_layout(like if is_own else layout, state, ""), params)
    made = made if is_own else _shaped(like, read(layout, made))
    _expect_like(like, made, "from_optax_state")
    found = _by_path(made)  # a checkpoint may have other containers
    leaves = [x if kind is None else jnp.asarray(x, kind.dtype) for x, kind in _pairs(like, found)]
    return trees.flatten(like)[1].unflatten(leaves)


def renamed(state: Any, kind: Callable[[type], Any]) -> Any:
    """The state with its named tuples exchanged, however deep."""
    fields = _fields_of(state)
    if fields is not None:
        own = kind(type(state))
        known = {name: renamed(part, kind) for name, part in zip(fields, state, strict=True)}
        return own(**{name: known.get(name) for name in own._fields})
    if isinstance(state, list | tuple):
        return type(state)(renamed(part, kind) for part in state)
    if isinstance(state, dict):
        return type(state)((name, renamed(part, kind)) for name, part in state.items())
    return state


def _of_optax(kind: type) -> type:
    import optax
    from optax._src import linesearch, transform
    from optax.schedules import _inject
    from optax.transforms import _adding

    if kind.__module__ != optax_types.__name__:
        return kind
    places = (optax, optax.contrib, transform, linesearch, _adding, _inject)
    return next(getattr(place, kind.__name__) for place in places if hasattr(place, kind.__name__))


def _as_layout(layout: Any, state: Any, path: str) -> Any:
    """A restored state in the containers of the layout: dictionaries and lists in place of named tuples are read."""
    names = _fields_of(layout)
    if isinstance(layout, tuple) and names is None:
        return _as_chain(layout, state, path)
    if names is not None:
        parts = _parts(state, names, getattr(layout, "_field_defaults", {}))
        if parts is None:
            raise TransformationError(f"from_optax_state: {_at(path)}expected {_kind(layout)}, found {_kind(state)}")
        made = [_as_layout(getattr(layout, name), x, f"{path}.{name}") for name, x in zip(names, parts, strict=True)]
        return type(layout)(*made)
    if isinstance(layout, OrderedDict) and _elements(state) is not None:  # a chain of the same links without names
        return OrderedDict(zip(layout, _as_chain(tuple(layout.values()), state, path), strict=True))
    if isinstance(layout, dict) and isinstance(state, Mapping):
        absent = [name for name in layout if name not in state and str(name) not in state]
        if absent:
            raise TransformationError(
                f"from_optax_state: {_at(path)}expected an entry {absent[0]!r}, found {list(state)}"
            )
        found = {name: state[name] if name in state else state[str(name)] for name in layout}
        return type(layout)((name, _as_layout(x, found[name], f"{path}.{name}")) for name, x in layout.items())
    return state


def _as_chain(layout: Any, state: Any, path: str) -> Any:
    """The states of a chain, however its links are bracketed on either side."""
    rest = deque(_elements(state) or [])
    size = len(rest)

    def filled(own: Any, path: str) -> Any:
        if isinstance(own, tuple) and _fields_of(own) is None:
            return tuple(filled(part, f"{path}.{n}") for n, part in enumerate(own))
        while rest and isinstance(own, tuple | dict) and (within := _elements(rest[0])) is not None:
            rest.popleft()
            rest.extendleft(reversed(within))
        if not rest:
            raise complaint
        return _as_layout(own, rest.popleft(), path)

    complaint = TransformationError(f"from_optax_state: {_at(path)}expected {_kind(layout)}, found {_kind(state)}")
    made = filled(layout, path)
    if rest or (layout and not size):
        raise complaint
    return made


def _elements(state: Any) -> list[Any] | None:
    """The states in that of a chain: a tuple, or what a checkpoint makes of it; None for anything else."""
    if isinstance(state, Mapping):
        return (
            [state[name] for name in sorted(state, key=int)] if state and all(str(n).isdigit() for n in state) else None
        )
    return list(state) if isinstance(state, list | tuple) and _fields_of(state) is None else None


def _fields_of(x: Any) -> tuple[str, ...] | None:
    """The fields of a named tuple; None for anything else."""
    return getattr(x, "_fields", None) if isinstance(x, tuple) else None


def _parts(state: Any, names: tuple[str, ...], defaults: Mapping[str, Any]) -> list[Any] | None:
    if _fields_of(state) is not None:
        return list(state) if _fields_of(state) == names else None
    if isinstance(state, Mapping):
        required = set(names) - set(defaults)
        known = {**defaults, **state}
        return [known[name] for name in names] if required <= set(map(str, state)) <= set(names) else None
    return [] if not names and (state is None or state == {} or state == ()) else None


def _kind(x: Any) -> str:
    if (fields := _fields_of(x)) is not None:
        return f"{type(x).__name__}({', '.join(fields)})"
    return f"a {type(x).__name__} of {len(x)}" if isinstance(x, tuple | list | Mapping) else type(x).__name__


def _at(path: str) -> str:
    return f"state{path}: " if path else ""


def _shaped(like: Any, made: Any) -> Any:
    """The entries in the containers of our own state; a count that nothing here depends on is left out."""
    if isinstance(like, dict) and isinstance(made, dict):
        known = {name: _shaped(x, made[name]) if name in made else x for name, x in like.items()}
        return known | {name: x for name, x in made.items() if name not in like and name != "count"}
    if like is None and isinstance(made, Mapping) and not made:  # what Flax makes of a leaf behind a mask
        return None
    if (fields := _fields_of(like)) is not None and isinstance(made, dict):
        return type(like)(*(_shaped(getattr(like, name), made.get(name, getattr(like, name))) for name in fields))
    return made


def _expect_like(like: Any, state: Any, who: str) -> None:
    """Raise `TransformationError` unless a state has the structure and the shapes of ``like``."""
    expected, found = _by_path(like), _by_path(state)
    for path in [*expected, *found]:
        absent = path not in found or isinstance(found[path], jax.ShapeDtypeStruct)
        right = _form(expected[path]) if path in expected else "none"
        wrong = "none" if absent else _form(found[path])
        if right != wrong:
            raise TransformationError(f"{who}: state leaf {path}: expected {right}, found {wrong}")


def _by_path(tree: Tree) -> dict[str, Any]:
    return dict(zip(trees.paths(tree), trees.flatten(tree)[0], strict=True))


def _pairs(like: Tree, found: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(found[path], kind) for path, kind in zip(trees.paths(like), trees.flatten(like)[0], strict=True)]


def _form(x: Any) -> str:
    return "None" if x is None else f"shape {jnp.shape(x)}"
