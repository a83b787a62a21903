"""The manual's page of conventions: each line computes what the calls beside it compute, and no two lines the same."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from tests.conventions.peers import PEERS, problem
from tests.conventions.tables import codes, with_columns

PYTORCH, KERAS = (peer.recorded()["updates"] for peer in PEERS)
TABLES = with_columns("conventions.md", "form", "the same as", "gradtx")
GIVEN = {
    "gradtx": gradtx,
    "jnp": jnp,
    "optax": optax,
    "HAT": lambda step: 1e-7 / jnp.sqrt(1 - 0.999 ** (step.astype(float) + 1)),
}
LINES = [pytest.param(*row, id=row[0]) for table in TABLES for row in table.rows]
IN_FLOAT32 = {"optax.adafactor(0.01, 1, weight_decay_rate=0.01)": 1e-6}  # where Optax takes its decay and means


@pytest.fixture
def wide():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def path_of(call):
    """The parameters after each of eight updates: of a call of ours or Optax's, or as recorded."""
    if call.startswith("torch.optim."):
        return PYTORCH[call.removeprefix("torch.optim.")]
    if call.startswith("keras."):
        return KERAS[call.removeprefix("keras.")]
    tx = eval(call, dict(GIVEN))
    params, gradients = problem("Muon" if "orthogonalize" in call else "")
    params, path = jax.tree.map(jnp.asarray, params), []
    state = tx.init(params)
    for row in gradients:
        updates, state = tx.update(jax.tree.map(jnp.asarray, row), state, params)
        params = gradtx.apply_updates(params, updates)
        path.append(params)
    return path


def farthest(a, b):
    """How far two paths are from each other, relative to the second."""
    rows = ((x[name], np.asarray(y[name])) for x, y in zip(a, b, strict=True) for name in y)
    return max(float(np.max(np.abs(np.asarray(x) - y) / np.abs(y))) for x, y in rows)


@pytest.mark.parametrize(("form", "calls", "ours"), LINES)
def test_a_line_computes_what_the_calls_beside_it_do(form, calls, ours, wide):
    found = path_of(*codes(ours))
    for call in codes(calls):
        assert farthest(found, path_of(call)) <= IN_FLOAT32.get(call, 1e-12), call


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.heading}, {table.rows[0][0]}")
def test_no_two_lines_of_a_table_are_the_same(table, wide):
    alike = [row for row in table.rows if "orthogonalize" not in row[2]]  # which trains a matrix alone
    paths = [path_of(*codes(row[2])) for row in alike]
    assert min(farthest(a, b) for a, b in itertools.combinations(paths, 2)) > 1e-10
