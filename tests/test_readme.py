"""What the README says is run: its Python from top to bottom, and every printed line is compared."""

import re
from pathlib import Path

import pytest

from docs.make.blocks import blocks_of, printed_by, promised_by

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("default")
def test_the_python_of_the_readme_runs_and_prints_what_it_says():
    namespace: dict = {}
    for block in blocks_of(README):
        assert printed_by(block, namespace, "README.md") == promised_by(block)


def test_the_readme_has_two_commands():
    assert len(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)) == 2
