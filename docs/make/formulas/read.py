"""A formula as a tree: rows of terms, fractions, roots, scripts and brackets.

What stands together without a space is one product, and a slash without spaces divides what stands next to it. A slash
with spaces divides all that stands before it, back to the last operator.
"""

from dataclasses import dataclass, field

from docs.make.formulas.tokens import CLOSING, OPENING, Token, Unreadable, tokens


@dataclass
class Leaf:
    """A letter, a number, a name, an operator; ``space`` is the width before it."""

    kind: str
    text: str
    space: int = 0


@dataclass
class Row:
    """Terms in a row; ``tight`` if they are one product."""

    items: list = field(default_factory=list)
    tight: bool = False
    space: int = 0


@dataclass
class Fraction:
    """What stands above and below a bar."""

    above: Row
    below: Row
    space: int = 0


@dataclass
class Root:
    """A root of degree two or three."""

    of: Row
    degree: int = 2
    space: int = 0


@dataclass
class Scripts:
    """What has an index, an exponent, or both."""

    base: object
    under: Row | None = None
    over: Row | None = None
    space: int = 0


@dataclass
class Marked:
    """A letter with a hat or a bar."""

    base: object
    mark: str
    space: int = 0


@dataclass
class Group:
    """What stands in brackets."""

    opening: str
    inner: Row
    closing: str
    space: int = 0


def read(text: str) -> Row:
    """The tree of a formula, or `Unreadable`."""
    reader = Reader(tokens(text))
    row = reader.row("")
    if reader.rest:
        raise Unreadable(f"{reader.rest[0].text!r} closes nothing in {text!r}")
    return row


class Reader:
    """Reads tokens from left to right."""

    def __init__(self, found: list[Token]):
        self.rest = list(found)

    def next(self, kind: str = "") -> Token | None:
        """The token that is next, if there is one (of this kind)."""
        return self.rest[0] if self.rest and kind in ("", self.rest[0].kind) else None

    def take(self) -> Token:
        """The next token; it is read."""
        if not self.rest:
            raise Unreadable("the formula ends too early")
        return self.rest.pop(0)

    def row(self, closing: str) -> Row:
        """All terms up to a closing bracket, or up to the end."""
        items: list = []
        while (token := self.next()) and token.kind != "closing" and token.text != closing:
            if token.kind == "slash":
                items = self.divided(items, closing)
            elif token.kind in ("operator", "dots"):
                sign = Leaf("operator", self.take().text, token.space)
                items.append(self.scripted(sign, token.space))
            else:
                items.append(self.product(closing))
        return Row(items)

    def divided(self, items: list, closing: str) -> list:
        """The terms with the last of them above a bar."""
        wide = self.take().space > 0
        start = len(items) - 1
        while wide and start > 0 and not _separates(items[start - 1]):
            start -= 1
        if start < 0 or _separates(items[start]):
            raise Unreadable("nothing stands above the bar")
        above, below = items[start:], self.product(closing)
        return [*items[:start], Fraction(bare(Row(above)), bare(below), above[0].space)]

    def product(self, closing: str) -> Row:
        """What stands together without a space."""
        items = [self.factor()]
        while (token := self.next()) and not token.space:
            if token.kind in ("operator", "dots", "slash", "closing") or token.text == closing:
                break
            items.append(self.factor())
        return Row(items, tight=True, space=items[0].space)

    def factor(self) -> object:
        """One thing with its marks, indices and exponents."""
        token = self.take()
        node: object
        if token.kind in ("letter", "greek", "number", "name", "code", "large"):
            node = Leaf(token.kind, token.text, token.space)
        elif token.kind == "opening":
            inner = self.row(CLOSING[OPENING.index(token.text)])
            node = Group(token.text, inner, self.closed(CLOSING[OPENING.index(token.text)]), token.space)
        elif token.kind == "bar":
            node = Group(token.text, self.row(token.text), self.closed(token.text), token.space)
        elif token.kind == "root":
            node = Root(self.radicand(), 3 if token.text == "∛" else 2, token.space)
        else:
            raise Unreadable(f"{token.text!r} stands where a term should")
        while (mark := self.next("mark")) and not mark.space:
            node = Marked(node, self.take().text, token.space)
        return self.scripted(node, token.space)

    def radicand(self) -> Row:
        """What stands under a root: one thing, and what it is of."""
        items = [self.factor()]
        while _takes_more(items[-1]) and self.next() and (not self.rest[0].space or len(items) > 1):
            items.append(self.factor())
        return bare(Row(items, tight=True))

    def scripted(self, node: object, space: int) -> object:
        """A thing with the indices and exponents that follow it."""
        under = over = None
        while (token := self.next()) and not token.space and token.kind in ("under", "over", "power", "index"):
            self.take()
            if token.kind == "under":
                under = Row([Leaf("script", token.text)])
            elif token.kind == "index":
                short = len(token.text) < 3 and token.text != "in"
                under = Row([Leaf("letter", c) for c in token.text] if short else [Leaf("name", token.text)])
            elif token.kind == "over":
                over = Row([*(over.items if over else []), Leaf("script", token.text)])
            else:
                over = self.exponent()
        return Scripts(node, under, over, space) if under or over else node

    def exponent(self) -> Row:
        """What stands behind ``^``."""
        sign = [Leaf("operator", self.take().text)] if self.next("operator") else []
        token = self.take()
        if token.kind == "opening":
            inner = self.row(")")
            self.closed(")")
            return Row([*sign, *inner.items])
        return Row([*sign, Leaf(token.kind, token.text)])

    def closed(self, closing: str) -> str:
        """The bracket that closes; it is read."""
        token = self.take()
        if token.text != closing:
            raise Unreadable(f"expected {closing!r}, found {token.text!r}")
        return closing


def bare(row: Row) -> Row:
    """What a bar or a root holds together needs no brackets."""
    while len(row.items) == 1 and isinstance(row.items[0], Row):
        row = row.items[0]
    only = row.items[0] if len(row.items) == 1 else None
    return only.inner if isinstance(only, Group) and only.opening == "(" else row


def _separates(item: object) -> bool:
    return isinstance(item, Leaf) and item.kind == "operator" and item.text != "·"


def _takes_more(node: object) -> bool:
    base = node.base if isinstance(node, Scripts) else node
    return isinstance(base, Leaf) and (base.kind == "large" or base.kind == "name")
