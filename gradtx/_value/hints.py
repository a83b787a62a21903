"""Hints for errors: what to write instead of a name or an argument that gradtx does not have."""

from collections.abc import Iterable

from gradtx._value.errors import suggest

# Names of Optax that gradtx does not have, and what to use instead.
OPTAX = {
    "GradientTransformationExtraArgs": "GradientTransformation, whose update takes extra keywords",
    "contrib": "gradtx itself",
    "schedules": "gradtx itself",
    "second_order": "curvature",
    "transforms": "gradtx itself",
    "tree_utils": "tree",
}

# Types of Optax, beside those of its states.
TYPES = (
    "ApplyEvery", "LookaheadParams", "MaskOrFn", "MaskedNode", "OptState", "Params", "ScalarOrSchedule",
    "TransformInitFn", "TransformUpdateExtraArgsFn", "TransformUpdateFn", "Updates",
)  # fmt: skip

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

    >>> instead_of_name("tree_utils", []), instead_of_name("TraceState", [])
    (": Optax's tree_utils is tree here", ': a type of Optax: gradtx.optax has it')
    """
    if name in OPTAX:
        return f": Optax's {name} is {OPTAX[name]} here"
    if name in TYPES or (name.endswith("State") and name[0].isupper()):
        return ": a type of Optax: gradtx.optax has it"
    return suggest(name, known)
