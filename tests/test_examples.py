"""Every example runs, answers its question, and is short."""

import ast
import subprocess
import sys
from pathlib import Path

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


def a_win(printed, folder):
    assert printed.splitlines()[-1].startswith("By gradient is better on 1 of 1 seeds")


ANSWERS = {"adagrad_to_adam": (["methods.png"], ten_methods), "tune_by_gradient": (["1"], a_win)}


def test_there_are_examples():
    assert len(EXAMPLES) >= 10
    assert {path.stem for path in EXAMPLES} >= ANSWERS.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_asks_one_question_and_answers_it(path, tmp_path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert "?" in (ast.get_docstring(ast.parse(text)) or "")
    words, check = ANSWERS.get(path.stem, ([], an_answer))
    command = [sys.executable, "-W", "error", str(path), *words]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    check(run.stdout, tmp_path)
