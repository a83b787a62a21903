"""Python in Markdown: its blocks, and what they promise to print."""

import re
from contextlib import redirect_stdout
from io import StringIO

BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def blocks_of(markdown: str) -> list[str]:
    """The ```python blocks of a page, from top to bottom."""
    return BLOCK.findall(markdown)


def promised_by(block: str) -> list[str]:
    """What a block says that it prints: its lines that begin with ``# ``."""
    return [line[2:] for line in block.splitlines() if line.startswith("# ")]


def printed_by(block: str, namespace: dict, name: str = "block") -> list[str]:
    """Run a block, and return the lines that it prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(block, name, "exec"), namespace)
    return printed.getvalue().splitlines()
