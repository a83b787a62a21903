"""Published numbers: every row of the table is computed once, and says why where it does not come out."""

import functools
import json

import numpy as np
import pytest

from gradtx._prove import table
from gradtx._prove.row import Outcome, Row, Source
from gradtx._prove.sources import SOURCES

pytestmark = pytest.mark.slow

ROWS = [(source.name, n) for source in SOURCES.values() for n in range(len(source.rows))]
MOST_THAT_DIFFER = 0.05


@functools.cache
def outcome(name, n):
    return SOURCES[name].rows[n].outcome()


@pytest.mark.parametrize(("name", "n"), ROWS, ids=[f"{name}: {SOURCES[name].rows[n].setting}" for name, n in ROWS])
def test_a_published_number_comes_out_or_the_row_says_why(name, n):
    found = outcome(name, n)
    assert np.all(np.isfinite(found.ours))
    assert found.agrees or found.row.reason, f"published {found.row.published}, ours {found.ours}"


def test_there_are_many_rows_from_many_sources_and_nearly_all_agree():
    found = [outcome(name, n) for name, n in ROWS]
    assert len(found) >= 250
    assert len(SOURCES) >= 20
    assert sum(not one.agrees for one in found) <= MOST_THAT_DIFFER * len(found)


def test_names_and_settings_are_said_once():
    for source in SOURCES.values():
        settings = [row.setting for row in source.rows]
        assert len(set(settings)) == len(settings)
        assert source.where


def row(published, ours, **more):
    return Row("it", published, lambda: ours, **more).outcome()


@pytest.mark.parametrize(
    ("published", "ours", "more", "agrees"),
    [
        ("0.25", 0.2549, {}, True),
        ("0.25", 0.2551, {}, False),
        ("0.25", float("nan"), {}, False),
        ("34", 34, {}, True),
        ("34", 35, {}, False),
        ("8.21487e-3", 8.2148773e-3, {}, False),
        ("8.21487e-3", 8.2148773e-3, {"truncated": True}, True),
        ("8.21487e-3", 8.214861e-3, {"truncated": True}, True),
        ("8.21487e-3", 8.2150e-3, {"truncated": True}, False),
        ("1.4", 1.40000001, {"decimals": 7}, True),
        ("1.4", 1.4000001, {"decimals": 7}, False),
        ("1000.0000", 1000.5, {"within": 1e-3}, True),
        ("0.0010", 0.0025, {"within": 1e-3}, False),
        ("1 2 3", [1, 2, 3], {}, True),
        ("1 2 3", [1, 2, 4], {}, False),
    ],
)
def test_agreement_is_that_ours_rounds_to_the_published_digits(published, ours, more, agrees):
    assert row(published, ours, **more).agrees == agrees


def test_a_row_of_another_number_of_numbers_is_an_error():
    with pytest.raises(ValueError, match="it: expected 2 numbers, found 3"):
        row("1 2", [1, 2, 3])


FOUND = [
    (Source("a", "A book", "page 1", ()), [row("0.25", 0.25), row("1 5", [1, 7], reason="it is a | misprint")]),
    (Source("b", "A paper", "page 2", ()), [row("3", 3), row("2.5", 2.52, truncated=True)]),
]


def test_the_table_shows_the_number_that_is_farthest_off_and_why():
    first = table.text(*FOUND[0]).splitlines()
    assert first[0] == "A book [a]: 1 of 2 agree"
    assert first[2].split() == ["setting", "published", "ours", "difference", "verdict"]
    assert first[3].split() == ["it", "0.25", "0.2500", "0", "agrees"]
    assert first[4].split() == ["it", "5", "(of", "2)", "7", "2.0e+00", "differs"]
    assert first[5].strip() == "why: it is a | misprint"
    assert table.summary(FOUND) == "4 rows from 2 sources: 3 agree to the published digits, 1 differ"


def test_the_table_as_a_page_and_as_json():
    lines = table.markdown(FOUND).splitlines()
    assert "| it | 5 (of 2) | 7 | 2.0e+00 | differs |" in lines
    assert "- it: it is a | misprint." in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {6}
    rows = json.loads(table.as_json(FOUND))
    assert [one["verdict"] for one in rows] == ["agrees", "differs", "agrees", "agrees, cut off"]
    assert rows[1] == {
        "source": "a", "setting": "it", "published": ["1", "5"], "ours": [1.0, 7.0], "difference": 2.0,
        "verdict": "differs", "reason": "it is a | misprint",
    }  # fmt: skip


def test_what_nobody_can_explain_is_said():
    assert "why: nobody knows" in table.text(FOUND[0][0], [row("1", 2)])
    assert isinstance(row("1", 2), Outcome)
