"""What the README says is run: its Python from top to bottom, and every printed line is compared."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.filterwarnings("default")
def test_the_python_of_the_readme_runs_and_prints_what_it_says():
    namespace: dict = {}
    printed = StringIO()
    with redirect_stdout(printed):
        for block in BLOCKS:
            exec(block, namespace)
    promised = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("# ")]
    assert printed.getvalue().splitlines() == promised


def test_the_readme_has_two_commands():
    assert len(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)) == 2
