"""Every example runs, answers its question, and is short."""

import ast
import math
import re
import runpy
import sys
from pathlib import Path

import jax
import pytest

pytestmark = pytest.mark.slow
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


def ten_methods(printed, folder):
    rows = printed.splitlines()
    assert len(rows) == 10
    methods = {tuple(row.partition(" loss ")[0].split(" + ")) for row in rows}
    assert {(step.strip(), rate.strip()) for step, rate in methods} == {
        (step, rate)
        for step in ("plain", "momentum")
        for rate in ("constant", "time decay", "sum", "average", "decaying average")
    }
    assert [row.split()[-1] for row in rows if not row[-1].isdigit() and row.strip()[-1].isalpha()] == [
        "AdaGrad",
        "RMSProp",
        "Adam",
    ]
    assert (folder / "methods.png").read_bytes().startswith(b"\x89PNG")


def an_answer(printed, folder):
    assert printed.strip()


def last_number(least=-math.inf, most=math.inf):
    """The last line ends with a number between these."""

    def check(printed, folder):
        assert least < float(printed.split()[-1].rstrip("%")) < most

    return check


def below_the_table(printed, folder):
    table, *_, best = printed.splitlines()
    assert float(best.split()[-1]) < 2 / 3 * float(table.split()[-1])


def stack_beats_adamw(printed, folder):
    table, adamw, muon, stack = (float(row.rstrip(" nats").split()[-1]) for row in printed.splitlines())
    assert stack < adamw < table
    assert muon < table


def the_same_bits(printed, folder):
    stopped, finished, same = printed.splitlines()
    assert stopped.startswith("stopped after 100 steps")
    assert finished.startswith("finished after 200 steps, best [1.0, -2.0, 3.0, 0.5]")
    assert same.endswith("True")


def lowest_error(most, *, lines=1):
    def check(printed, folder):
        assert min(float(error) for error in re.findall(r"error ([0-9.]+)", printed)) < most
        assert len(printed.splitlines()) >= lines

    return check


def means_of_two(printed, folder):
    lowest_error(0.005, lines=3)(printed, folder)
    assert all(1.9 < float(mean) < 2.1 for mean in re.findall(r"mean seen ([0-9.]+)", printed))


def all_apart(printed, folder):
    assert "accuracy 1.000, from a module with activation silu" in printed
    assert printed.splitlines()[-1] == "stacked: (16, 24, 2)"


def values_that_are_true(printed, folder):
    pairs = re.findall(r"rate 0.[15] +value at the start ([0-9.]+), true ([0-9.]+)", printed)
    assert len(pairs) == 4
    assert all(abs(float(found) - float(true)) <= 0.002 for found, true in pairs)


def a_win(printed, folder):
    assert printed.splitlines()[-1].startswith("By gradient is better on 1 of 1 seeds")


LONGER = {"char_model": 140}  # a model and three optimizers, which benchmarks/char_model.py trains at length
ANSWERS = {
    "adagrad_to_adam": (["methods.png"], ten_methods),
    "batches_from_grain": ([], the_same_bits),
    "char_model": ([], stack_beats_adamw),
    "character_transformer": ([], below_the_table),
    "convolutional_digits": ([], last_number(0.90, 1.0)),
    "equinox_module": ([], all_apart),
    "haiku_state": ([], means_of_two),
    "linen_batch_norm": ([], last_number(0.92, 1.0)),
    "nnx_module": ([], lowest_error(0.02, lines=8)),
    "own_train_step": ([], values_that_are_true),
    "tune_by_gradient": (["1"], a_win),
}


def test_there_are_examples():
    assert len(EXAMPLES) >= 10
    assert {path.stem for path in EXAMPLES} >= ANSWERS.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_asks_one_question_and_answers_it(path, tmp_path, monkeypatch, capsys):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < LONGER.get(path.stem, 60)
    assert "?" in (ast.get_docstring(ast.parse(text)) or "")
    words, check = ANSWERS.get(path.stem, ([], an_answer))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), *words])
    names = ("jax_numpy_dtype_promotion", "jax_numpy_rank_promotion", "jax_enable_x64")
    before = {name: getattr(jax.config, name) for name in names}
    for name, x in zip(names, ("standard", "allow", False), strict=True):  # as for a user, in every thread
        jax.config.update(name, x)
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        for name, x in before.items():
            jax.config.update(name, x)
    check(capsys.readouterr().out, tmp_path)
