"""The manual's tables of other libraries: signatures and defaults as installed, and lines that compute the same.

PyTorch and Keras come with ``pip install '.[peers]'``. What they say was recorded (tests/oracles/*_signatures.json);
where they are installed the recording is compared with them. So a table is never left unchecked, and a change is seen.
"""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from tests.conventions.peers import LOSSES, PEERS, RATES, REQUIRED, problem
from tests.conventions.tables import code, codes, links, tables, with_columns

RECORDED = {peer.name: peer.recorded() for peer in PEERS}
GIVEN = {
    "gradtx": gradtx,
    "jnp": jnp,
    "TORCH": gradtx.MuonDimensionNumbers(1, 0),
    "HAT": lambda step: 1e-7 / jnp.sqrt(1 - 0.999 ** (step.astype(float) + 1)),
}
LOOSE = {"Muon(lr=0.02)": 5e-2}  # of the way from the start: PyTorch makes matrices orthogonal in bfloat16
BOTH = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)


def rows(column):
    return [pytest.param(peer, *row, id=f"{peer.name} {row[0]}") for peer in PEERS for row in peer.calls(column)]


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


# Signatures -----------------------------------------------------------------------------------------------------------


def arguments(page):
    """Of each class that has a table on a page: its arguments, their defaults, and what they are here."""
    return {table.heading.partition(":")[0]: table for table in with_columns(page, "argument", "default", "in gradtx")}


def differences(page, signatures):
    """What a page says of signatures that is not so, and what it does not say."""
    (common,) = with_columns(page, "argument of most", "default", "in gradtx")
    shared, found, used = {code(row[0]): code(row[1]) for row in common.rows}, [], set()
    lines = " ".join(row[0] for table in tables(page) for row in table.rows if len(row) == 2)
    for name, table in arguments(page).items():
        if name not in signatures:
            found.append(f"{name}: it is gone")
            continue
        said = {code(row[0]): code(row[1]) for row in table.rows}
        theirs = {argument: default for argument, default in signatures[name].items() if argument != "params"}
        used |= theirs.keys() - said.keys()
        for argument in said.keys() - theirs.keys():
            found.append(f"{name}: {argument} is gone")
        for argument, default in theirs.items():
            here = said.get(argument, shared.get(argument))
            if here != default:
                found.append(f"{name}: {argument}: expected {here or 'no such argument'}, found {default}")
    found += [f"{argument}: nothing has it" for argument in shared.keys() - used]
    rest = [name for name in signatures if name not in arguments(page) and not re.search(rf"\b{name}\b", lines)]
    return found + [f"{name}: the page has nothing of it" for name in rest]


@BOTH
def test_a_page_has_every_argument_with_its_default(peer):
    assert differences(peer.page, RECORDED[peer.name]["signatures"]) == []


@pytest.mark.parametrize(
    ("doctor", "message"),
    [
        (lambda x: x["Adam"].update(amsgrad="True"), "Adam: amsgrad: expected False, found True"),
        (lambda x: x["SGD"].update(jitter="0.0"), "SGD: jitter: expected no such argument, found 0.0"),
        (lambda x: x["Adagrad"].pop("initial_accumulator_value"), "Adagrad: initial_accumulator_value is gone"),
        (lambda x: x.pop("Adamax"), "Adamax: it is gone"),
        (lambda x: x.update(Adamer={"lr": "0.1"}), "Adamer: the page has nothing of it"),
    ],
    ids=["a default", "a new argument", "an argument gone", "a class gone", "a new class"],
)
@BOTH
def test_a_page_does_not_agree_with_other_signatures(peer, doctor, message):
    doctored = {name: dict(signature) for name, signature in RECORDED[peer.name]["signatures"].items()}
    doctor(doctored)
    assert differences(peer.page, doctored) == [message]


OURS = [
    pytest.param(links(table.heading)[0], row, id=f"{peer.name} {name} {row[0]}")
    for peer in PEERS
    for name, table in arguments(peer.page).items()
    for row in table.rows
    if row[3]
]


@pytest.mark.parametrize(("name", "row"), OURS)
def test_our_defaults_are_as_a_page_says(name, row):
    parameters = inspect.signature(getattr(gradtx, name.removeprefix("gradtx."))).parameters
    for argument, default in zip(codes(row[2]), codes(row[3]), strict=False):
        ours = parameters[argument].default
        assert default == (REQUIRED if ours is inspect.Parameter.empty else repr(ours)), argument


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras, in NumPy
@BOTH
def test_what_is_recorded_is_what_is_installed(peer):
    """Where it is installed. A line of a page that is not recorded is an error in any case."""
    recorded = RECORDED[peer.name]
    assert [call for call, _ in peer.calls()] == list(recorded["updates"])
    assert [call for call, _ in peer.calls("gradtx, of the step")] == list(recorded["rates"])
    if not peer.installed():
        return
    found = peer.ask()
    assert found["signatures"] == recorded["signatures"]
    for what in ("updates", "rates"):
        for call, value in found[what].items():
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), value, recorded[what][call])


# Lines that compute the same ------------------------------------------------------------------------------------------


def expect_the_same(peer, call, ours):
    tx, (start, gradients) = eval(ours, dict(GIVEN)), problem(call)
    params = jax.tree.map(jnp.asarray, start)
    state = tx.init(params)
    for row, expected in zip(gradients, RECORDED[peer.name]["updates"][call], strict=True):
        updates, state = tx.update(jax.tree.map(jnp.asarray, row), state, params)
        params = gradtx.apply_updates(params, updates)
        for name, value in expected.items():
            if call in LOOSE:
                way = np.abs(np.asarray(value) - start[name]).max()
                np.testing.assert_allclose(params[name], value, rtol=0, atol=LOOSE[call] * way)
            else:
                np.testing.assert_allclose(params[name], value, rtol=1e-12)


@pytest.mark.parametrize(("peer", "call", "ours"), rows("gradtx"))
def test_a_line_computes_the_same(peer, call, ours, wide):
    expect_the_same(peer, call, ours)


@pytest.mark.parametrize(
    ("peer", "call", "ours"),
    [
        (PEERS[0], "Adam(lr=0.01)", "gradtx.adam(0.01, eps=1.1e-8)"),
        (PEERS[0], "Adam(lr=0.01, amsgrad=True)", "gradtx.amsgrad(0.01)"),
        (PEERS[0], "Muon(lr=0.02)", "gradtx.sgd(0.02)"),
        (PEERS[1], "Adam(0.01)", "gradtx.adam(0.01, eps=1e-7)"),
    ],
)
def test_a_line_that_computes_something_else_fails(peer, call, ours, wide):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        expect_the_same(peer, call, ours)


@pytest.mark.parametrize(("peer", "call", "ours"), rows("gradtx, of the step"))
def test_a_schedule_has_the_same_values(peer, call, ours, wide):
    schedule, expected = eval(ours, dict(GIVEN)), RECORDED[peer.name]["rates"][call]
    waits = call.startswith("ReduceLROnPlateau")
    found = scales(schedule) if waits else [float(schedule(jnp.array(n))) for n in range(RATES)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def scales(link):
    """The rate, 0.1, after each loss."""
    state, found = link.init(jnp.zeros(1)), [0.1]
    for loss in LOSSES[: RATES - 1]:
        _, state = link.update(jnp.ones(1), state, value=jnp.asarray(loss))
        found.append(0.1 * state["scale"])
    return jnp.asarray(found)
