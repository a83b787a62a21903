"""Optax's names and Optax's calls: each public name is there, and each call of public code binds.

The calls are those of 56 public projects (tests/oracles/optax_calls.json): a name, how many arguments by position (−1:
a list of them), and the names of the others.
"""

import functools
import inspect
import json
import warnings
from pathlib import Path

import optax
import pytest

import gradtx
import gradtx.optax

CALLS = json.loads(Path(__file__).with_name("oracles").joinpath("optax_calls.json").read_text())["calls"]

# Names ----------------------------------------------------------------------------------------------------------------

LOSSES = "losses, perturbations, assignment and microbatching stay Optax's"
TYPES = "a type of Optax's: gradtx.optax has it"
EXCLUDED = {
    **dict.fromkeys(("assignment", "experimental", "losses", "microbatch", "microbatching", "perturbations"), LOSSES),
    **{name: LOSSES for name in dir(optax) if name in dir(optax.losses)},
    **{name: TYPES for name in dir(optax) if name[0].isupper()},
    **dict.fromkeys(
        ("contrib", "schedules", "transforms", "tree_utils"), "a namespace: its names are at the top level"
    ),
    "second_order": "a namespace: its names are in gradtx.curvature",
}
SPACES = {
    "": "",
    "contrib": "",
    "schedules": "",
    "transforms": "",
    "tree": "tree",
    "projections": "projections",
    "second_order": "curvature",
}


def public(place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [name for name in dir(place) if not name.startswith("_")]


NAMES = [
    (space, name)
    for space in SPACES
    for name in public(getattr(optax, space) if space else optax)
    if name not in EXCLUDED and not name[0].isupper()
]


@pytest.mark.parametrize(("space", "name"), NAMES, ids=lambda x: str(x))
def test_optax_has_no_name_that_gradtx_does_not_have(space, name):
    place = getattr(gradtx, SPACES[space]) if SPACES[space] else gradtx
    assert getattr(place, name) is not None


def test_what_is_excluded_is_still_there():
    assert [name for name in EXCLUDED if not hasattr(optax, name)] == []


@pytest.mark.parametrize("space", ["", *SPACES, "losses", "perturbations", "assignment", "microbatching", "tree_utils"])
def test_the_module_has_the_whole_surface(space):
    theirs, ours = (functools.reduce(getattr, filter(None, [space]), place) for place in (optax, gradtx.optax))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [name for name in public(theirs) if not hasattr(ours, name)] == []


# Calls ----------------------------------------------------------------------------------------------------------------

GONE = {  # what Optax 0.2.8 does not have either
    "_src.control_variates": "removed from Optax",
    "_src.stochastic_gradient_estimators": "removed from Optax",
    "_src.second_order.ravel": "removed from Optax",
    "_src.test_utils": "of Optax's own tests",
    "_src.utils.cast_tree": "removed from Optax",
    "_src.wrappers.maybe_update": "removed from Optax",
    "examples.": "of Optax's own examples",
    "AdditiveWeightDecayState": "renamed in Optax to AddDecayedWeightsState",
}
OTHERWISE = {  # in gradtx: by another name, or no call at all
    "GradientTransformation": "gradtx writes its own with gradtx.transformation; two functions are gradtx.optax's",
    "GradientTransformationExtraArgs": "as above",
    "additive_weight_decay": "Optax's old name of add_decayed_weights; gradtx.optax has it",
    "bias_correction": "in gradtx a link; Optax's function is gradtx.tree.bias_correction",
    "LookaheadParams.init_synced": "gradtx.lookahead trains the parameters themselves; pairs are gradtx.optax's",
    "utils.canonicalize_dtype": "not public in Optax",
    "utils.set_diags": "not public in Optax",
    "utils.tile_second_to_last_dim": "not public in Optax",
}
ARGUMENTS = {  # in gradtx these are
    ("adamw", "nesterov"): "gradtx.nadamw",
    ("lookahead", "reset_state"): "gradtx.optax.lookahead's: gradtx.lookahead keeps the state inside",
}


def id_of(call):
    name, positional, keywords = call
    return f"{name}({', '.join([*['·'] * max(positional, 0), *(['*'] if positional < 0 else []), *keywords])})"


def expect_binding(found, positional, keywords):
    signature = inspect.signature(found)
    if positional < 0:
        signature.bind_partial(**dict.fromkeys(keywords))
    else:
        signature.bind(*[None] * positional, **dict.fromkeys(keywords))


@pytest.mark.parametrize("call", CALLS, ids=id_of)
def test_a_call_of_public_code_binds_in_the_module(call):
    name, positional, keywords = call
    reason = next((why for start, why in GONE.items() if name.startswith(start)), None)
    if reason is not None:
        with pytest.raises(AttributeError):
            functools.reduce(getattr, name.split("."), optax)
        return
    expect_binding(functools.reduce(getattr, name.split("."), gradtx.optax), positional, keywords)


def of_gradtx(name):
    """The name in gradtx: Optax's rooms are its top level, and its tree functions those of gradtx.tree."""
    *rooms, last = name.split(".")
    if rooms and rooms[-1] in ("tree", "tree_utils"):
        return getattr(gradtx.tree, last.removeprefix("tree_").replace("l2_norm", "norm"))
    return getattr(gradtx.curvature if last in ("hvp", "hessian_diag", "fisher_diag") else gradtx, last)


@pytest.mark.parametrize("call", CALLS, ids=id_of)
def test_a_call_of_public_code_binds_in_gradtx_or_is_listed(call):
    name, positional, keywords = call
    last = name.rpartition(".")[2]
    outside = last[0].isupper() or last in public(optax.losses) or any(name.startswith(start) for start in GONE)
    if outside or any(name == other or name.endswith(f".{other}") for other in OTHERWISE):
        return
    keywords = [keyword for keyword in keywords if (last, keyword) not in ARGUMENTS]
    expect_binding(of_gradtx(name), positional, keywords)


def test_arguments_that_are_listed_do_not_bind():
    for name, argument in ARGUMENTS:
        assert argument not in inspect.signature(getattr(gradtx, name)).parameters
