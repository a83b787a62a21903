"""Hints for errors: what to write instead of a name or an argument that gradtx does not have."""

from collections.abc import Iterable

from gradtx._value.errors import suggest

# Names of Optax that gradtx does not have, and what to use instead.
OPTAX = {
    "GradientTransformationExtraArgs": "GradientTransformation, whose update takes extra keywords",
    "MultiSteps": "accumulate",
    "apply_if_finite": "guard_nonfinite",
    "freeze": "partition, with set_to_zero() for what is frozen",
    "global_norm": "tree.norm",
    "incremental_update": "ewma, or average_params as a link",
    "inject_hyperparams": "not needed here: tx.replace(learning_rate=...), hyperparameters(tx)",
    "inject_stateful_hyperparams": "not needed here: any number may be a schedule",
    "multi_transform": "partition",
    "named_chain": "chain(name=link, ...)",
    "selective_transform": "partition",
    "skip_not_finite": "guard_nonfinite",
    "stateless": "per_leaf, or whole_tree",
    "stateless_with_tree_map": "per_leaf",
    "tree_map_params": "not needed here: the fields of a state are trees like the parameters",
    "tree_utils": "tree",
    "update_moment": "ewma",
    "with_extra_args_support": "not needed here: every update takes extra keywords",
}

# Arguments as others spell them.
SPELLED = {
    "alpha": ("learning_rate",),
    "betas": ("b1", "b2"),
    "beta1": ("b1",),
    "beta2": ("b2",),
    "beta_1": ("b1",),
    "beta_2": ("b2",),
    "epsilon": ("eps",),
    "key": ("seed",),
    "l2": ("weight_decay",),
    "mu": ("momentum",),
    "step_size": ("learning_rate",),
    "wd": ("weight_decay",),
}

# Arguments that belong to another optimizer.
ANOTHER = {
    ("adam", "amsgrad"): "gradtx.amsgrad",
    ("adam", "nesterov"): "gradtx.nadam",
    ("adam", "weight_decay"): "gradtx.adamw",
    ("adamax", "weight_decay"): "gradtx.adamaxw",
    ("adamw", "nesterov"): "gradtx.nadamw",
    ("nadam", "weight_decay"): "gradtx.nadamw",
    ("rmsprop", "weight_decay"): "gradtx.chain(gradtx.add_decayed_weights(...), gradtx.rmsprop(...))",
    ("sgd", "weight_decay"): "gradtx.chain(gradtx.add_decayed_weights(...), gradtx.sgd(...))",
}


def instead_of_argument(factory: str, name: str, known: Iterable[str]) -> str:
    """A hint, in brackets, for an argument that a factory does not take; empty where there is none.

    >>> instead_of_argument("adam", "betas", ["b1", "b2"]), instead_of_argument("adam", "nesterov", [])
    (' (write b1=..., b2=...)', ' (that is gradtx.nadam)')
    """
    known = list(known)
    spelled = SPELLED.get(name, ())
    if spelled and all(own in known for own in spelled):
        return f" (write {', '.join(f'{own}=...' for own in spelled)})"
    if (factory, name) in ANOTHER:
        return f" (that is {ANOTHER[factory, name]})"
    return suggest(name, known)


def instead_of_name(name: str, known: Iterable[str]) -> str:
    """What to write instead of a name that gradtx does not have.

    >>> instead_of_name("multi_transform", [])
    ": Optax's multi_transform is partition here"
    """
    if name not in OPTAX:
        return suggest(name, known)
    return f": Optax's {name} is {OPTAX[name]}{'' if 'not needed here' in OPTAX[name] else ' here'}"
