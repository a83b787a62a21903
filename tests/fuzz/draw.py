"""Random cases: what may stand where, with which numbers; all shrinks towards the first of what it is drawn from."""

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.case import C, Case, Leaf, leaves_of
from tests.fuzz.machine import spliced

KINDS = {  # what a number may be
    "rate": [0.1, 0.5, 0.03, 1.0, 0.0],
    "decay": [0.5, 0.9, 0.99, 0.999, 0.0],
    "eps": [1e-8, 1e-3, 0.1, 0.0],
    "limit": [1.0, 0.1, 3.0],
    "factor": [2.0, -0.5, 1.0, 0.0],
    "period": [2, 3, 1, 1.5],
    "bool": [False, True],
}
LINKS: dict[str, dict[str, Any]] = {  # the arguments of a link; those after "?" may be left out
    "scale": {"step_size": "factor"},
    "scale_by_learning_rate": {"learning_rate": "rate", "?flip_sign": "bool"},
    "identity": {},
    "scale_by_sign": {},
    "clip": {"max_delta": "limit"},
    "clip_by_block_rms": {"threshold": "limit"},
    "clip_by_leaf_norm": {"max_norm": "limit"},
    "clip_by_global_norm": {"max_norm": "limit"},
    "normalize": {},
    "add_decayed_weights": {"weight_decay": "rate", "?mask": "mask"},
    "add_corrected_decay": {"weight_decay": "rate", "learning_rate": "rate", "max_learning_rate": [1.0, 0.1, 3.0]},
    "centralize": {},
    "zero_nans": {},
    "scale_by_trust_ratio": {"?min_norm": "eps", "?trust_coefficient": "limit", "?eps": "eps"},
    "scale_by_param_block_norm": {"?min_scale": "eps"},
    "scale_by_param_block_rms": {"?min_scale": "eps"},
    "grokfast": {"?decay": "decay", "?lamb": "limit"},
    "scale_by_falling_rate": {"learning_rate": "rate", "lambd": "rate", "?alpha": "rate"},
    "scale_by_ewma": {"?decay": "decay", "?initial": ["zero", "first"]},
    "bias_correction": {"?decay": "decay"},
    "root_bias_correction": {"?decay": "decay"},
    "nesterov_bias_correction": {"?decay": "decay"},
    "ema": {"decay": "decay", "?debias": "bool"},
    "trace": {"decay": "decay", "?nesterov": "bool"},
    "lookahead_trace": {"decay": "decay"},
    "nesterov_lookahead": {"decay": "decay"},
    "mix_with_gradient": {"?share": "rate"},
    "lion_momentum": {"?b1": "decay", "?b2": "decay"},
    "with_gradient_signs": {},
    "apply_every": {"k": "period"},
    "scale_by_rms": {"?decay": "decay", "?eps": "eps", "?eps_root": "eps", "?bias_correction": "bool"},
    "scale_by_rss": {"?initial_accumulator_value": "eps", "?eps": "eps", "?eps_in_sqrt": "bool"},
    "scale_by_mean_squares": {"?eps": "eps", "?eps_in_sqrt": "bool"},
    "scale_by_stddev": {
        "?decay": [0.5, 0.9, 0.99],
        "eps": [1e-3, 0.1],
        "?eps_in_sqrt": "bool",
        "?bias_correction": "bool",
    },
    "scale_by_max_rms": {
        "?decay": "decay",
        "?eps": "eps",
        "?maximum": ["corrected", "raw"],
        "?bias_correction": "bool",
    },
    "scale_by_infinity_norm": {"?decay": "decay", "?eps": "eps"},
    "scale_by_belief": {"?b1": "decay", "?b2": "decay", "eps": [1e-3, 0.1], "?nesterov": "bool"},
    "keep_params_nonnegative": {},
    "ema_params": {"?decay": "decay", "?bias_correction": "bool"},
    "average_params": {"t0": [1.0, 0.0, 2.0]},
    "swa_params": {"?start": [0, 1, 2], "?every": "period"},
    "tail_ema_params": {"start": [0, 1, 2], "?decay": "decay", "?share": "rate"},
}
ADAM = {"learning_rate": "rate", "?b1": "decay", "?b2": "decay", "?eps": "eps"}
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"learning_rate": "rate", "?momentum": "decay", "?nesterov": "bool"},
    "adam": ADAM | {"?eps_root": "eps"},
    "adamw": ADAM | {"?weight_decay": "rate", "?mask": "mask"},
    "nadam": ADAM,
    "laprop": ADAM | {"?weight_decay": "rate"},
    "adamax": ADAM,
    "amsgrad": ADAM | {"?maximum": ["corrected", "raw"]},
    "adabelief": {"learning_rate": "rate", "?b1": "decay", "?b2": "decay", "eps": [1e-3, 0.1], "?nesterov": "bool"},
    "yogi": {"learning_rate": "rate", "?b1": "decay", "?b2": "decay", "?eps": [1e-3, 0.1]},
    "adagrad": {"learning_rate": "rate", "?initial_accumulator_value": "eps", "?eps": "eps", "?eps_in_sqrt": "bool"},
    "rmsprop": {
        "learning_rate": "rate",
        "?decay": "decay",
        "?eps": "eps",
        "?momentum": "decay",
        "?nesterov": "bool",
        "?eps_in_sqrt": "bool",
    },
    "lion": {"learning_rate": "rate", "?b1": "decay", "?b2": "decay", "?weight_decay": "rate"},
    "signum": {"learning_rate": "rate", "?beta": "decay"},
    "nesterov": {"learning_rate": "rate", "?momentum": "decay"},
}
WRAPPERS: dict[str, dict[str, Any]] = {
    "accumulate": {"every": [2, 3, 1], "?use_grad_mean": "bool"},
    "guard_nonfinite": {"?policy": ["skip", "rollback"]},
    "apply_if_finite": {"max_consecutive_errors": [9]},
    "lookahead": {"sync_period": "period", "?slow_step_size": "rate"},
    "schedule_free": {"learning_rate": "rate", "?b1": "decay", "?weight_lr_power": [2.0, 0.0, 1.0], "?r": [0.0, 1.0]},
    "mechanize": {"?weight_decay": "rate", "?s_init": [1e-3, 0.1], "?num_betas": [6, 2, 1]},
    "master_weights": {},
    "conditionally_transform": {"should_transform_fn": ["odd", "late"]},
    "conditionally_mask": {"should_transform_fn": ["odd", "late"]},
    "cautious": {},
    "ema_nesterov": {"?lookahead": "rate", "?decay": "decay"},
    "restart": {"every": "period"},
    "kahan": {},
    "radial_brake": {"?outward": "rate", "?inward": "rate"},
    "own_clock": {},
    "measured": {},
    "quantized": {"bits": [32], "?rounding": ["nearest"]},
}
SCHEDULED = {"rate", "decay", "eps", "limit", "factor"}
STEPS = [1.0, 2.0, 3.0, 5.0]


@st.composite
def schedules(draw, kind: str, depth: int = 1):
    """A curve that stays where the kind of number is allowed."""
    of = st.sampled_from(KINDS[kind])
    share, length = st.sampled_from([0.5, 0.9, 0.1]), st.sampled_from(STEPS)
    forms = {
        "constant_schedule": {"value": of},
        "linear_schedule": {"init_value": of, "end_value": of, "transition_steps": length, "transition_begin": length},
        "polynomial_schedule": {
            "init_value": of,
            "end_value": of,
            "power": st.sampled_from([1.0, 2.0, 0.5]),
            "transition_steps": length,
        },
        "cosine_decay_schedule": {"init_value": of, "decay_steps": length, "alpha": share},
        "exponential_decay": {
            "init_value": of,
            "transition_steps": length,
            "decay_rate": share,
            "staircase": st.booleans(),
        },
        "inverse_time_decay": {
            "init_value": of,
            "transition_steps": length,
            "decay_rate": share,
            "staircase": st.booleans(),
        },
        "piecewise_constant_schedule": {
            "init_value": of,
            "boundaries_and_scales": st.sampled_from([((1, 0.5),), ((1, 0.5), (3, 0.1))]),
        },
        "warmup_cosine_decay_schedule": {
            "init_value": of,
            "peak_value": of,
            "warmup_steps": length,
            "decay_steps": st.sampled_from([6.0, 9.0]),
        },
        "warmup_constant_schedule": {"init_value": of, "peak_value": of, "warmup_steps": length},
        "warmup_stable_decay_schedule": {
            "init_value": of,
            "peak_value": of,
            "warmup_steps": length,
            "stable_steps": length,
            "decay_steps": length,
            "cooldown": st.sampled_from(["linear", "cosine", "sqrt", "square"]),
        },
        "inverse_sqrt_schedule": {"init_value": of, "peak_value": of, "warmup_steps": length},
        "sqrt_cooldown_schedule": {"value": of, "total_steps": st.sampled_from([5.0, 6.0]), "cooldown_steps": length},
    }
    algebra = [
        "then",
        "stretch",
        "multiply",
        "function",
        "divide",
        *(["add"] if kind != "decay" else []),
        *(["subtract", "negate"] if kind == "factor" else []),
    ]
    name = draw(st.sampled_from([*forms, *(algebra if depth else [])]))
    if name in forms:
        return C(name, **{key: draw(x) for key, x in forms[name].items()})
    if name == "function":
        return C("function", of="falling")
    a = draw(schedules(kind, depth - 1))
    if name == "stretch":
        return C(name, a, factor=draw(st.sampled_from([2.0, 0.5, 3.0])))
    if name == "then":
        return C(name, a, draw(schedules(kind, depth - 1)), after=draw(length))
    if name == "negate":
        return C(name, a)
    if name == "divide":
        return C(name, a, draw(st.sampled_from([2.0, 4.0])))
    if name == "multiply":
        return C(name, a, draw(st.one_of(share, schedules("rate", 0))))
    return C(name, a, draw(schedules(kind, 0)))


class Place:
    """Where a transformation is drawn: the leaves that it sees, and what may not stand there."""

    def __init__(
        self, paths: tuple[str, ...], depth: int, flat: bool = False, freezes: bool = True, coarse: bool = False
    ):
        self.paths, self.depth, self.flat, self.freezes, self.coarse = paths, depth, flat, freezes, coarse

    def deeper(self, **changes: Any) -> "Place":
        """The place inside."""
        made = Place(self.paths, self.depth - 1, self.flat, self.freezes, self.coarse)
        for key, x in changes.items():
            setattr(made, key, x)
        return made


@st.composite
def given_numbers(draw, wanted: dict[str, Any], place: Place):
    """Arguments of a call."""
    found = {}
    for name, kind in wanted.items():
        if name.startswith("?") and not draw(st.booleans()):
            continue
        if kind == "mask":
            if not place.flat and place.paths:
                found[name[1:]] = draw(some_of(place.paths))
        elif isinstance(kind, str) and kind in SCHEDULED and draw(st.integers(0, 3)) == 3:
            found[name.lstrip("?")] = draw(schedules(kind))
        else:
            found[name.lstrip("?")] = draw(st.sampled_from(KINDS[kind] if isinstance(kind, str) else kind))
    return found


def some_of(paths: tuple[str, ...]) -> Any:
    """At least one of the paths."""
    return st.lists(st.sampled_from(paths), min_size=1, unique=True).map(lambda x: tuple(sorted(x)))


@st.composite
def nodes(draw, place: Place):
    """A transformation."""
    kinds = ["link", "link", "recipe"]
    if place.depth > 0:
        kinds += ["chain", "chain", "wrapper", "wrapper", "wrapper", "fork"]
        kinds += ["masked", "partition", "freeze"] if not place.flat and place.paths else []
        kinds += ["flatten"] if not place.flat and place.paths else []
    kind = draw(st.sampled_from(kinds))
    if kind in ("link", "recipe"):
        name = draw(st.sampled_from(list(LINKS if kind == "link" else RECIPES)))
        return C(name, **draw(given_numbers((LINKS if kind == "link" else RECIPES)[name], place)))
    if kind == "chain":
        return draw(chains(place))
    if kind == "wrapper":
        of = [name for name in WRAPPERS if name != "kahan" or not place.coarse]  # what bfloat16 loses is not modelled
        name = draw(st.sampled_from(of))
        return C(name, draw(nodes(place.deeper(freezes=False))), **draw(given_numbers(WRAPPERS[name], place)))
    if kind == "flatten":
        return C("flatten", draw(nodes(place.deeper(flat=True))))
    if kind == "fork":
        inside = [draw(nodes(place.deeper(freezes=False))) for _ in range(2)]
        if draw(st.booleans()):
            return C("fork", *inside, join="summed")
        return C("graft", *inside)
    if kind == "freeze":
        return C("freeze", mask=draw(some_of(place.paths))) if place.freezes else C("identity")
    chosen = draw(some_of(place.paths))
    if kind == "masked":
        return C("masked", draw(nodes(place.deeper(paths=chosen))), mask=chosen)
    rest = tuple(path for path in place.paths if path not in chosen)
    groups = {"first": draw(nodes(place.deeper(paths=chosen)))}
    still = place.freezes and draw(st.booleans())
    groups["rest"] = C("set_to_zero") if still else draw(nodes(place.deeper(paths=rest)))
    return C("partition", **groups, labels=(*((path, "first") for path in chosen), ("*", "rest")))


def names_in(link) -> set:
    """The names that a link brings to the chain in which it stands."""
    return {key for key, _ in spliced([(None, link)]) if key}


@st.composite
def chains(draw, place: Place):
    """A chain; some of its links have names."""
    plain = [draw(nodes(place.deeper())) for _ in range(draw(st.integers(1, 4)))]
    name = draw(st.sampled_from(["first", "second", "third"]))
    named = {name: draw(nodes(place.deeper()))} if draw(st.integers(0, 3)) == 3 else {}
    seen, kept = set(named), []
    for link in plain:  # a name that is in another chain here may not be given again: then a link of it stands alone
        while seen & names_in(link):
            link = link.links[0][1]
        seen |= names_in(link)
        kept.append(link)
    return C("chain", *kept, **named)


SHAPES = [(), (3,), (2, 3), (0,)]
DTYPES = {"float64": ["float64"], "float32": ["float32"], "mixed": ["float32", "bfloat16"]}


@st.composite
def trees(draw, dtypes: list[str]):
    """A tree of parameters: a leaf, or a dict, a list or a tuple of a few things, some of them None."""
    leaf = st.builds(Leaf, st.sampled_from(SHAPES), st.sampled_from(dtypes))
    inner = st.one_of(
        leaf,
        st.none(),
        st.lists(leaf, min_size=1, max_size=2),
        st.tuples(leaf, leaf),
        st.fixed_dictionaries({"w": leaf, "b": leaf}),
    )
    found = draw(
        st.one_of(
            st.fixed_dictionaries({"w": leaf}),
            st.fixed_dictionaries({"w": leaf, "b": inner}),
            st.tuples(leaf, inner),
            st.lists(leaf, min_size=1, max_size=3),
            leaf,
        )
    )
    return found


@st.composite
def cases(draw, depth: int = 3):
    """A case: a transformation, a tree, the gradients of some steps."""
    precision = draw(st.sampled_from(["float64", "float64", "float32", "mixed"]))
    tree = draw(trees(DTYPES[precision]))
    leaves = leaves_of(tree)
    one = len({leaf.dtype for leaf in leaves.values()}) == 1
    paths = () if list(leaves) == [""] else tuple(leaves)
    place = Place(paths, depth, flat=not one, coarse=any(leaf.dtype == "bfloat16" for leaf in leaves.values()))
    words = ["normal", "normal", "zeros", "ones", "small", "large", "tiny"]
    guarded = draw(st.integers(0, 4)) == 4
    tx = draw(nodes(place.deeper() if guarded else place))
    if guarded:
        tx = C("guard_nonfinite", tx, **draw(given_numbers(WRAPPERS["guard_nonfinite"], place)))
        words = [*words, "nan", "inf"]
    steps = tuple(draw(st.lists(st.sampled_from(words), min_size=1, max_size=7)))
    return Case(tx, tree, steps, draw(st.integers(0, 99)))
