"""The manual's page on Optax: every name of the installed Optax is on it, and every argument that differs here."""

import re

import optax
import pytest

import gradtx.tree
from tests.conventions import optax_names
from tests.conventions.tables import PAGES, code, codes, links, with_columns

PAGE = "coming/optax.md"


def listed(*columns):
    """The rows of the one table that begins with these columns."""
    (table,) = with_columns(PAGE, *columns)
    return table.rows


def first_link(cell):
    return links(cell)[0]


def pages_names():
    """The names that the page says are the same here, and those that it says are not."""
    same = [name for row in listed("Optax", "the same in gradtx") for name in links(row[1])]
    other = {codes(row[0])[0] for row in listed("Optax", "gradtx", "why") if row[0].startswith("`optax.")}
    return same, other


def test_every_public_name_of_optax_is_on_the_page():
    same, other = pages_names()
    assert len(same) == len(set(same))
    assert sorted(same) == sorted(optax_names.pairs())
    assert [name for name, (_, ours) in optax_names.pairs().items() if ours is None] == []
    assert {"optax.scale_by_rms", "optax.bias_correction", "optax.lookahead"} <= other


def test_the_tree_functions_of_the_older_namespace_are_there_without_a_prefix():
    names = [name for name in dir(optax.tree_utils) if name.startswith("tree_")]
    assert len(names) > 30
    assert [name for name in names if not hasattr(gradtx.tree, name.removeprefix("tree_"))] == []


@pytest.mark.parametrize("what", ["defaults", "absent", "by_keyword", "shifted"])
def test_a_table_says_what_differs_and_nothing_else(what):
    assert SAID[what]() == getattr(optax_names, what)()


SAID = {
    "defaults": lambda: {
        (first_link(row[0]), code(row[1]), code(row[2]), code(row[3]))
        for row in listed("name", "argument", "Optax", "gradtx")
    },
    "absent": lambda: {(first_link(row[0]), code(row[1])) for row in listed("name", "argument", "in its place")},
    "by_keyword": lambda: {code(row[0]): set(links(row[1])) for row in listed("argument", "of")},
    "shifted": lambda: {first_link(row[0]): int(row[1]) for row in listed("name", "arguments as in Optax")},
}


def adam_of_another_time(learning_rate, b1=0.95, b2=0.999, eps=1e-8, eps_root=0.0, mu_dtype=None, *, fused=False):
    """Adam with another default, without an argument, with a new one, as a later Optax may have it."""


@pytest.mark.parametrize(
    ("what", "seen"),
    [("defaults", {("gradtx.adam", "b1", "0.95", "0.9")}), ("absent", {("gradtx.adam", "fused")})],
)
def test_a_change_of_optax_is_seen(what, seen, monkeypatch):
    changed = optax_names.pairs() | {"gradtx.adam": (adam_of_another_time, gradtx.adam)}
    monkeypatch.setattr(optax_names, "pairs", lambda: changed)
    found = getattr(optax_names, what)()
    assert found - SAID[what]() == seen
    assert (SAID[what]() - found == {("gradtx.adam", "nesterov")}) is (what == "absent")


@pytest.mark.parametrize("name", ["a_new_optimizer"])
def test_a_new_name_of_optax_is_seen(name, monkeypatch):
    monkeypatch.setattr(optax, name, lambda learning_rate: None, raising=False)
    assert name in optax_names.public("optax")


def test_every_difference_has_a_reason():
    for columns in (("name", "argument", "Optax", "gradtx", "why"), ("name", "argument", "in its place")):
        assert [row for row in listed(*columns) if not row[-1]] == []


def test_the_page_names_what_stays_optax_s():
    text = (PAGES / PAGE).read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| `optax.losses`")]
    stays = {"losses", *re.findall(r"`(\w+)`", row.split("|")[1])}
    assert stays == set(optax_names.STAYS) - {"experimental"}
