"""The script of the report, in an engine of JavaScript: numbers are written, found and placed as Python says."""

import csv
import io
import json
import math
from importlib.resources import files

import numpy as np
import pytest

from gradtx._report.axes import short
from gradtx._report.curves import packed

mini_racer = pytest.importorskip("py_mini_racer")


@pytest.fixture(scope="module")
def script():
    """A function of the script by its name, on arguments that JSON has."""
    engine = mini_racer.MiniRacer()
    engine.eval((files("gradtx._report") / "web" / "numbers.js").read_text(encoding="utf-8"))

    def call(name, *args):
        given = ", ".join(json.dumps(x) for x in args)
        return json.loads(engine.eval(f"JSON.stringify({name}({given}))"))

    call.eval = engine.eval
    return call


def test_a_number_is_written_as_python_writes_it(script):
    rng = np.random.default_rng(0)
    drawn = [*rng.normal(size=50), *(10.0 ** rng.uniform(-12, 12, 200)), *(-(10.0 ** rng.uniform(-6, 6, 50)))]
    known = [0.0, -0.0, 1.0, 0.5, 1e-4, 9.9995e-5, 9999.4, 9999.6, 123456.0, 1e6, 0.00631, 6.31e-3, 1e22, 1e-300]
    for x in [*map(float, drawn), *known]:
        assert script("written", x) == short(x), x
    assert script("written", None) == "not finite"
    assert script("shown", {"exact": True}, 123456789) == "123456789"


COLUMNS = [
    {"name": "lane", "title": "lane", "values": [0, 1, 2], "exact": True},
    {"name": "adam.learning_rate", "title": "adam.learning rate", "values": [0.00631, 0.1, 1e-5]},
    {"name": "b1", "title": "b1", "values": [0.5, 0.53, 0.9]},
    {"name": "mask", "title": "mask", "values": ["named", "–", 'a, "b"']},
    {"name": "held_out_loss", "title": "held-out loss", "values": [0.25, None, 2.0]},
]


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("", [0, 1, 2]),
        ("6.31e-3", [0]),
        ("0.00631", [0]),
        (".00631", [0]),
        ("0.0063", [0]),
        ("1e-5", [2]),
        ("0.00001", [2]),
        ("b1=0.5", [0]),
        ("b1 = 0.5", [0]),
        ("b1=.50", [0]),
        ("b1!=0.5", [1, 2]),
        ("b1>0.5 b1<0.9", [1]),
        ("b1>=0.53", [1, 2]),
        ("learning_rate=0.1", [1]),
        ("learning_rate<=1e-2", [0, 2]),
        ("held_out_loss<1", [0]),
        ("mask=named", [0]),
        ("NAMED", [0]),
        ("not finite", [1]),
        ("unheard", []),
        ("zzz=1", []),
    ],
)
def test_a_search_finds_words_and_numbers_in_any_form(script, text, lanes):
    words = script("searched", text)
    assert [n for n in range(3) if script("matches", COLUMNS, n, words)] == lanes


def test_the_table_is_saved_with_all_its_digits(script):
    rows = list(csv.reader(io.StringIO(script("asCsv", COLUMNS, [2, 0]))))
    assert rows[0] == [column["name"] for column in COLUMNS]
    assert rows[1] == ["2", "0.00001", "0.9", 'a, "b"', "2"]
    assert rows[2] == ["0", "0.00631", "0.5", "named", "0.25"]


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 500.0, False, [0, 100, 200, 300, 400, 500]),
        (0.5, 0.99, False, [0.5, 0.6, 0.7, 0.8, 0.9]),
        (1e-4, 0.1, True, [1e-4, 1e-3, 1e-2, 0.1]),
        (0.1, 1.0, True, [0.1, 0.2, 0.5, 1]),
        (1e-20, 1e20, True, [1e-20, 1e-13, 1e-6, 10, 1e8, 1e15]),
        (2.0, 2.0, False, [2.0]),
        (9e-5, 0.11, True, [1e-4, 1e-2]),
    ],
)
def test_ticks_are_round_numbers(script, low, high, log, expected):
    most = 3 if low == 9e-5 else 6
    assert script("ticks", low, high, log, most) == pytest.approx(expected)


def test_a_place_on_a_scale_and_back(script):
    for domain in ({"low": 1e-4, "high": 10.0, "log": True}, {"low": -3.0, "high": 7.0, "log": False}):
        for x in np.linspace(max(domain["low"], 1e-4), domain["high"], 7):
            pixel = script.eval(f"scaleOf({json.dumps(domain)}, 20, 420).at({x})")
            share = (
                math.log10(x / domain["low"]) / math.log10(domain["high"] / domain["low"])
                if domain["log"]
                else (x - domain["low"]) / (domain["high"] - domain["low"])
            )
            assert pixel == pytest.approx(20 + 400 * share)
            assert script.eval(f"scaleOf({json.dumps(domain)}, 20, 420).back({pixel})") == pytest.approx(x)
    assert script.eval("scaleOf({low: 0.01, high: 1, log: true}, 0, 100).at(0)") == 0  # zeros stand at the end


def test_packed_curves_are_unpacked(script):
    import base64
    import gzip

    losses = np.array([[1.5, 0.0, -2.25e-7], [math.nan, 3e8, math.inf]], np.float32)
    planes = list(gzip.decompress(base64.b64decode(packed(losses))))
    found = json.loads(script.eval(f"JSON.stringify(Array.from(joined(Uint8Array.from({planes}))).map(String))"))
    np.testing.assert_allclose([float(x.replace("Infinity", "inf")) for x in found], losses.ravel(), rtol=2.0**-16)


def test_means_of_points_leave_out_what_is_not_finite(script):
    found = script.eval("JSON.stringify(averaged([1, 3, NaN, 5, NaN, NaN, 7], 2).map(String))")
    assert json.loads(found) == ["2", "5", "NaN", "7"]
    assert script.eval("pathOf([0, 1, 2, 3], [1, NaN, 2, 3])") == "M0.0 1.0M2.0 2.0L3.0 3.0"
