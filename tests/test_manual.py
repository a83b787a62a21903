"""What the manual says is run: the Python of every page from top to bottom, and every printed line is compared."""

import ast
import doctest
import importlib
import inspect
import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import gradtx
from docs.make import docstrings, drawing, links, names, reference
from docs.make.blocks import blocks_of, printed_by, promised_by
from docs.make.formulas import Unreadable, formula

PAGES = Path(__file__).parent.parent / "docs" / "pages"
HOUSE = Path(gradtx.__file__).parent
CHECKED = ("docstrings", "seen", "formulas.tokens", "formulas.write")  # of what makes the site: with examples
NAMES = sorted(path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md"))
TAKES_LONG = {  # pages whose blocks, and pictures whose training, need five seconds and more
    "sweeps/laptop.md", "sweeps/own-models.md", "sweeps/studies.md", "sweeps/tuning.md",
    "choose_deterministic", "choose_matrices", "choose_noisy", "choose_sparse", "choose_without_rate",
    "coordinate_check",
}  # fmt: skip


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


@pytest.mark.parametrize("name", marked(drawing.names()))
def test_is_drawn(name):
    assert drawing.draw(name, "dark").count(b"<path") > 3


def test_every_picture_that_a_page_names_has_its_module():
    named = {picture for name in NAMES for picture in drawing.named_in(read(name))}
    assert named == set(drawing.names())


def test_a_picture_is_there_in_two_shades():
    shown = drawing.two_shades("![a chain](../pictures/chain.svg)")
    assert shown == (
        "![a chain](../pictures/chain-light.svg#only-light)![a chain](../pictures/chain-dark.svg#only-dark)"
    )


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ('<a href="other.html#there">', ""),
        ('<a href="#own" id="own">', ""),
        ('<a href="https://example.org/x">', ""),
        ('<a href="gone.html">', "no such file"),
        ('<a href="other.html#gone">', "no anchor 'gone'"),
        ('<a href="https://nowhere">', "is no address"),
        ('<img src="gone.svg">', "no such file"),
        ('<script src="https://example.org/x.js"></script>', "from elsewhere"),
    ],
)
def test_a_dead_link_is_found(link, reason, tmp_path):
    (tmp_path / "index.html").write_text(link, encoding="utf-8")
    (tmp_path / "other.html").write_text('<h2 id="there">', encoding="utf-8")
    wrong, _, _ = links.dead(tmp_path)
    assert len(wrong) == bool(reason)
    assert not reason or reason in wrong[0]


# The reference --------------------------------------------------------------------------------------------------------


def names_of_the_library():
    spaces = [*gradtx._NAMESPACES, "sweep.engines"]
    door = {f"gradtx.{name}" for name in gradtx.__all__ if name not in spaces}
    rooms = {s: importlib.import_module(f"gradtx.{s}").__all__ for s in spaces if s != "optax"}
    return door | {f"gradtx.{s}.{name}" for s, own in rooms.items() for name in own if f"{s}.{name}" not in spaces}


def test_every_public_name_has_its_entry():
    assert names.public() == names_of_the_library()
    text = "\n".join(reference.page(page) for page in names.pages())
    entries = re.findall(r"^::: ([\w.]+)$|^### `([\w.]+)` {", text, flags=re.MULTILINE)
    assert sorted("".join(entry) for entry in entries) == sorted(names.public())


def test_every_page_of_the_reference_is_in_the_navigation():
    listed = re.findall(r"reference/([\w.]+)\.md", (PAGES.parent.parent / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(["index", "optax", *(page.name for page in names.pages())])


def docstring_of(name):
    """The docstring of a public name; of an assignment, the string that follows it."""
    found = names.found(name)
    if inspect.isroutine(found) or inspect.isclass(found) or hasattr(found, "__wrapped__"):
        return inspect.getdoc(found)
    home, _, own = name.rpartition(".")
    home, own = gradtx._HOMES.get(own, (home, own)) if home == "gradtx" else (home, own)
    paths = [
        p for p in (HOUSE.rglob("*.py")) if re.search(rf"^{own}\b.*=", p.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    return next((d for path in paths if (d := string_after(path, own))), None)


def string_after(path, own):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for statement, after in itertools.pairwise(body):
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if any(isinstance(t, ast.Name) and t.id == own for t in targets) and isinstance(after, ast.Expr):
            return getattr(after.value, "value", None)
    return None


@pytest.mark.parametrize("name", sorted(names.public()))
def test_is_summed_up_in_a_sentence(name):
    summary = (docstring_of(name) or "").partition("\n\n")[0].strip()
    assert summary.endswith(".") or "\n" in summary, summary


def formulas():
    """Every paragraph of a public docstring that is mathematics."""
    for name in sorted(names.public()):
        for block in docstrings.blocks(docstring_of(name) or ""):
            if docstrings.is_formula(block) and not docstrings.is_example(block):
                yield name, inspect.cleandoc(block)


def test_nearly_all_formulas_are_set():
    found, unread = 0, []
    for name, block in formulas():
        found += 1
        try:
            ElementTree.fromstring(f"<div>{formula(block)}</div>")
        except Unreadable as error:
            unread.append(f"{name}: {error}")
    assert found > 280
    assert len(unread) <= 0.01 * found, unread


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("α m̂/(√ν̂ + ε)", "α (m^ / root(ν^) + ε)"),
        ("(a − b)/c/d", "((a − b / c) / d)"),
        ("gᵀg / gᵀHg", "(g^T g / g^T H g)"),
        ("β₁mₜ₋₁", "β_1 m_t−1"),
        ("|gₜ|² + ‖θ‖", "|g_t|^2 + ‖θ‖"),
        ("√Σᵢ|uᵢ|²", "root(∑_i |u_i|^2)"),
        ("Hᵢ^(p/2)", "H_i^p/2"),
        ("uₜ ×₁ H", "u_t ×_1 H"),
        ("√max(1, n/m) U", "root(max (1 , (n / m))) U"),
    ],
)
def test_a_formula_reads_as(text, shape):
    assert re.sub(r"\s+", " ", in_words(ElementTree.fromstring(formula(text)))).strip() == shape


def in_words(element):
    """MathML in a line, with a bracket around each fraction."""
    tag, parts = element.tag.rpartition("}")[2], [in_words(child) for child in element]
    match tag:
        case "mfrac":
            return f" ({parts[0].strip()} / {parts[1].strip()}) "
        case "msqrt":
            return f" root({''.join(parts).strip()}) "
        case "msub" | "munder":
            return f" {parts[0].strip()}_{parts[1].replace(' ', '')} "
        case "msup":
            return f" {parts[0].strip()}^{parts[1].replace(' ', '')} "
        case "msubsup":
            return f" {parts[0].strip()}_{parts[1].replace(' ', '')}^{parts[2].replace(' ', '')} "
        case "mover":
            return f" {parts[0].strip()}^ "
        case "mrow" if len(element) > 2 and element[0].get("fence"):
            return f" {parts[0].strip()}{''.join(parts[1:-1]).strip()}{parts[-1].strip()} "
        case "mi" | "mn" | "mo" | "mtext":
            return f" {element.text} "
    return "".join(parts)


@pytest.mark.parametrize("module", CHECKED)
def test_examples_of(module):
    assert doctest.testmod(importlib.import_module(f"docs.make.{module}")).failed == 0
