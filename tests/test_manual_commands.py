"""What the manual types into a terminal is run, in this process, and what it says is printed is looked for."""

import re
import shlex
from pathlib import Path

import pytest

import gradtx
from gradtx.__main__ import main as run_command

pytestmark = pytest.mark.slow
PAGES = Path(__file__).parent.parent / "docs" / "pages"
BLOCK = re.compile(r"```console\n(.*?)```(?:\n+```text\n(.*?)```)?", flags=re.DOTALL)


def commands_of(page):
    """Each command of a page, and the lines that it is said to print: those of the text behind its block."""
    for typed, printed in BLOCK.findall((PAGES / page).read_text(encoding="utf-8")):
        lines = typed.replace("\\\n", " ").strip().splitlines()
        for line in lines:
            yield shlex.split(line, comments=True), printed.splitlines() if line == lines[-1] else []


@pytest.mark.parametrize("page", ["sweeps/laptop.md"])
def test_every_command_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gradtx.plot, "save_sweep", lambda *args, **more: [])  # tests/test_command_line.py draws them
    for words, promised in commands_of(page):
        assert words[:3] == ["python", "-m", "gradtx"]
        run_command(words[3:])
        printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        for line in promised:
            assert line == "..." or " ".join(line.split()) in printed, f"{words}: {line}"
