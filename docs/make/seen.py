"""Where a public name is used: examples, pages of this manual, and the tests with other people's code."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from docs.make import names
from docs.make.blocks import blocks_of

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "docs" / "pages"
CLIENTS = ROOT / "tests" / "clients"


@functools.cache
def seen() -> dict[str, list[tuple[str, str | None]]]:
    """For each public name: the titles of where it is seen, and the pages that show them."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for title, page, source in sources():
        for name in sorted(used_in(source)):
            if (title, page) not in found.setdefault(name, []):
                found[name].append((title, page))
    return found


def sources() -> Iterator[tuple[str, str | None, str]]:
    """Title, page and Python of each place."""
    for path in sorted(PAGES.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), path.stem)
        yield title, path.relative_to(PAGES).as_posix(), "\n".join(blocks_of(text))
    for path in examples():
        yield path.name, f"examples.md#{path.stem}", path.read_text(encoding="utf-8")
    for path in sorted(CLIENTS.glob("*.py")):
        if path.stem != "__init__":
            yield f"tests/clients/{path.name}", None, path.read_text(encoding="utf-8")


def examples() -> list[Path]:
    """The files of the examples."""
    return sorted((ROOT / "examples").glob("*.py"))


def used_in(source: str) -> set[str]:
    r"""The public names of gradtx that Python uses, whatever it calls them.

    >>> sorted(used_in("import gradtx as gx\nfrom gradtx import sweep\nsweep.grid(gx.adam, learning_rate=[1.0])"))
    ['gradtx.adam', 'gradtx.sweep.grid']
    """
    tree = ast.parse(source)
    known, used = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            ours = [own for own in node.names if own.name.partition(".")[0] == "gradtx"]
            known.update({own.asname or "gradtx": own.name if own.asname else "gradtx" for own in ours})
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "gradtx":
            known.update({own.asname or own.name: f"{node.module}.{own.name}" for own in node.names})
            used.update(f"{node.module}.{own.name}" for own in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            used.add(_dotted(node, known))
    return used & names.public()


def _dotted(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    return f"{_dotted(node.value, known)}.{node.attr}" if isinstance(node, ast.Attribute) else ""
