"""States of the optimizers of Keras 3. Keras is not imported: its variables turn themselves into NumPy's arrays."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradtx._interop.recipe import Buffers, Kept, Slot, as_numpy, in_order, number, whole
from gradtx._rules.fields import reals_in
from gradtx._rules.protocol import State, Tree
from gradtx._rules.transformation import GradientTransformation
from gradtx._schedules.schedule import is_scheduled
from gradtx._value.errors import TransformationError, within
from gradtx._value.floating import real_dtype


class Kind(NamedTuple):
    """An optimizer of Keras.

    ``blocks``: the buffers in Keras' order. Those of a block come together for each parameter; the blocks follow each
    other. ``shared``: single numbers for all parameters, at the end.
    """

    name: str
    blocks: tuple[tuple[Slot, ...], ...]
    shared: tuple[Slot, ...] = ()

    @property
    def slots(self) -> list[Slot]:
        """All buffers."""
        return [slot for block in self.blocks for slot in block] + list(self.shared)


ADAM = (Slot("momentum", "mu"), Slot("velocity", "nu"))


def _sgd(link: Any) -> Kind:
    velocity = Slot("momentum", "trace", lambda rate: -rate)  # Keras keeps the step itself
    return Kind("SGD", () if link.momentum is None else ((velocity,),))


def _amsgrad(link: Any) -> Kind:
    if link.maximum != "raw":
        raise TransformationError("amsgrad: Keras takes the maximum before the correction: amsgrad(..., maximum='raw')")
    return Kind("Adam", (ADAM, (Slot("velocity_hat", "nu_max"),)))


def _nadam(link: Any) -> Kind:
    if link.momentum_decay is None:
        raise TransformationError("nadam: Keras' momentum warms up: nadam(..., momentum_decay=1.0)")
    return Kind("Nadam", (ADAM,), (Slot("u_product", "product"),))


def _rmsprop(link: Any) -> Kind:
    steps = [(Slot("momentum", "momentum.trace", lambda rate: -1.0),)]  # it is subtracted there, added here
    averaged = [(Slot("average_gradient", "mu"),)] if link.centered else []
    return Kind("RMSprop", ((Slot("velocity", "nu"),), *([] if link.momentum is None else steps), *averaged))


KINDS: dict[str, Callable[[Any], Kind]] = {
    "sgd": _sgd,
    "adam": lambda link: Kind("Adam", (ADAM,)),
    "adamw": lambda link: Kind("AdamW", (ADAM,)),
    "amsgrad": _amsgrad,
    "adamax": lambda link: Kind("Adamax", ((Slot("momentum", "mu"), Slot("norm", "nu")),)),
    "nadam": _nadam,
    "rmsprop": _rmsprop,
    "adagrad": lambda link: Kind("Adagrad", ((Slot("accumulator", "nu"),),)),
    "adadelta": lambda link: Kind(
        "Adadelta", ((Slot("accumulated_grad", "e_g"), Slot("accumulated_delta_var", "e_x")),)
    ),
    "lion": lambda link: Kind("Lion", ((Slot("momentum", "mu"),),)),
}


def from_keras_state(
    tx: GradientTransformation, params: Tree, variables: Any, *, names: Mapping[str, str] | None = None
) -> State:
    """The state with which ``tx`` goes on where an optimizer of Keras 3 stopped.

    ``variables`` is ``optimizer.variables``, their arrays in that order, or what ``save_own_variables`` writes: a
    mapping from "0", "1" ... to arrays. ``tx`` is, or has in it, the recipe of the same name: `sgd`, `adam`, `adamw`,
    ``amsgrad(maximum="raw")``, `adamax`, ``nadam(momentum_decay=1.0)``, `rmsprop`, `adagrad`, `adadelta`, `lion`.
    Parameters are matched by ``names``, which maps the paths of Keras' parameters to ours, ``{"dense/kernel": "w",
    "dense/bias": "b"}``, in Keras' order (or in any order, if ``variables`` are Keras' own, which know their paths);
    without it, in the order of the leaves of ``params``. Frozen leaves are left out. What Keras has no counterpart of
    starts as in ``tx.init(params)``.

    Keras' SGD keeps its momentum times −α, its RMSprop with the other sign: the learning rate α is that of ``tx`` at
    the next step. The traps: JAX sorts the keys of mappings, so that without ``names`` two leaves of one shape change
    places without an error; Keras' Adam adds its ε before the correction of √ν, so it is ours with
    ``eps=lambda step: epsilon / jnp.sqrt(1 - b2 ** (step + 1))``; and its Adamax adds ε outside of the maximum.

    Raises `TransformationError`, at the first that differs: variables of another optimizer, another number of them
    (Keras' ``use_ema`` and ``gradient_accumulation_steps`` add some), other shapes.

    >>> from gradtx import sgd
    >>> from_keras_state(sgd(0.5, 0.9), jnp.zeros(1), [np.array(3), np.array(0.5), np.array([-1.0])])
    {'trace': Array([2.], dtype=float32)}
    """
    return within("from_keras_state", _from)(tx, params, variables, names)


def _from(tx: Any, params: Tree, variables: Any, names: Any) -> State:
    kept = Kept(tx, params, tx.init(params), KINDS)
    kind = _only_kind(kept)
    given = _listed(variables)
    held = kept.held()
    order = list(in_order(held, kept, names).values())
    count = sum(map(len, kind.blocks)) * len(order) + len(kind.shared)
    if len(given) - count not in (1, 2):
        blocks = ", ".join(slot.theirs for slot in kind.slots) or "nothing else"
        raise TransformationError(
            f"expected {count + 2} variables of {kind.name} (iteration, learning_rate where it is no schedule, and "
            f"{blocks} of {', '.join(order)}), found {len(given)}: it is another optimizer, or of other parameters"
        )
    head, rest = given[: len(given) - count], given[len(given) - count :]
    for name, x in zip(("iteration", "learning_rate"), head, strict=False):
        if np.shape(as_numpy(x)) != ():
            raise TransformationError(f"{name}: expected one number, found shape {np.shape(as_numpy(x))}")
    rows: dict[str, Buffers] = {path: {} for path in order}
    found = iter(rest)
    for path, slot in _places(kind, _order(kind, rest, names, order)):
        x = next(found)
        _check_name(path, slot, x)
        rows[path][slot.theirs] = as_numpy(x)
    for slot in kind.shared:
        shared = as_numpy(next(found))
        for row in rows.values():
            row[slot.theirs] = shared
    return kept.filled(rows, within("iteration", whole)(head[0]))


def to_keras_state(
    tx: GradientTransformation,
    params: Tree,
    state: State,
    *,
    names: Mapping[str, str] | None = None,
    step: Any = None,
) -> dict[str, np.ndarray]:
    """The inverse of `from_keras_state`: the mapping that ``optimizer.load_own_variables`` takes (build it first).

    The learning rate is among them where that of ``tx`` is a number; Keras has none there under a schedule. ``step`` is
    the number of updates, if ``tx`` does not count (all but Adam and its kin). What Keras has no counterpart of is left
    out. Raises `TransformationError`: a state of another transformation; no ``step``; recipes with several rates.

    >>> from gradtx import sgd
    >>> to_keras_state(sgd(0.5, 0.9), jnp.zeros(1), {"trace": jnp.array([2.0])}, step=3)["2"]
    array([-1.], dtype=float32)
    """
    return within("to_keras_state", _to)(tx, params, state, names, step)


def _to(tx: Any, params: Tree, state: State, names: Any, step: Any) -> dict[str, np.ndarray]:
    kept = Kept(tx, params, state, KINDS)
    kind = _only_kind(kept)
    n = kept.counted(kept.count(), step)
    rows, held = kept.read(n), kept.held()
    order = list(in_order(held, kept, names).values())
    frozen = [path for path in order if path not in held]
    if frozen:
        raise TransformationError(f"names: leaf {frozen[0]}: it is frozen, so Keras has nothing for it: leave it out")
    rates = {number(recipe.link, "learning_rate", n) for recipe in kept.recipes}
    if len(rates) > 1:
        raise TransformationError(f"Keras has one learning rate, found {', '.join(map(str, sorted(rates)))}")
    made: list[Any] = [np.array(n, np.int32)]
    if not is_scheduled(kept.recipes[0].link.given["learning_rate"]):
        made.append(np.array(rates.pop(), real_dtype(*reals_in(params))))
    made += [rows[path][slot.theirs] for path, slot in _places(kind, order)]
    made += [rows[order[0]][slot.theirs] for slot in kind.shared]
    return {str(n): x for n, x in enumerate(made)}


def _only_kind(kept: Kept[Kind]) -> Kind:
    kinds = [recipe.kind for recipe in kept.recipes]
    lists = list(dict.fromkeys(", ".join(slot.theirs for slot in kind.slots) for kind in kinds))
    if len(lists) > 1:
        raise TransformationError(f"Keras keeps the same for all parameters, found {' and '.join(map(repr, lists))}")
    return kinds[0]


def _places(kind: Kind, order: Iterable[str]) -> list[tuple[str, Slot]]:
    """The parameter and the buffer of every variable after the iteration and the rate, in Keras' order."""
    order = list(order)
    return [(path, slot) for block in kind.blocks for path in order for slot in block]


def _listed(variables: Any) -> list[Any]:
    if not hasattr(variables, "keys"):
        return list(variables)
    keys = sorted(variables.keys(), key=lambda key: int(key) if str(key).isdigit() else -1)
    if keys != [str(n) for n in range(len(keys))]:
        raise TransformationError(f"variables: expected the keys '0', '1' ..., found {', '.join(map(repr, keys))}")
    return [variables[key] for key in keys]


def _order(kind: Kind, rest: list[Any], names: Mapping[str, str] | None, order: list[str]) -> list[str]:
    """Our paths in Keras' order: as its variables say, if they know their paths."""
    first = kind.blocks[0] if kind.blocks else ()
    leading = rest[: len(first) * len(order) : len(first) or 1]
    if names is None or not first or not all(hasattr(x, "path") for x in leading):
        return order
    by_name = {name.replace("/", "_"): path for name, path in names.items()}
    theirs = [x.path.rpartition("/")[2].removesuffix(f"_{first[0].theirs}") for x in leading]
    absent = next((name for name in theirs if name not in by_name), None)
    if absent is not None:
        raise TransformationError(f"names: expected a path for Keras' {absent!r}, found {', '.join(names)}")
    return [by_name[name] for name in theirs]


def _check_name(path: str, slot: Slot, x: Any) -> None:
    name = getattr(x, "path", None)
    if name is not None and not name.endswith(f"_{slot.theirs}"):
        raise TransformationError(
            f"leaf {path}: expected its {slot.theirs}, found {name!r}: take the recipe of the optimizer that was saved"
        )
