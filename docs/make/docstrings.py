"""Docstrings as the reference shows them: formulas set, names linked, examples coloured."""

import re
from collections.abc import Callable

from docs.make.formulas import Unreadable, formula

NAME = re.compile(r"(?<![`\[])`(?:gradtx\.)?([A-Za-z_][\w.]*)`(?![`\]])")
MATHEMATICS = re.compile(r"[←=≤≈→⟹]|[^\x00-\x7f]")


def shown(text: str, public: Callable[[str], str | None]) -> str:
    """A docstring as Markdown; ``public`` says which name of gradtx a word is, if any."""
    return "\n\n".join(_paragraph(block, public) for block in blocks(text))


def blocks(text: str) -> list[str]:
    r"""The paragraphs of a docstring; its first line is as it stands, the others keep their indent.

    >>> blocks("One.\n\n    x ← y\n\nTwo.")
    ['One.', '    x ← y', 'Two.']
    """
    return [block for block in re.split(r"\n[ ]*\n", text.strip("\n").rstrip()) if block.strip()]


def is_formula(block: str) -> bool:
    """Whether a paragraph is set apart, and is mathematics."""
    lines = block.splitlines()
    return all(line.startswith("    ") for line in lines) and any(MATHEMATICS.search(line) for line in lines)


def is_example(block: str) -> bool:
    """Whether a paragraph is an example for doctest."""
    return block.lstrip().startswith(">>> ")


def linked(text: str, public: Callable[[str], str | None]) -> str:
    """Names in backticks as links to their entries."""

    def link(match: re.Match[str]) -> str:
        name = public(match[1])
        return f"[`{match[1]}`][{name}]" if name else f"`{match[1]}`"

    return NAME.sub(link, text)


def _paragraph(block: str, public: Callable[[str], str | None]) -> str:
    if is_example(block):
        return f"```pycon\n{block}\n```"
    if is_formula(block):
        lines = "\n".join(line[4:] for line in block.splitlines())
        try:
            return f'<div class="formulas">{formula(lines)}</div>'
        except Unreadable:
            return block
    return linked(block, public)
