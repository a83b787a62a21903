"""The tree of a formula as MathML."""

import re
from html import escape

from docs.make.formulas.read import Fraction, Group, Leaf, Marked, Root, Row, Scripts, Unreadable, read
from docs.make.formulas.tokens import MARKS, OVER, UNDER

CASES = re.compile(r"^(?P<left>[^←=]*[←=]\s*)(?P<one>.+?) where (?P<when>.+?),\s+(?P<other>.+) elsewhere$")
CLAUSE = re.compile(r"(?<=;)\s+|(?<=,)\s{2,}|\s{3,}")
MATH = (
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mstyle displaystyle="true">{}</mstyle></math>'
)


def formula(text: str) -> str:
    """A formula of one or several lines as HTML: each clause is a formula that may go to the next line.

    >>> formula("u ← α/2").count("<mfrac>")
    1
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(f'<div class="formula">{"".join(map(_clause, clauses(line)))}</div>' for line in lines)


def clauses(line: str) -> list[str]:
    """The parts of a line that can be read alone: at ``;``, or at a wide space, outside of brackets.

    >>> clauses("m = a(b;  c);   u ← m,   m₀ = 0")
    ['m = a(b;  c);', 'u ← m,', 'm₀ = 0']
    """
    parts, depth, start = [], 0, 0
    cuts = {match.start(): match.end() for match in CLAUSE.finditer(line)}
    for at, character in enumerate(line):
        depth += (character in "([{") - (character in ")]}")
        if at in cuts and depth == 0:
            parts.append(line[start:at])
            start = cuts[at]
    return joined([part.strip() for part in (*parts, line[start:]) if part.strip()])


def joined(parts: list[str]) -> list[str]:
    """Two parts that say "this where ..., that elsewhere" are one."""
    done: list[str] = []
    for part in parts:
        opened = done and " where " in done[-1] and done[-1].endswith(",") and "elsewhere" in part
        done = [*done[:-1], f"{done[-1]}   {part}"] if opened else [*done, part]
    return done


def _clause(text: str) -> str:
    ends = text[-1] if text[-1] in ";," else ""
    cases = CASES.match(text.removesuffix(ends))
    if cases is None:
        return MATH.format(row(read(text)))
    rows = (cases["one"], "where " + cases["when"]), (cases["other"], "elsewhere")
    cell = '<mtd style="text-align:left"><mstyle displaystyle="true">{}</mstyle></mtd>'
    body = "".join(f"<mtr>{''.join(cell.format(row(read(text))) for text in parts)}</mtr>" for parts in rows)
    brace = f'<mrow><mo stretchy="true">{{</mo><mtable>{body}</mtable></mrow>'
    return MATH.format(row(read(cases["left"])) + brace + (row(read(ends)) if ends else ""))


def row(found: Row) -> str:
    """Terms in a row, with the spaces between them."""
    parts, before = [], None
    for item in found.items:
        if before is not None and item.space and not (_is_operator(item) or _is_operator(before)):
            words = _is_word(item) or _is_word(before)
            parts.append(f'<mspace width="{0.3 if words else 0.18}em"/>')
        elif _is_word(item) and _is_operator(before) and before.text in ",;:":
            parts.append('<mspace width="0.3em"/>')
        sign = _is_operator(item) and item.text in "−+±" and (before is None or _is_operator(before, "..."))
        parts.append(f'<mo form="prefix">{item.text}</mo>' if sign else node(item))
        before = item
    return f"<mrow>{''.join(parts)}</mrow>" if len(parts) != 1 else parts[0]


def node(item: object) -> str:
    """An element."""
    match item:
        case Row():
            return row(item)
        case Leaf():
            return leaf(item)
        case Fraction(above, below):
            return f"<mfrac>{row(above)}{row(below)}</mfrac>"
        case Root(of, 2):
            return f"<msqrt>{row(of)}</msqrt>"
        case Root(of, degree):
            return f"<mroot>{row(of)}<mn>{degree}</mn></mroot>"
        case Marked(base, mark):
            return f'<mover accent="true">{node(base)}<mo stretchy="false">{MARKS[mark]}</mo></mover>'
        case Group(opening, inner, closing):
            tall = "true" if _is_tall(inner) else "false"
            bar = [
                f'<mo stretchy="{tall}" fence="true" form="{form}">{c}</mo>'
                for form, c in (("prefix", opening), ("postfix", closing))
            ]
            return f"<mrow>{bar[0]}{row(inner)}{bar[1]}</mrow>"
        case Scripts(base, under, over):
            return scripts(base, under, over)
    raise Unreadable(f"no element for {item}")


def scripts(base: object, under: Row | None, over: Row | None) -> str:
    """A base with its index and exponent; a large sum has its index below."""
    under, over = (part and flat(part) for part in (under, over))
    large = isinstance(base, Leaf) and base.kind == "large"
    if under and over:
        return f"<msubsup>{node(base)}{row(under)}{row(over)}</msubsup>"
    if under:
        tag = "munder" if large else "msub"
        return f"<{tag}>{node(base)}{row(under)}</{tag}>"
    assert over is not None
    return f"<msup>{node(base)}{row(over)}</msup>"


def flat(found: Row) -> Row:
    """What is written small has a slash in place of a bar."""
    items = []
    for item in found.items:
        slashed = isinstance(item, Fraction)
        items += [item.above, Leaf("operator", "/"), item.below] if slashed else [item]
    return Row(items)


def leaf(item: Leaf) -> str:
    """A letter, a number, a name or an operator."""
    text = escape(item.text, quote=False)
    match item.kind:
        case "letter" | "greek":
            return f"<mo>{text}</mo>" if text == "∇" else f"<mi>{text}</mi>"
        case "number":
            return f"<mn>{text}</mn>"
        case "large":
            return f'<mo largeop="true">{"∑" if text == "Σ" else "∏"}</mo>'
        case "code":
            return f"<mtext>{text.strip('`')}</mtext>"
        case "name":
            return f"<mi>{text}</mi>"  # not mtext: what stands beside it would count as a prefix, and be set tight
        case "script":
            return _script(item.text)
        case _:
            return _operator(text)


def _operator(text: str) -> str:
    match text:
        case "...":
            return "<mi>…</mi>"
        case "," | ";" | ":":
            return f'<mo lspace="0em" rspace="0.25em">{text}</mo>'
    return f"<mo>{ {'-': '−', '~': '∼'}.get(text, text) }</mo>"


def _script(text: str) -> str:
    """Small letters as they are written large: ₜ₋₁ is t − 1."""
    plain = "".join(UNDER.get(c, OVER.get(c, c)) for c in text)
    parts = re.findall(r"\d+|[a-z]{2,}|.", plain)
    out = []
    for part in parts:
        if part.isdigit():
            out.append(f"<mn>{part}</mn>")
        elif len(part) > 1 and part in ("max", "in", "out", "min"):
            out.append(f"<mtext>{part}</mtext>")
        elif part.isalpha():
            out.append("".join(f"<mi>{letter}</mi>" for letter in part))
        else:
            out.append(f'<mo lspace="0em" rspace="0em">{part}</mo>')
    return "<mrow>" + "".join(out) + "</mrow>"


def _is_operator(item: object, but: str = "") -> bool:
    return isinstance(item, Leaf) and item.kind == "operator" and item.text != but


def _is_word(item: object) -> bool:
    while isinstance(item, Row) and item.items:
        item = item.items[0]
    return isinstance(item, Leaf) and item.kind in ("name", "code")


def _is_tall(inner: object) -> bool:
    match inner:
        case Fraction():
            return True
        case Row(items):
            return any(_is_tall(item) for item in items)
        case Group(_, body, _):
            return _is_tall(body)
        case Scripts(base, _, _):
            return _is_tall(base)
        case Root(of, _):
            return _is_tall(of)
    return False
