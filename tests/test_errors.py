"""Bad input: one exception, located by link and leaf, with both sides, at the door; and never a wrong number.

A message is asserted as a whole or by its parts in order, so what is tested is what the reader sees.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import (
    TransformationError,
    adam,
    adamw,
    amsgrad,
    apply_updates,
    chain,
    clip,
    clip_by_global_norm,
    fork,
    hyperparameters,
    linear_schedule,
    lion,
    masked,
    nadam,
    partition,
    rmsprop,
    scale,
    scale_by_learning_rate,
    set_to_zero,
    sgd,
)

PARAMS = {"enc": {"w": jnp.ones(3), "b": jnp.array(0.5)}, "out": jnp.ones((2, 2))}


def with_leaf(leaf, tree=PARAMS):
    """The tree with another leaf enc.w."""
    return {**tree, "enc": {**tree["enc"], "w": leaf}}


def without(name, tree=PARAMS):
    return {key: value for key, value in tree.items() if key != name}


def raises(*parts):
    """The error, whose message has the parts in this order."""
    return pytest.raises(TransformationError, match="(?s)" + ".*".join(re.escape(part) for part in parts))


def stepped(tx, updates, params=PARAMS, state=None):
    return tx.update(updates, tx.init(PARAMS) if state is None else state, params)


def test_the_error_is_a_value_error_and_a_type_error():
    for kind in (ValueError, TypeError, TransformationError):
        with pytest.raises(kind, match="learning_rate"):
            adam("fast")


# Numbers at the call --------------------------------------------------------------------------------------------------

NO_NUMBER = {
    "a string": "1e-3",
    "bytes": b"1",
    "True": True,
    "NumPy's True": np.True_,
    "an array of bools": np.array([True]),
    "an array of bools of JAX": jnp.array(True),
    "a complex number": 1j,
    "a complex array": jnp.asarray(1j),
    "an array of strings": np.array("a"),
    "an array of objects": np.array([object()]),
    "an object": object(),
    "None": None,
    "a list": [1e-3],
    "an empty tuple": (),
    "an empty mapping": {},
    "a mapping": {"a": 1e-3},
    "a type": float,
    "a dtype of JAX": jnp.float32,
    "a dtype of NumPy": np.float32,
    "a transformation": sgd(0.1),
    "a factory": sgd,
    "a module": np,
}
OUT_OF_RANGE = {"negative": -1.0, "nan": float("nan"), "inf": float("inf"), "an array": np.array([1e-3, -1e-3])}


@pytest.mark.parametrize("x", NO_NUMBER)
def test_a_learning_rate_that_is_no_number_is_an_error(x):
    for factory in (adam, sgd, lion, scale_by_learning_rate):
        with raises(f"{factory.__name__}: learning_rate: expected a"):
            factory(NO_NUMBER[x])


@pytest.mark.parametrize("x", OUT_OF_RANGE)
def test_a_learning_rate_that_is_no_finite_number_above_zero_is_an_error(x):
    for factory in (adam, rmsprop, nadam):
        with raises(f"{factory.__name__}: learning_rate: expected a number in [0, inf), found {OUT_OF_RANGE[x]}"):
            factory(OUT_OF_RANGE[x])


@pytest.mark.parametrize(
    "decay", [1.0, -0.1, 1.5, 1, float("nan"), float("inf"), np.float32(1.0), np.array([0.9, 1.0])], ids=repr
)
def test_a_decay_outside_its_interval_is_an_error(decay):
    shown = decay if isinstance(decay, np.ndarray) else float(decay)
    calls = {
        "adam: b1": lambda: adam(1e-3, decay),
        "adam: b2": lambda: adam(1e-3, b2=decay),
        "sgd: momentum": lambda: sgd(1e-3, decay),
        "rmsprop: decay": lambda: rmsprop(1e-3, decay),
        "scale_by_ewma: decay": lambda: gradtx.scale_by_ewma(decay),
        "bias_correction: decay": lambda: gradtx.bias_correction(decay),
    }
    for place, call in calls.items():
        with raises(f"{place}: expected a number in [0, 1), found {shown}"):
            call()


@pytest.mark.parametrize("name", ["b1", "b2", "eps", "eps_root", "weight_decay"])
def test_none_where_a_number_must_be_is_an_error_that_names_it(name):
    with raises(f"adamw: {name}", "None"):
        tx = adamw(1e-3, **{name: None})
        stepped(tx, PARAMS)


def test_none_is_a_number_where_it_is_the_default():
    assert sgd(0.1, None) == sgd(0.1)
    assert nadam(0.1, momentum_decay=None) == nadam(0.1)


def test_the_links_that_lead_to_a_number_are_in_the_message():
    with raises("sgd: learning_rate: linear_schedule: transition_steps: expected a number in [0, inf), found -5.0"):
        sgd(0.1).replace(learning_rate=linear_schedule(1.0, 0.0, 5)).replace({"learning_rate.transition_steps": -5})
    with raises("linear_schedule: transition_steps: expected a number in [0, inf), found -5.0"):
        linear_schedule(1.0, 0.0, -5)
    with raises("clip: max_delta: expected a number in [0, inf], found -1.0"):
        clip(-1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1.0}, "adam: learning_rate: expected a number in [0, inf), found -1.0"),
        ({"adam.b1": 1.0}, "adam: b1: expected a number in [0, 1), found 1.0"),
        (
            {"learning_rate": "x"},
            "adam: learning_rate: expected a number, a schedule or a function of the step, found 'x'",
        ),
        (
            {"learnin_rate": 1.0},
            "adam: it has no 'learnin_rate' (did you mean 'learning_rate'?); it has learning_rate, b1",
        ),
        ({"adam.b3": 1.0}, "adam: it has no 'b3'"),
        ({"learning_rate.peak_value": 1.0}, "adam: it has no 'learning_rate.peak_value'"),
        ({"b1.near": 1.0}, "adam: it has no 'b1.near'"),
    ],
)
def test_replace_checks_as_the_call_does(changes, message):
    with raises(message):
        adam(1e-3).replace(changes)


def test_replace_in_a_chain_says_the_name_of_the_link():
    with raises("chain: main: b1: expected a number in [0, 1), found 2.0"):
        chain(clip(1.0), main=adam(1e-3)).replace({"main.b1": 2.0})
    with raises("chain: main: expected a transformation, found 3.0"):
        chain(main=adam(1e-3)).replace(main=3.0)
    with raises("chain: it has no 'man' (did you mean 'main'?); it has main"):
        chain(main=adam(1e-3)).replace(man=sgd(1.0))


# Calls ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: adam(1e-3, beta1=0.9), ["adam: ", "'beta1'", "it takes adam(learning_rate, b1=0.9, b2=0.999"]),
        (lambda: adam(1e-3, eps_rot=0.9), ["adam: ", "'eps_rot'", "did you mean 'eps_root'?"]),
        (lambda: adam(learning_rat=1e-3), ["adam: ", "did you mean 'learning_rate'?"]),
        (lambda: adam(lr=1e-3), ["adam: ", "'lr'", "learning_rate"]),
        (lambda: adam(), ["adam: missing a required argument: 'learning_rate'"]),
        (lambda: adam(1e-3, learning_rate=1e-2), ["adam: multiple values for argument 'learning_rate'"]),
        (
            lambda: adam(1e-3, 0.9, 0.999, 1e-8, 0.0, None),
            ["adam: too many positional", "mu_dtype must be given by keyword"],
        ),
        (
            lambda: sgd(1e-3, 0.9, True),
            ["sgd: too many positional", "nesterov, accumulator_dtype must be given by keyword"],
        ),
        (lambda: rmsprop(1e-3, 0.9, 1e-8, 0.0, True), ["rmsprop: momentum", "found True"]),  # the order of Optax
        (lambda: chain(adam), ["chain: expected a transformation, found", "adam", "call it: adam(...)"]),
        (lambda: chain(main=adam), ["chain: main: expected a transformation", "call it: adam(...)"]),
        (lambda: masked(adam, "*"), ["masked: inner: expected a transformation", "call it: adam(...)"]),
        (
            lambda: partition({"a": adam}, {"*": "a"}),
            ["partition: transforms: a: expected a transformation", "call it: adam"],
        ),
        (lambda: chain(1), ["chain: expected a transformation, found 1"]),
        (lambda: chain([adam(1e-3)]), ["chain: expected a transformation, found a list: write chain(*links)"]),
        (lambda: chain(None), ["chain: expected a transformation, found None"]),
        (lambda: chain(optax.adam), ["chain: expected a transformation, found <function adam"]),
        (lambda: chain(chain(a=clip(1.0)), a=clip(2.0)), ["chain: two links are named 'a'"]),
        (lambda: chain(chain(a=clip(1.0)), chain(a=clip(2.0))), ["chain: two links are named 'a'"]),
        (lambda: partition([sgd(0.1)], {"*": "a"}), ["partition: transforms: expected", "found [sgd("]),
        (lambda: adam(1e-3, mu_dtype="bfloat17").init(PARAMS), ["adam: ", "bfloat17"]),
        (lambda: adam(1e-3, mu_dtype="int32").init(PARAMS), ["adam: ", "int32"]),
        (lambda: amsgrad(1e-3, maximum="row").init(PARAMS), ["maximum: expected 'corrected' or 'raw', found 'row'"]),
    ],
)
def test_a_call_that_cannot_be_right_says_what_it_takes(call, parts):
    with raises(*parts):
        call()


@pytest.mark.parametrize(
    "make",
    [
        lambda: chain(count=adam(1e-3)),
        lambda: chain(count=scale(1.0)),
        lambda: partition({"count": adam(1e-3)}, {"*": "count"}),
        lambda: fork(jnp.add, sgd(0.1), count=adam(1e-3)),
    ],
    ids=["chain", "chain, no state", "partition", "fork"],
)
def test_no_part_that_has_state_may_take_the_name_of_the_count(make):
    with raises("count"):
        make().init(PARAMS)


def test_a_link_named_count_is_an_error_that_names_the_chain():
    with raises("chain: ", "no link may be named 'count'"):
        chain(count=adam(1e-3)).init(PARAMS)


def test_a_fork_without_branches_is_an_error():
    with raises("fork: "):
        fork(jnp.add).update(PARAMS, {})


# Gradients ------------------------------------------------------------------------------------------------------------

WRONG_GRADIENTS = {
    "a missing leaf": (without("out"), ["leaf out: expected shape (2, 2), found no such leaf"]),
    "a missing branch": (without("enc"), ["leaf enc.b: expected shape (), found no such leaf"]),
    "an extra leaf": ({**PARAMS, "more": jnp.ones(5)}, ["leaf more: expected no such leaf, found shape (5,)"]),
    "another shape": (with_leaf(jnp.ones(4)), ["leaf enc.w: expected shape (3,), found (4,)"]),
    "one that would broadcast": (with_leaf(jnp.ones(1)), ["leaf enc.w: expected shape (3,), found (1,)"]),
    "a scalar": (with_leaf(jnp.ones(())), ["leaf enc.w: expected shape (3,), found ()"]),
    "a rank too many": (with_leaf(jnp.ones((1, 3))), ["leaf enc.w: expected shape (3,), found (1, 3)"]),
    "a Python number": (with_leaf(1.0), ["leaf enc.w: expected shape (3,), found ()"]),
    "a list": (with_leaf([1.0, 2.0, 3.0]), ["leaf enc.w"]),
    "None": (with_leaf(None), ["leaf enc.w: expected shape (3,), found None"]),
    "integers": (with_leaf(jnp.ones(3, jnp.int32)), ["leaf enc.w: expected a floating-point gradient, found int32"]),
    "bools": (with_leaf(jnp.ones(3, bool)), ["leaf enc.w: expected a floating-point gradient, found bool"]),
    "a string": (with_leaf("g"), ["leaf enc.w: expected a floating-point gradient, found str"]),
    "nothing": (None, []),
}
TRANSFORMATIONS = {
    "adam": adam(1e-3),
    "adamw": adamw(1e-3),
    "sgd": sgd(1e-3),
    "clip_by_global_norm": clip_by_global_norm(1.0),
    "lion": lion(1e-3, weight_decay=0.0),
    "foreign": chain(optax.clip(1.0)),
    "masked": masked(sgd(0.1), "out"),
    "partition": partition({"a": sgd(0.1), "b": set_to_zero()}, {"enc.b": "b", "*": "a"}),
}


@pytest.mark.parametrize("what", WRONG_GRADIENTS)
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_gradients_that_are_not_like_the_parameters_are_a_located_error(name, what):
    tx, (gradients, parts) = TRANSFORMATIONS[name], WRONG_GRADIENTS[what]
    place = [] if name == "foreign" else [f"{name}: "]
    with raises(*place, *parts):
        stepped(tx, gradients)
    with raises(*place, *parts):
        jax.eval_shape(lambda: stepped(tx, gradients))  # at trace time


@pytest.mark.parametrize("what", [key for key in WRONG_GRADIENTS if key not in ("nothing", "a list")])
def test_gradients_that_are_not_like_the_state_are_an_error_without_parameters_too(what):
    gradients, parts = WRONG_GRADIENTS[what]
    with raises("adam: ", *parts):
        stepped(adam(1e-3), gradients, params=None)
    with raises("adam: ", *parts):
        stepped(chain(clip(1.0), adam(1e-3)), gradients, params=None)


def test_a_gradient_for_a_parameter_that_is_not_there_is_an_error():
    params = with_leaf(None)
    tx = adam(1e-3)
    with raises("adam: ", "leaf enc.w: expected None, found (3,)"):
        tx.update(PARAMS, tx.init(params), params)
    with raises("adam: ", "leaf enc.w: expected None, found (3,)"):
        tx.update(PARAMS, tx.init(params))


def test_the_path_of_links_is_in_front():
    tx = chain(clip_by_global_norm(1.0), inner=chain(scale(2.0), main=adam(1e-3)))
    with raises("leaf enc.w: expected shape (3,), found (1,)"):
        stepped(tx, with_leaf(jnp.ones(1)))
    with raises("inner: main: scale_by_ewma: leaf enc.w: expected shape (3,), found (1,)"):
        stepped(tx, with_leaf(jnp.ones(1)), params=None)


@pytest.mark.parametrize("dtype", ["complex64"])
@pytest.mark.parametrize("name", ["adam", "sgd", "adamw", "clip_by_global_norm"])
def test_a_complex_gradient_for_a_real_parameter_is_an_error(name, dtype):
    with raises(f"{name}: ", "leaf enc.w", "complex64"), jax.numpy_dtype_promotion("standard"):
        stepped(TRANSFORMATIONS[name], with_leaf(jnp.ones(3, dtype)))


def test_a_clip_of_complex_numbers_is_an_error_that_names_the_clip():
    tree = {"z": jnp.ones(2, jnp.complex64)}
    with raises("clip: ", "complex"):
        clip(1.0).update(tree, {})
    tx = chain(clip(1.0), adam(1e-3))
    with raises("clip: ", "complex"):
        tx.update(tree, tx.init(tree))


# Parameters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "found"),
    [
        (jnp.ones(3, jnp.int32), "int32"),
        (jnp.ones(3, bool), "bool"),
        (1, "int"),
        (True, "bool"),
        ("w", "str"),
        (np.ones(3, np.int64), "int64"),
        (jax.random.key(0), "key<fry>"),
        (object(), "object"),
    ],
    ids=lambda x: x if isinstance(x, str) else None,
)
def test_a_parameter_that_is_not_floating_is_an_error_that_says_what_to_do(leaf, found):
    for tx in (adam(1e-3), sgd(0.1), chain(clip(1.0), adam(1e-3))):
        with raises(f"leaf enc.w: expected a floating-point parameter, found {found}", "set_to_zero"):
            tx.init(with_leaf(leaf))


def test_integer_parameters_are_an_error_in_update_too():
    for tx in (adam(1e-3), adamw(1e-3), sgd(0.1)):
        with raises("leaf enc.w: expected a floating-point parameter, found int32"):
            stepped(tx, PARAMS, params=with_leaf(jnp.ones(3, jnp.int32)))


@pytest.mark.parametrize("tx", [adamw(1e-3), lion(1e-3), chain(clip(1.0), gradtx.add_decayed_weights(0.1))], ids=repr)
def test_parameters_that_are_needed_and_missing_are_an_error_that_names_the_link(tx):
    with raises("add_decayed_weights: it needs the parameters: call update(updates, state, params)"):
        tx.update(PARAMS, tx.init(PARAMS))


@pytest.mark.parametrize("tx", [adamw(1e-3), adam(1e-3), sgd(0.1), clip_by_global_norm(1.0)], ids=repr)
def test_parameters_of_another_shape_than_the_gradients_are_an_error(tx):
    with raises("leaf enc.w: expected shape (1,), found (3,)"):
        stepped(tx, PARAMS, params=with_leaf(jnp.ones(1)))
    with raises("leaf out: expected no such leaf, found shape (2, 2)"):
        stepped(tx, PARAMS, params=without("out"))


# States ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tx", "state"),
    [
        (adam(1e-3), None),
        (adam(1e-3), {}),
        (adam(1e-3), sgd(1.0, 0.9).init(PARAMS)),
        (adam(1e-3), optax.adam(1e-3).init(PARAMS)),
        (adam(1e-3), chain(clip(1.0), adam(1e-3)).init(PARAMS)),
        (chain(clip(1.0), adam(1e-3)), adam(1e-3).init(PARAMS)),
        (amsgrad(1e-3), adam(1e-3).init(PARAMS)),
        (lion(1e-3), adam(1e-3).init(PARAMS)),
        (adam(1e-3), PARAMS),
        (sgd(1.0, 0.9), sgd(1.0).init(PARAMS)),
        (sgd(1.0, 0.9), None),
        (sgd(linear_schedule(1.0, 0.0, 10)), sgd(1.0).init(PARAMS)),
        (chain(clip(1.0), a=adam(1e-3)), chain(clip(1.0), b=adam(1e-3)).init(PARAMS)),
        (chain(optax.trace(0.9)), {}),
    ],
    ids=lambda x: repr(x)[:60],
)
def test_a_state_of_another_transformation_is_an_error(tx, state):
    with raises("state", "made by another transformation"):
        tx.update(PARAMS, state, PARAMS)


@pytest.mark.parametrize("state", ["adam", "momentum"])
def test_a_state_that_a_stateless_transformation_cannot_have_is_an_error(state):
    """Else the moments of a run are lost without a word."""
    state = {"adam": adam(1e-3), "momentum": sgd(1.0, 0.9)}[state].init(PARAMS)
    with raises("sgd: ", "state"):
        sgd(1.0).update(PARAMS, state, PARAMS)


def test_arguments_in_the_wrong_order_are_an_error():
    tx = adam(1e-3)
    state = tx.init(PARAMS)
    with raises("adam: "):
        tx.update(state, PARAMS, PARAMS)
    with raises("adam: "):
        tx.update(PARAMS, PARAMS, state)
    with raises("sgd: "):
        sgd(1.0).update(PARAMS, PARAMS)


def test_a_state_for_other_parameters_is_an_error():
    tx = adam(1e-3)
    with raises("adam: ", "leaf enc.w: expected shape (4,), found (3,)"):
        tx.update(PARAMS, tx.init(with_leaf(jnp.ones(4))), PARAMS)


def test_hyperparameters_with_a_state_of_another_transformation_is_an_error():
    with raises("hyperparameters: the state has no 'count'"):
        hyperparameters(adam(linear_schedule(1.0, 0.0, 10)), {})


@pytest.mark.parametrize("step", [jnp.arange(3), "a", 1.5, -1, None], ids=repr)
def test_a_step_that_is_no_count_is_an_error_and_none_is_the_count(step):
    tx = adam(1e-3)
    state = tx.init(PARAMS)
    if step is None:
        assert int(tx.update(PARAMS, state, PARAMS, step=None)[1]["count"]) == 1
        return
    with raises("adam: ", "step"):
        tx.update(PARAMS, state, PARAMS, step=step)


# Stacked transformations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tx", "name"),
    [
        (adam(jnp.ones(4)), "adam: learning_rate"),
        (adam(1e-3, np.full(4, 0.5)), "adam: b1"),
        (adam(1e-3, eps=jnp.ones(4)), "adam: eps"),
        (adam(jnp.ones(1)), "adam: learning_rate"),
        (sgd(np.ones((2, 2))), "sgd: learning_rate"),
        (adam(linear_schedule(np.ones(4), 0.0, 10)), "adam: learning_rate"),
        (chain(clip(1.0), adam(jnp.ones(4))), "adam: learning_rate"),
        (chain(clip(1.0), main=adam(jnp.ones(4))), "main: learning_rate"),
        (masked(adam(jnp.ones(4)), "*"), "adam: learning_rate"),
        (partition({"slow": adam(jnp.ones(4))}, {"*": "slow"}), "slow: learning_rate"),
        (chain(scale(np.ones(3))), "scale: step_size"),  # it would broadcast against enc.w
    ],
    ids=lambda x: repr(x)[:70],
)
def test_a_stacked_transformation_without_vmap_is_an_error_that_names_the_number(tx, name):
    shape = str(next(np.shape(x) for x in jax.tree.leaves(tx) if np.ndim(x)))
    with raises(f"{name}: expected one number, found shape {shape}", "jax.vmap"):
        tx.init(PARAMS)
    with raises(f"{name}: expected one number, found shape {shape}", "jax.vmap"):
        tx.update(PARAMS, {}, PARAMS)


def test_a_schedule_that_returns_no_number_is_an_error():
    for function in (lambda step: jnp.ones(3), lambda step: None, lambda step: "a", lambda step: 1j):
        with raises("sgd: learning_rate"):
            stepped(sgd(function), PARAMS)


# Groups ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (
            lambda: adamw(1e-3, mask={"enc": "yes", "out": False}),
            ["adamw: add_decayed_weights: ", "leaf enc.b: a mask says True or False, found 'yes'"],
        ),
        (lambda: adamw(1e-3, mask={"enc": {"w": True}, "out": False}), ["adamw: add_decayed_weights: ", "leaf enc.b"]),
        (
            lambda: adamw(1e-3, mask={"head": True}),
            ["adamw: add_decayed_weights: ", "leaf enc.b: no rule matches (there are 'head')"],
        ),
        (
            lambda: adamw(1e-3, mask=3),
            ["adamw: add_decayed_weights: ", "leaf enc.b: a mask says True or False, found 3"],
        ),
        (lambda: masked(scale(1.0), {"enc": True}), ["masked: leaf out: no rule matches (there are 'enc')"]),
        (lambda: masked(scale(1.0), lambda tree: 0.5), ["masked: leaf enc.b: a mask says True or False, found 0.5"]),
        (
            lambda: partition({"slow": sgd(1.0)}, {"*": "slwo"}),
            ["partition: leaf enc.b: no group 'slwo' (did you mean 'slow'?); there are slow"],
        ),
        (
            lambda: partition({"slow": sgd(1.0)}, {"enc": "slow"}),
            ["partition: leaf out: no rule matches (there are 'enc'): add one, or '*'"],
        ),
        (lambda: partition({"slow": sgd(1.0)}, lambda tree: "fast"), ["partition: leaf enc.b: no group 'fast'"]),
        (lambda: partition({"slow": sgd(1.0)}, {"enc": {"w": "slow", "b": "slow"}, "uot": "slow"}), ["partition: "]),
        (lambda: partition({}, {"*": "slow"}), ["partition: leaf enc.b: no group 'slow'"]),
        (lambda: masked(scale(1.0), "encoder.*"), ["masked: ", "'encoder.*'"]),
        (lambda: masked(scale(1.0), ["enc.*", "hed.*"]), ["masked: ", "'hed.*'"]),
        (lambda: adamw(1e-3, mask="*.kernel"), ["adamw: add_decayed_weights: ", "'*.kernel'"]),
    ],
)
def test_rules_that_do_not_fit_the_tree_are_an_error_that_says_where(make, parts):
    with raises(*parts):
        stepped(make(), PARAMS)


# apply_updates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (with_leaf(jnp.ones(1)), "leaf enc.w: expected shape (3,), found (1,)"),
        (with_leaf(jnp.ones((1, 3))), "leaf enc.w: expected shape (3,), found (1, 3)"),
        (without("out"), "leaf out: expected shape (2, 2), found no such leaf"),
        ({**PARAMS, "more": jnp.ones(2)}, "leaf more: expected no such leaf, found shape (2,)"),
        (with_leaf(jnp.ones(3, jnp.complex64)), "leaf enc.w"),
        (with_leaf("u"), "leaf enc.w"),
    ],
)
def test_updates_that_are_not_like_the_parameters_are_an_error(updates, message):
    with raises(f"apply_updates: {message}"), jax.numpy_dtype_promotion("standard"):
        apply_updates(PARAMS, updates)


def test_an_update_for_integers_is_an_error_and_not_rounded_away():
    params = {"n": jnp.ones(2, jnp.int32)}
    with raises("apply_updates: leaf n", "int32"), jax.numpy_dtype_promotion("standard"):
        apply_updates(params, {"n": jnp.full(2, 0.5)})


def test_an_update_of_none_leaves_the_parameter_as_it_is():
    after = apply_updates(PARAMS, with_leaf(None))
    np.testing.assert_array_equal(after["enc"]["w"], PARAMS["enc"]["w"])
    np.testing.assert_array_equal(after["out"], 2.0)
    with raises("apply_updates: leaf enc.w: expected None, found (3,)"):
        apply_updates(with_leaf(None), PARAMS)


# Formulas of users ----------------------------------------------------------------------------------------------------


def test_a_formula_or_a_join_that_changes_a_shape_is_an_error():
    @gradtx.transformation
    def grows(factor):
        """A mistake."""
        return gradtx.per_leaf(lambda u: u[None] * factor)

    with raises("grows: ", "leaf"):
        stepped(grows(2.0), PARAMS)
    with raises("fork: ", "leaf"):
        stepped(fork(lambda a, b: a[None] + b[None], scale(1.0), scale(2.0)), PARAMS)


def test_a_keyword_that_a_formula_asks_for_and_does_not_get_is_named():
    @gradtx.transformation
    def by_loss():
        """A link that looks at the loss."""
        return gradtx.per_leaf(lambda u, *, value: u * value, conditions=True)

    tx = chain(by_loss(), sgd(1.0))
    with raises("by_loss: it needs 'value': call update(updates, state, params, value=...)"):
        tx.update(PARAMS, tx.init(PARAMS))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), value=jnp.asarray(2.0), unused=3)
    np.testing.assert_array_equal(updates["out"], -2.0)
