"""Every contract of the conformance kit holds for every row of the table, and the table has a row for everything."""

import inspect
import itertools
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import gradtx
from gradtx import Decay, per_leaf, transformation, whole_tree, zeros
from gradtx.testing import CONTRACTS, check
from tests.table import CONTRACTED

FACTORIES = {
    name: factory
    for name in gradtx.__all__
    if inspect.isfunction(factory := getattr(gradtx, name))
    and hasattr(factory, "call")
    and factory.call.cls is gradtx.GradientTransformation
}
OF_NO_PAPER = {
    "MultiSteps", "apply_every", "apply_if_finite", "by_role", "chain", "clip", "conditionally_mask",
    "conditionally_transform", "flatten", "foreign", "fork", "freeze", "guard_nonfinite", "identity",
    "masked", "measure_with_ema", "measured", "monitor", "multi_transform", "own_clock", "partition", "rotated",
    "scale", "scale_by_learning_rate", "scale_by_schedule",
    "selective_transform", "set_to_zero", "snapshot", "split_real_and_imaginary", "stateless",
    "stateless_with_tree_map", "with_hyperparams", "zero_nans",
}  # fmt: skip
ROWS = [pytest.param(case, id=case.name) for case in CONTRACTED]
MARKS = {"orthogonalize": pytest.mark.optimized}  # its lanes grow, and every rounding with them


@pytest.mark.parametrize(
    ("contract", "case"),
    [
        pytest.param(contract, case, id=f"{case.name}-{contract}", marks=MARKS.get(case.name, ()))
        for case in CONTRACTED
        for contract in CONTRACTS
        if contract not in case.exempt
    ],
)
def test_contract(contract, case):
    CONTRACTS[contract](case.tx, case.params, extra=case.extra, tolerance=case.tolerance)


@pytest.mark.parametrize("case", ROWS)
def test_a_row_pickles_unless_it_holds_what_cannot_be_imported(case):
    if case.importable:
        assert pickle.loads(pickle.dumps(case.tx)) == case.tx
    else:
        with pytest.raises((pickle.PicklingError, AttributeError), match=r"[Cc]an't"):
            pickle.dumps(case.tx)


@pytest.mark.parametrize("name", ["adam", "chain with names", "partition with frozen leaves", "sgd", "foreign"])
def test_orbax_restores_the_state_of(name, tmp_path):
    tx = next(case.tx for case in CONTRACTED if case.name == name)
    params = {"w": np.array([0.5, -1.0, 2.0], np.float32), "b": {"c": np.ones((2, 3), np.float32)}}
    _, state = tx.update(params, tx.init(params), params)
    kept = {"params": params, "state": state}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "kept", kept)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(
            tmp_path / "kept", jax.eval_shape(lambda: {"params": params, "state": tx.init(params)})
        )
    assert jax.tree.structure(restored) == jax.tree.structure(kept)
    for found, expected in zip(jax.tree.leaves(restored), jax.tree.leaves(kept), strict=True):
        np.testing.assert_array_equal(found, expected)


# The table ------------------------------------------------------------------------------------------------------------


def test_every_public_transformation_has_a_row():
    called = {name for case in CONTRACTED for name in re.findall(r"(\w+)\(", repr(case.tx))}
    assert FACTORIES.keys() - called == set()


def test_no_two_rows_have_one_name():
    assert len({case.name for case in CONTRACTED}) == len(CONTRACTED)


def test_what_stands_apart_is_a_contract():
    assert {contract for case in CONTRACTED for contract in case.exempt} <= CONTRACTS.keys()


@pytest.mark.parametrize("name", FACTORIES)
def test_the_docstring_shows_a_formula_and_an_example_of(name):
    lines = inspect.getdoc(FACTORIES[name]).splitlines()
    assert any(line.startswith("    ") and any(sign in line for sign in "←→=") for line in lines), "no indented formula"
    assert any(line.startswith(">>> ") for line in lines), "no example"


@pytest.mark.parametrize("name", sorted(FACTORIES.keys() - OF_NO_PAPER))
def test_the_docstring_says_the_source_of(name):
    assert "Source:" in inspect.getdoc(FACTORIES[name])


# The kit itself: each contract finds what breaks it -------------------------------------------------------------------


@jax.custom_batching.custom_vmap
def forgets_its_lane(x):
    return x


@forgets_its_lane.def_vmap
def _(size, batched, x):
    return jnp.broadcast_to(x[0], x.shape), True


@transformation
def wrong_under_vmap(x=0.5):
    return per_leaf(lambda u: forgets_its_lane(jnp.asarray(x)) * u)


@transformation
def branches_on_its_number(x=0.5):
    return per_leaf(lambda u: u if x > 0 else -u)


@transformation
def has_an_infinite_slope(x=0.5):
    return per_leaf(lambda u: jnp.sqrt(x * u * u))


@transformation
def divides_by_zero(x=0.5):
    return per_leaf(lambda u: u / jnp.abs(u))


@transformation
def counts_in_python(x=0.5):
    return per_leaf(lambda u: u * next(NATURAL))


@transformation
def changes_the_dtype_of_its_state(x=0.5):
    def update(updates, state):
        return updates, jax.tree.map(lambda s: s.astype(jnp.float16), state)

    return whole_tree(update, init=lambda params: {"s": jnp.zeros([], jnp.float32)})


@transformation
def forgets_its_state(x=0.5):
    return whole_tree(lambda updates, state: (updates, {}), init=lambda params: {"s": jnp.zeros([])})


@transformation
def keeps_all_sizes(x=0.5):
    def init(params):
        many = sum(leaf.size for leaf in jax.tree.leaves(params))
        return {"s": jax.tree.map(lambda leaf: jnp.zeros(many), params)}

    return whole_tree(lambda updates, state: (updates, state), init=init)


@transformation
def forgets_where_its_state_is(x=0.5):
    def init(params):
        return {"s": jax.tree.map(lambda p: jnp.zeros(p.shape), params)}

    return whole_tree(lambda updates, state: (updates, state), init=init)


@transformation
def wants_a_first_leaf(x=0.5):
    def update(updates, state):
        first = jax.tree.leaves(updates)[0].sum()
        return jax.tree.map(lambda u: u + first, updates), state

    return whole_tree(update)


NATURAL = itertools.count(1)

BROKEN = [
    (wrong_under_vmap, "vmap_equals_a_loop", "wrong_under_vmap.x, lane 1"),
    (branches_on_its_number, "jit_equals_eager", "bool"),
    (has_an_infinite_slope, "derivatives_are_finite", "at zero gradients: leaf x: expected finite numbers, found nan"),
    (divides_by_zero, "zero_gradients_stay_finite", "float16: leaf .*b.c: expected finite numbers"),
    (counts_in_python, "update_is_pure", "the second time: leaf 0.b.c"),
    (changes_the_dtype_of_its_state, "scan_carry_keeps_its_kind", r"leaf 1.s: expected \('float32', \(\)\), found"),
    (changes_the_dtype_of_its_state, "new_numbers_do_not_compile_again", "the state: expected one compilation"),
    (forgets_its_state, "state_survives_a_checkpoint", "the state has 's'"),
    (keeps_all_sizes, "state_of_a_leaf_depends_on_that_leaf_alone", r"state leaf s.*: expected \('float32', \(9,\)\)"),
    (
        forgets_where_its_state_is,
        "sharding_of_the_state_follows_the_parameters",
        "state leaf s.b.c: expected NamedSharding",
    ),
    (wants_a_first_leaf, "missing_leaves_stay_missing", "list index out of range"),
]


@pytest.mark.parametrize(("factory", "contract", "says"), BROKEN, ids=lambda part: getattr(part, "__name__", None))
def test_the_contract_finds_what_is_broken(factory, contract, says):
    with pytest.raises(AssertionError, match=rf"^{factory.__name__}\(x=0.5\): {contract.replace('_', ' ')}: .*{says}"):
        CONTRACTS[contract](factory())


def test_check_runs_every_contract_on_a_transformation_made_in_a_function():
    @transformation
    def scale_by_average(decay: Decay = 0.9):
        def formula(u, mu):
            mu = decay * mu + (1 - decay) * u
            return mu, mu

        return per_leaf(formula, mu=zeros)

    assert check(scale_by_average()) is None


def test_check_stops_at_the_first_contract_that_does_not_hold():
    with pytest.raises(AssertionError, match="branches_on_its_number"):
        check(branches_on_its_number())
