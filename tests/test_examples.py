"""Every example runs, answers its question, and is short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


def example(path, folder, *words):
    """What an example prints, without a warning."""
    command = [sys.executable, "-W", "error", str(path), *words]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_asks_one_question_and_answers_it(path, tmp_path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert "?" in (ast.get_docstring(ast.parse(text)) or "")
    printed = example(path, tmp_path)
    assert printed.strip()


def test_mix_and_match_prints_ten_methods_and_draws_them(tmp_path):
    path = next(path for path in EXAMPLES if path.stem == "adagrad_to_adam")
    rows = example(path, tmp_path, "methods.png").splitlines()
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
    assert (tmp_path / "methods.png").read_bytes().startswith(b"\x89PNG")
