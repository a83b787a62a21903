"""A run that changes the library in its midst: five steps with Optax and five with gradtx are ten with Optax.

In float64, to 1e-12 of the largest number: the state has brought over all that the rest of the run depends on.
"""

import functools
import pickle
from typing import NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import pytest

import gradtx as gx
import gradtx.optax
from gradtx.interop import from_optax_state, to_optax_state
from tests.table import ROWS
from tests.test_optax import double_precision

HALF = 5
MASK = {"w": True, "b": False}
FLOAT32 = 2e-7  # in float64 too, Optax has the decay of Adafactor, and a warm-up, in float32


class Run(NamedTuple):
    """One optimizer in both libraries, and how far off it may be."""

    ours: object
    theirs: object
    tolerance: float = 1e-12


def same(expression, tolerance=1e-12):
    """An expression that means the same in both libraries."""
    return Run(functools.partial(expression, gx), functools.partial(expression, optax), tolerance)


def contrib(expression, tolerance=1e-12):
    """The same of ``optax.contrib``, whose names are at the top here."""
    return Run(functools.partial(expression, gx), functools.partial(expression, optax.contrib), tolerance)


def falling(step):
    """A rate."""
    return 0.1 / (step + 1.0)


def is_late(step):
    """A condition."""
    return step % 3 != 1


def double_multi_steps(library):
    """Gradients are added up in float64: Optax is asked for it."""
    return library.MultiSteps if library is gx else functools.partial(optax.MultiSteps, accumulator_dtype=jnp.float64)


RUNS = {
    "sgd": same(lambda o: o.sgd(0.1)),
    "sgd, momentum": same(lambda o: o.sgd(0.1, momentum=0.9)),
    "sgd, nesterov, scheduled": same(lambda o: o.sgd(falling, momentum=0.9, nesterov=True)),
    "adam, scheduled": same(lambda o: o.adam(falling, b1=0.5, eps_root=1e-4)),
    "adamw, mask": same(lambda o: o.adamw(falling, weight_decay=0.1, mask=MASK)),
    "adamw, scheduled decay": same(lambda o: o.adamw(0.1, weight_decay=falling)),
    "nadam": same(lambda o: o.nadam(0.1)),
    "amsgrad": same(lambda o: o.amsgrad(falling)),
    "adamax": same(lambda o: o.adamax(0.1)),
    "adamaxw": same(lambda o: o.adamaxw(0.1, weight_decay=0.1)),
    "radam": same(lambda o: o.radam(0.1)),
    "adabelief": same(lambda o: o.adabelief(0.1)),
    "yogi": same(lambda o: o.yogi(0.1)),
    "adan": same(lambda o: o.adan(0.1, b2=0.5)),  # where 1 − b2, which Optax has for b2, is the same
    "lion": same(lambda o: o.lion(0.1)),
    "lamb": same(lambda o: o.lamb(falling, weight_decay=0.1)),
    "lars": same(lambda o: o.lars(0.1, weight_decay=0.1)),
    "novograd": same(lambda o: o.novograd(0.1)),
    "sm3": same(lambda o: o.sm3(0.1)),
    "adagrad": same(lambda o: o.adagrad(0.1)),
    "adadelta": same(lambda o: o.adadelta(1.0)),
    "adadelta, decay": same(lambda o: o.adadelta(falling, weight_decay=0.1)),
    "rmsprop": same(lambda o: o.rmsprop(falling)),
    "rmsprop, centered": same(lambda o: o.rmsprop(0.1, centered=True)),
    "rmsprop, momentum": same(lambda o: o.rmsprop(0.1, momentum=0.9, nesterov=True)),
    "rmsprop, corrected": same(lambda o: o.rmsprop(0.1, bias_correction=True)),
    "adafactor": same(lambda o: o.adafactor(0.1, min_dim_size_to_factor=3), FLOAT32),
    "adafactor, whole": same(
        lambda o: o.adafactor(falling, factored=False, momentum=0.9, clipping_threshold=None), FLOAT32
    ),
    "adafactor, no rate": same(
        lambda o: o.adafactor(multiply_by_parameter_scale=False, weight_decay_rate=0.1), FLOAT32
    ),
    "fromage": same(lambda o: o.fromage(0.1)),
    "optimistic gradient descent": same(lambda o: o.optimistic_gradient_descent(0.1)),
    "signum": same(lambda o: o.signum(0.1)),
    "chain with a clip": same(lambda o: o.chain(o.clip_by_global_norm(1.0), o.adamw(falling))),
    "chain of chains": same(lambda o: o.chain(o.chain(o.clip(1.0)), o.zero_nans(), o.chain(o.adam(0.1)), o.scale(0.5))),
    "chain by hand": same(
        lambda o: o.chain(
            o.centralize(),
            o.scale_by_amsgrad(),
            o.add_decayed_weights(0.1, MASK),
            o.ema(0.9),
            o.scale_by_schedule(falling),
            o.apply_every(2),
            o.scale(-1.0),
        )
    ),
    "named chain": same(
        lambda o: o.named_chain(("clip", o.clip(1.0)), ("adam", o.scale_by_adam()), ("rate", o.scale(-0.1)))
    ),
    "masked": same(lambda o: o.chain(o.masked(o.trace(0.9), MASK), o.scale_by_learning_rate(falling))),
    "partition": same(lambda o: o.partition({"a": o.adam(falling), "b": o.sgd(0.5, 0.9)}, {"w": "a", "b": "b"})),
    "partition by a function": same(
        lambda o: o.partition(
            {"matrix": o.adam(0.1), "rest": o.lion(0.1)},
            lambda params: jax.tree.map(lambda x: "matrix" if x.ndim > 1 else "rest", params),
        )
    ),
    "integer labels, one frozen": same(
        lambda o: o.multi_transform({1: o.adamw(0.1), 0: o.set_to_zero()}, {"w": 1, "b": 0})
    ),
    "MultiSteps": same(lambda o: double_multi_steps(o)(o.adam(falling), 3)),
    "MultiSteps, sums": same(
        lambda o: double_multi_steps(o)(o.chain(o.clip(9.0), o.sgd(0.1, 0.9)), 2, use_grad_mean=False)
    ),
    "apply_if_finite": same(lambda o: o.apply_if_finite(o.adam(falling), 3)),
    "inject_hyperparams": same(lambda o: o.inject_hyperparams(o.adam)(learning_rate=0.1)),
    "inject_hyperparams, scheduled": same(lambda o: o.inject_hyperparams(o.adamw)(learning_rate=falling)),
    "inject_hyperparams in a chain": same(
        lambda o: o.chain(o.clip_by_global_norm(1.0), o.inject_hyperparams(o.sgd)(falling, momentum=0.9))
    ),
    "conditionally_transform": same(lambda o: o.conditionally_transform(o.chain(o.trace(0.9), o.scale(-0.1)), is_late)),
    "conditionally_mask": same(lambda o: o.conditionally_mask(o.adam(0.1), is_late)),
    "muon": Run(
        lambda: gx.muon(0.1, muon_weight_dimension_numbers={"w": gx.MuonDimensionNumbers(), "b": None}),
        lambda: optax.contrib.muon(0.1),
    ),
    "muon by the name of its coefficients": Run(
        lambda: gx.muon(0.1, "dion", muon_weight_dimension_numbers={"w": gx.MuonDimensionNumbers(), "b": None}),
        lambda: optax.contrib.muon(0.1, "dion"),
    ),
    "sam": Run(
        lambda: gx.sam(gx.adam(0.1), gx.chain(gx.trace(0.5), gx.sgd(0.1)), 2, reset_state=False),
        lambda: optax.contrib.sam(optax.adam(0.1), optax.chain(optax.trace(0.5), optax.sgd(0.1)), 2, reset_state=False),
    ),
    "flatten": same(lambda o: o.flatten(o.adam(0.1))),
    "schedule_free_adamw": contrib(lambda o: o.schedule_free_adamw(0.1, b1=0.8)),
    "schedule_free_sgd, warm-up": contrib(lambda o: o.schedule_free_sgd(0.1, warmup_steps=3), FLOAT32),
    "schedule_free, masked": Run(
        lambda: gx.masked(gx.schedule_free(gx.sgd(0.1), 0.1), MASK),
        lambda: optax.masked(optax.contrib.schedule_free(optax.sgd(0.1), 0.1), MASK),
    ),
    "prodigy": contrib(lambda o: o.prodigy(0.5)),
    "dadapt_adamw": contrib(lambda o: o.dadapt_adamw(0.5)),
    "ademamix": contrib(lambda o: o.ademamix(0.1)),
    "dog": contrib(lambda o: o.dog(1.0)),
    "dowg": contrib(lambda o: o.dowg(1.0)),
    "dog from a rate": contrib(lambda o: o.dog(0.5, ("learning_rate", 0.01))),
    "madgrad": contrib(lambda o: o.madgrad(0.1), FLOAT32),
    "adopt": contrib(lambda o: o.adopt(0.1)),
    "cocob": contrib(lambda o: o.cocob(0.1)),
}


BRACKETED = {"chain of chains": "here it is one chain, so that its state does not fit Optax's chain of chains"}
UNCOUNTED = {"lion": "Optax counts what nothing depends on", "signum": "", "partition by a function": ""}
UNCOUNTED["schedule_free, masked"] = "Optax counts for schedules, of which this has none"


def counts(state):
    return [x for path, x in jax.tree.leaves_with_path(state) if "count" in str(path[-1:])]


def without_counts(state):
    return [x for path, x in jax.tree.leaves_with_path(state) if "count" not in str(path[-1:])]


def start():
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=(4, 3)), float), "b": jnp.asarray(rng.normal(size=3), float)}
    gradients = [jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), float), params) for _ in range(2 * HALF)]
    return params, gradients


def stepping(tx):
    """``go(gradients, params, state) -> (params, state)``, compiled once."""

    @jax.jit
    def step(gradient, params, state):
        updates, state = tx.update(gradient, state, params)
        return jax.tree.map(lambda p, u: p + u, params, updates), state

    def go(gradients, params, state):
        for gradient in gradients:
            params, state = step(gradient, params, state)
        return params, state

    return go


def farthest(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in pairs]
    return max((np.abs(x - y).max() / max(1, np.abs(y).max()) for x, y in pairs), default=0)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_moves_over_and_back(name):
    run = RUNS[name]
    with double_precision():
        params, gradients = start()
        if name == "apply_if_finite":
            for n in (2, 6):
                gradients[n] = {**gradients[n], "b": gradients[n]["b"].at[0].set(jnp.nan)}
        ours, theirs = run.ours(), run.theirs()
        mine, other = stepping(ours), stepping(theirs)
        half, state = other(gradients[:HALF], params, theirs.init(params))
        whole, last = other(gradients[HALF:], half, state)

        moved, mine_last = mine(gradients[HALF:], half, from_optax_state(ours, half, state))
        assert farthest(moved, whole) <= run.tolerance

        first, mine_state = mine(gradients[:HALF], params, ours.init(params))
        back = to_optax_state(ours, first, mine_state)
        if name in BRACKETED:
            return
        assert jax.tree.structure(back) == jax.tree.structure(state)
        assert farthest(other(gradients[HALF:], first, back)[0], whole) <= run.tolerance
        found = to_optax_state(ours, moved, mine_last)
        assert farthest(without_counts(found), without_counts(last)) <= run.tolerance
        if name not in UNCOUNTED:
            assert farthest(counts(found), counts(last)) == 0


def test_lbfgs_moves_over_with_its_memory():
    def objective(params):
        return sum(
            jnp.sum((1 + jnp.arange(x.size, dtype=x.dtype).reshape(x.shape)) * jnp.cosh(x)) for x in params.values()
        )

    with double_precision():
        params, _ = start()
        ours, theirs = (
            library.chain(library.scale_by_lbfgs(memory_size=3), library.scale(-0.5)) for library in (gx, optax)
        )

        def three(tx, params, state):
            def step(carry, _):
                updates, state = tx.update(jax.grad(objective)(carry[0]), carry[1], carry[0])
                return (jax.tree.map(jnp.add, carry[0], updates), state), None

            return jax.jit(lambda *carry: jax.lax.scan(step, carry, length=3)[0])(params, state)

        half, state = three(theirs, params, theirs.init(params))
        moved = from_optax_state(ours, half, state)
        assert farthest(to_optax_state(ours, half, moved), state) == 0
        whole, last = three(theirs, half, state)
        params, moved = three(ours, half, moved)
        assert farthest(params, whole) <= 1e-12
        assert farthest(to_optax_state(ours, half, moved), last) <= 1e-12


FORMS = {
    "lbfgs": lambda o: o.lbfgs(memory_size=2),
    "backtracking": lambda o: o.chain(o.sgd(0.1), o.scale_by_backtracking_linesearch(5, store_grad=True)),
    "rprop": lambda o: o.rprop(0.1),  # Optax's previous update has another length, but the same sign
    "polyak": lambda o: o.polyak_sgd(1.0),
    "distance over gradients": lambda o: o.chain(o.scale_by_distance_over_gradients(), o.scale(-1.0)),
    "noise": lambda o: o.chain(o.zero_nans(), o.keep_params_nonnegative()),
    "trust ratio": lambda o: o.chain(o.scale_by_trust_ratio(), o.scale_by_polyak()),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_state_has_the_form_of_optax(name):
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    ours, theirs = FORMS[name](gx), FORMS[name](optax).init(params)
    state = from_optax_state(ours, params, theirs)
    assert jax.tree.structure(state) == jax.tree.structure(ours.init(params))
    made = to_optax_state(ours, params, ours.init(params))
    assert jax.tree.structure(made) == jax.tree.structure(theirs)
    kinds = [[(x.shape, x.dtype) for x in jax.tree.leaves(tree)] for tree in (made, theirs)]
    assert kinds[0] == kinds[1]


# Checkpoints ----------------------------------------------------------------------------------------------------------

KEPT = ["adamw, mask", "chain with a clip", "partition", "integer labels, one frozen", "inject_hyperparams, scheduled"]
KEPT += ["rmsprop, momentum", "MultiSteps", "named chain", "chain of chains", "apply_if_finite", "sgd, momentum"]
KEPT += ["schedule_free_adamw"]


def later(x):
    """An array of a state as it may be some steps later."""
    made = np.asarray(x)
    return jnp.asarray(
        made if made.dtype == bool else made + np.arange(3, 3 + made.size, dtype=made.dtype).reshape(made.shape)
    )


def by_pickle(state, folder):
    return pickle.loads(pickle.dumps(state))


def by_flax(state, folder):
    return flax.serialization.to_state_dict(state)


def by_msgpack(state, folder):
    return flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))


def by_orbax(state, folder):
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(folder / "state")


@pytest.mark.filterwarnings("ignore:Sharding info not provided")
@pytest.mark.parametrize("keep", [by_pickle, by_flax, by_msgpack, by_orbax], ids=lambda f: f.__name__)
def test_a_state_comes_back_from_a_checkpoint(keep, tmp_path):
    with double_precision():
        params, _ = start()
        for n, name in enumerate(KEPT):
            if keep is by_msgpack and name == "named chain":
                continue  # Flax does not write Optax's OrderedDict
            ours, theirs = RUNS[name].ours(), RUNS[name].theirs()
            state = jax.tree.map(later, theirs.init(params))
            folder = tmp_path / str(n)
            folder.mkdir()
            expected = from_optax_state(ours, params, state)
            found = from_optax_state(ours, params, keep(state, folder))
            assert jax.tree.structure(found) == jax.tree.structure(expected), name
            assert farthest(found, expected) == 0, name
            assert farthest(expected, ours.init(params)) > 0, name


@pytest.mark.parametrize("keep", [by_pickle, by_flax, by_orbax], ids=lambda f: f.__name__)
def test_a_state_goes_on_in_the_module_with_the_calls_of_optax(keep, tmp_path):
    params, gradients = start()

    def make(library):
        return library.chain(library.clip_by_global_norm(1.0), library.inject_hyperparams(library.adamw)(falling))

    theirs, ours = make(optax), make(gx.optax)
    with jax.numpy_dtype_promotion("standard"):
        update = jax.jit(theirs.update)
        _, state = update(gradients[0], theirs.init(params), params)
        moved = from_optax_state(ours, params, keep(state, tmp_path))
        assert jax.tree.structure(moved) == jax.tree.structure(ours.init(params))
        expected, last = update(gradients[1], state, params)
        updates, moved = ours.update(gradients[1], moved, params)
        back = to_optax_state(ours, params, moved)
    assert farthest(updates, expected) <= 1e-6
    assert jax.tree.structure(back) == jax.tree.structure(last)


def test_a_state_of_optax_itself_has_to_be_read_first():
    params = {"w": jnp.ones((4, 3))}
    with pytest.raises(gx.TransformationError, match=r"adam: .*from_optax_state reads the states of Optax itself"):
        gx.optax.adam(0.1).update(params, optax.adam(0.1).init(params), params)


# What does not fit ----------------------------------------------------------------------------------------------------

WRONG = {
    "another optimizer": (gx.adam(0.1), optax.sgd(0.1, 0.9), r"state\.0: expected ScaleByAdamState.*found TraceState"),
    "one of another length": (gx.adam(0.1), optax.chain(optax.adam(0.1), optax.clip(1.0)), "expected a tuple of 2"),
    "no accumulation": (
        gx.MultiSteps(gx.sgd(0.1), 2),
        optax.sgd(0.1),
        r"expected MultiStepsState\(mini_step.*found a tup",
    ),
    "another group": (
        gx.partition({"a": gx.sgd(0.1)}, {"*": "a"}),
        optax.partition({"b": optax.sgd(0.1)}, "b"),
        r"state\.inner_states: expected an entry 'a', found \['b'\]",
    ),
    "no mask": (
        gx.chain(gx.masked(gx.trace(0.9), MASK)),
        optax.chain(optax.trace(0.9)),
        r"state\.0: expected MaskedState\(inner_state\), found TraceState\(trace\)",
    ),
    "another mask": (
        gx.masked(gx.trace(0.9), MASK),
        optax.masked(optax.trace(0.9), {"w": True, "b": True}),
        r"state leaf trace\.b: expected None, found shape \(3,\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_state_of_something_else_is_told(name):
    ours, theirs, message = WRONG[name]
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    with pytest.raises(gx.TransformationError, match=f"from_optax_state: .*{message}"):
        from_optax_state(ours, params, theirs.init(params))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"w": jnp.ones((4, 3)), "b": jnp.ones(2)}, r"scale_by_ewma\.mu\.b: expected shape \(3,\), found shape \(2,\)"),
        ({"w": jnp.ones((4, 3))}, r"scale_by_ewma\.mu\.b: expected shape \(3,\), found none"),
        (
            {"w": jnp.ones((4, 3)), "b": jnp.ones(3), "c": jnp.ones(2)},
            r"scale_by_ewma\.mu\.c: expected none, found shape \(2,\)",
        ),
    ],
)
def test_a_state_of_other_parameters_is_told(other, message):
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    with pytest.raises(gx.TransformationError, match=f"from_optax_state: state leaf {message}"):
        from_optax_state(gx.adam(0.1), params, optax.adam(0.1).init(other))
    with pytest.raises(gx.TransformationError, match=r"to_optax_state: state leaf .*: expected"):
        to_optax_state(gx.adam(0.1), params, gx.adam(0.1).init(other))


@pytest.mark.parametrize("row", [row for row in ROWS if row.peer is not None], ids=lambda row: row.name)
def test_a_state_of_every_optimizer_of_both_comes_and_goes(row):
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)} if row.params is None else row.params
    with jax.numpy_dtype_promotion("standard"):
        theirs = row.peer.init(params)
    state = row.tx.init(params)
    assert jax.tree.structure(to_optax_state(row.tx, params, state)) == jax.tree.structure(theirs)
    assert jax.tree.structure(from_optax_state(row.tx, params, theirs)) == jax.tree.structure(state)


def test_coefficients_that_are_arrays_go_along():
    rows = jnp.array([[2.0, -1.5, 0.5], [1.5, -0.5, 0.0]])
    tx, params = gx.scale_by_muon(rows, weight_dimension_numbers=gx.MuonDimensionNumbers()), {"w": jnp.eye(2)}
    on_device = jax.device_put(tx)
    np.testing.assert_array_equal(to_optax_state(on_device, params, on_device.init(params)).ns_coeffs, rows)
