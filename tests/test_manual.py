"""What the manual says is run: the Python of every page from top to bottom, and every printed line is compared."""

import ast
from pathlib import Path

import pytest

from docs.make import drawing
from docs.make.blocks import blocks_of, printed_by, promised_by

PAGES = Path(__file__).parent.parent / "docs" / "pages"
NAMES = sorted(path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md"))
TAKES_LONG = set()  # pages whose blocks need more than ten seconds


def read(name):
    return (PAGES / name).read_text(encoding="utf-8")


def marked(names):
    return [pytest.param(n, marks=[pytest.mark.slow] if n in TAKES_LONG else []) for n in names]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", marked(n for n in NAMES if blocks_of(read(n))))
def test_the_python_prints_what_it_says_in(name):
    namespace: dict = {"__name__": "__main__"}
    for number, block in enumerate(blocks_of(read(name)), 1):
        assert printed_by(block, namespace, f"{name}: block {number}") == promised_by(block)


def has_an_effect(block):
    """Whether a block does more than look at a value that it does not print."""
    body = ast.parse(block).body
    useless = (ast.Constant, ast.Name, ast.Attribute, ast.Compare, ast.BinOp)
    return bool(body) and not all(isinstance(x, ast.Expr) and isinstance(x.value, useless) for x in body)


@pytest.mark.parametrize("name", NAMES)
def test_no_block_is_without_effect_in(name):
    for block in blocks_of(read(name)):
        assert has_an_effect(block), block


@pytest.mark.parametrize("name", drawing.names())
def test_is_drawn(name):
    assert drawing.draw(name, "dark").count(b"<path") > 3


def test_every_picture_that_a_page_names_has_its_module():
    named = {picture for name in NAMES for picture in drawing.named_in(read(name))}
    assert named == set(drawing.names())
