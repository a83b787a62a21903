"""States of PyTorch's optimizers. PyTorch is not imported: its tensors turn themselves into NumPy's."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradtx import tree as trees
from gradtx._interop.recipe import Buffers, Kept, Slot, as_numpy, in_order, number, whole
from gradtx._rules.protocol import State, Tree
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError, within


class Kind(NamedTuple):
    """An optimizer of PyTorch.

    ``switches``: what its ``param_groups`` must say, None where they must not have the name. ``made``: numbers beside
    the buffers that follow from the numbers of the recipe and the step. ``steps``: whether it counts.
    """

    name: str
    slots: tuple[Slot, ...]
    switches: Mapping[str, Any] = {}
    made: Callable[[int], Mapping[str, float]] = lambda step: {}
    steps: bool = True

    @property
    def buffers(self) -> list[str]:
        """What it keeps for every parameter."""
        return sorted([slot.theirs for slot in self.slots] + list(self.made(1)) + ["step"] * self.steps)


AVERAGE, SQUARE = Slot("exp_avg", "mu"), Slot("exp_avg_sq", "nu")


def _sgd(link: Any) -> Kind:
    slots = () if link.momentum is None else (Slot("momentum_buffer", "trace"),)
    return Kind("SGD", slots, {"nesterov": link.nesterov, "dampening": 0}, steps=False)


def _adam(link: Any) -> Kind:
    return Kind("Adam", (AVERAGE, SQUARE), {"amsgrad": False})


def _amsgrad(link: Any) -> Kind:
    if link.maximum != "raw":
        raise TransformationError(
            "amsgrad: PyTorch takes the maximum before the correction: amsgrad(..., maximum='raw')"
        )
    return Kind("Adam", (AVERAGE, SQUARE, Slot("max_exp_avg_sq", "nu_max")), {"amsgrad": True})


def _nadam(link: Any) -> Kind:
    if link.momentum_decay is None:
        raise TransformationError("nadam: PyTorch's momentum warms up: nadam(..., momentum_decay=0.004)")
    return Kind("NAdam", (AVERAGE, SQUARE, Slot("mu_product", "product")))


def _rmsprop(link: Any) -> Kind:
    steps = Slot("momentum_buffer", "momentum.trace", lambda rate: -1 / rate)  # theirs has no rate in it
    averaged = [Slot("grad_avg", "mu")] if link.centered else []
    return Kind("RMSprop", (Slot("square_avg", "nu"), *averaged, *([] if link.momentum is None else [steps])))


def _asgd(link: Any) -> Kind:
    def made(step: int) -> dict[str, float]:
        rate, lambd, alpha, t0 = (number(link, name, step) for name in ("learning_rate", "lambd", "alpha", "t0"))
        return {"eta": rate / (1 + lambd * rate * step) ** alpha, "mu": 1 / max(1.0, step - t0)}

    return Kind("ASGD", (Slot("ax", "average"),), made=made)


KINDS: dict[str, Callable[[Any], Kind]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "amsgrad": _amsgrad,
    "adamax": lambda link: Kind("Adamax", (AVERAGE, Slot("exp_inf", "nu"))),
    "nadam": _nadam,
    "radam": lambda link: Kind("RAdam", (AVERAGE, SQUARE), {"amsgrad": None}),
    "rmsprop": _rmsprop,
    "adagrad": lambda link: Kind("Adagrad", (Slot("sum", "nu"),)),
    "adadelta": lambda link: Kind("Adadelta", (Slot("square_avg", "e_g"), Slot("acc_delta", "e_x"))),
    "rprop": lambda link: Kind("Rprop", (Slot("prev", "previous"), Slot("step_size", "step_sizes"))),
    "asgd": _asgd,
}
MADE_BY = {  # what a buffer tells of the recipe; the last one that is there tells most
    "momentum_buffer": "sgd with momentum",
    "exp_avg_sq": "adam, adamw or radam",
    "max_exp_avg_sq": "amsgrad",
    "mu_product": "nadam",
    "exp_inf": "adamax",
    "square_avg": "rmsprop",
    "grad_avg": "rmsprop with centered=True",
    "acc_delta": "adadelta",
    "sum": "adagrad",
    "prev": "rprop",
    "ax": "asgd",
}


def from_torch_state(
    tx: GradientTransformation,
    params: Tree,
    state_dict: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    transpose: Any = None,
    step: Any = None,
) -> State:
    """The state with which ``tx`` goes on where an optimizer of PyTorch stopped: its ``state_dict()`` converted.

    ``tx`` is, or has in it, the recipe of the same name: `sgd` (for SGD; the dampening must be 0), `adam`, `adamw`,
    ``amsgrad(maximum="raw")``, `adamax`, ``nadam(momentum_decay=0.004)``, `radam`, ``rmsprop(eps_in_sqrt=False)``,
    ``adagrad(eps_in_sqrt=False)``, `adadelta`, `rprop`, `asgd`. PyTorch's ``weight_decay``, except in AdamW, is
    `add_decayed_weights` before the recipe. What PyTorch has no counterpart of starts as in ``tx.init(params)``.

    Parameters are matched by ``names``, which maps PyTorch's names to our paths, ``{"enc.weight": "enc.w"}``, in
    PyTorch's order (or in any order, if the optimizer was given ``named_parameters()``); without it, in the order of
    the leaves of ``params``. The trap: JAX sorts the keys of mappings, and then two leaves of one shape change places
    without an error. Frozen leaves may be left out. ``transpose`` is a rule as for `gradtx.tree.mask`: where it chooses
    a matrix, the axes are swapped (a PyTorch ``Linear`` keeps (out, in)); any other layout, such as that of the kernels
    of convolutions, is the caller's. ``step`` is the number of updates, if ``tx`` needs it and PyTorch does not say
    (SGD under a schedule). PyTorch's RMSprop has no learning rate in its momentum; ours has, so that of the next step
    is multiplied in.

    Raises `TransformationError`, at the first leaf that differs: the state of another optimizer, missing or other
    buffers, shapes, steps; another number of parameters.

    >>> from gradtx import sgd
    >>> group = {"params": [0], "nesterov": False, "dampening": 0}
    >>> saved = {"state": {0: {"momentum_buffer": np.array([2.0])}}, "param_groups": [group]}
    >>> from_torch_state(sgd(0.1, 0.9), jnp.zeros(1), saved)
    {'trace': Array([2.], dtype=float32)}
    """
    return within("from_torch_state", _from)(tx, params, state_dict, names, transpose, step)


def _from(tx: Any, params: Tree, state_dict: Any, names: Any, transpose: Any, step: Any) -> State:
    kept = Kept(tx, params, tx.init(params), KINDS)
    if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
        raise TransformationError("state_dict: expected what optimizer.state_dict() returns, with state, param_groups")
    entries, rows, steps = state_dict["state"], dict[str, Buffers](), dict[str, int]()
    groups = {position: group for group in state_dict["param_groups"] for position in group["params"]}
    for path, position in _positions(kept, state_dict["param_groups"], names).items():
        kind = kept.kind_of(path)
        _check_switches(path, kept.name, kind, groups[position])
        found = {name: x for name, x in entries.get(position, {}).items() if x is not None}
        if sorted(found) != kind.buffers:
            raise _another(kind, path, sorted(found), bool(entries))
        rows[path] = {name: as_numpy(x) for name, x in found.items()}
        if kind.steps:
            steps[path] = within(f"leaf {path}", whole)(rows[path]["step"])
    for path, n in steps.items():
        first = next(iter(steps))
        if step is None and n != steps[first]:
            raise TransformationError(
                f"leaf {path}: step: expected {steps[first]} as for leaf {first}, found {n}: give step="
            )
    known = next(iter(steps.values()), None) if step is None else whole(step)
    _transposed(params, rows, transpose)
    return kept.filled(rows, known)


def to_torch_state(
    tx: GradientTransformation,
    params: Tree,
    state: State,
    *,
    names: Mapping[str, str] | None = None,
    transpose: Any = None,
    step: Any = None,
    tensor: Callable[[np.ndarray], Any] = np.asarray,
) -> dict[str, Any]:
    """The inverse of `from_torch_state`: ``{"state": ...}``, with a mapping of buffers for every parameter by position.

        optimizer.load_state_dict(optimizer.state_dict() | to_torch_state(tx, params, state, tensor=torch.as_tensor))

    The numbers in ``param_groups`` stay the optimizer's own. ``tensor`` is what every array is given to; by default
    they stay NumPy's, which PyTorch's own loader does not take. The position of a parameter is that of its leaf, or of
    its name in ``names``. ``step`` is the number of updates, where PyTorch counts and ``tx`` does not (RMSprop,
    Adagrad, Adadelta, Rprop). What PyTorch has no counterpart of is left out. Raises `TransformationError`: a state of
    another transformation; no ``step``.

    >>> from gradtx import sgd
    >>> to_torch_state(sgd(0.1, 0.9), jnp.zeros(1), {"trace": jnp.array([2.0])})
    {'state': {0: {'momentum_buffer': array([2.], dtype=float32)}}}
    """
    return {"state": within("to_torch_state", _to)(tx, params, state, names, transpose, step, tensor)}


def _to(tx: Any, params: Tree, state: State, names: Any, transpose: Any, step: Any, tensor: Any) -> dict[int, Any]:
    kept = Kept(tx, params, state, KINDS)
    known = kept.count() if step is None else whole(step)
    rows = kept.read(known)
    _transposed(params, rows, transpose)
    made: dict[int, Any] = {}
    for position, path in enumerate(in_order(kept.held(), kept, names).values()):
        kind = kept.kind_of(path)
        if path in rows and kind.buffers:
            more = {}
            if kind.steps:
                n = kept.counted(known, None)
                more = {"step": np.array(n, np.float32)} | {k: np.array(x) for k, x in kind.made(n).items()}
            made[position] = {name: tensor(x) for name, x in (more | rows[path]).items()}
    return made


def _positions(kept: Kept[Kind], groups: Any, names: Mapping[str, str] | None) -> dict[str, Any]:
    """The position in PyTorch's state for every leaf that a recipe acts on."""
    held = kept.held()
    positions = [position for group in groups for position in group["params"]]
    theirs = [name for group in groups for name in group.get("param_names", group["params"])]
    order = in_order(held, kept, names)
    if names is not None and all(isinstance(name, str) for name in theirs):
        for name in names:
            if name not in theirs:
                raise TransformationError(f"leaf {names[name]}: PyTorch has no {name!r}; it has {', '.join(theirs)}")
        for name in theirs:
            if name not in names:
                raise TransformationError(f"names: expected a path for PyTorch's {name!r}, found {', '.join(names)}")
        return {order[name]: at for name, at in zip(theirs, positions, strict=True) if order.get(name) in held}
    if len(positions) != len(order):
        raise TransformationError(
            f"param_groups: expected {len(order)} parameters, {', '.join(order.values())}, found {len(positions)}"
        )
    return {path: at for path, at in zip(order.values(), positions, strict=True) if path in held}


def _check_switches(path: str, name: str, kind: Kind, group: Mapping[str, Any]) -> None:
    if group.get("maximize"):
        raise TransformationError(
            f"leaf {path}: expected maximize False, found True: chain(scale(-1.0), ...) does: say False in param_groups"
        )
    for switch, wanted in kind.switches.items():
        if group.get(switch) != wanted:
            expected = f"no {switch}" if wanted is None else f"{switch} {wanted}"
            raise TransformationError(
                f"leaf {path}: expected {expected}, as {name} is PyTorch's {kind.name}, found "
                f"{group.get(switch, 'none')} in param_groups: take the recipe of the optimizer that was saved"
            )


def _another(kind: Kind, path: str, found: list[str], any_there: bool) -> TransformationError:
    wanted = f"leaf {path}: expected {', '.join(kind.buffers) or 'no buffers'} ({kind.name}'s)"
    if not any_there:
        return TransformationError(f"{wanted}, found no state: before the first step, it is tx.init(params)")
    if not found:
        return TransformationError(f"{wanted}, found none: PyTorch never gave it a step; freeze it, or step it there")
    maker = [recipe for buffer, recipe in MADE_BY.items() if buffer in found]
    hint = f": that is a state for {maker[-1]}" if maker else ""
    return TransformationError(f"{wanted}, found {', '.join(found)}{hint}")


def _transposed(params: Tree, rows: Mapping[str, Buffers], rule: Any) -> None:
    """Swap the axes of the matrices among the leaves that ``rule`` chooses, in place."""
    if rule is None:
        return
    for path, swap in zip(trees.paths(params), trees.flatten(trees.mask(rule, params))[0], strict=True):
        if swap and path in rows:
            rows[path].update({name: x.T for name, x in rows[path].items() if x.ndim == 2})
