"""The words of a formula: letters with their marks, numbers, names, scripts, operators and brackets."""

import re
import unicodedata
from typing import NamedTuple

UNDER = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "0123456789+−=()aehijklmnoprstuvx", strict=True))
OVER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᴴᵀᵗⁱⁿᵖʳᶻᵏᵞ'*", "0123456789+−()HTtinprzkγ′∗", strict=True))
MARKS = {"\u0302": "^", "\u0304": "¯", "\u0303": "~", "\u0307": "˙"}
GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΦΨΩℓ"
OPENING, CLOSING = "([{⟨⌊⌈", ")]}⟩⌋⌉"
WORDS = {  # of two letters, and no products
    "CE", "NS", "Re", "Im", "an", "as", "at", "by", "if", "in", "is", "it", "no", "of", "on", "or", "so", "to",
    "tx", "up",
}  # fmt: skip
PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<code>``[^`]+``|`[^`]+`|"[^"]*")
      | (?P<number>\d+(?:\.\d+)?|[½⅓¼¾∞])
      | (?P<dots>\.\.\.)
      | (?P<th>[a-z]-th\b)
      | (?P<name>[A-Za-z](?:[A-Za-z0-9]*(?:[_.][A-Za-z0-9]+)*))
      | (?P<index>_[A-Za-z]+)
      | (?P<under>[₀-₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ]+)
      | (?P<over>(?:[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᴴᵀᵗⁱⁿᵖʳᶻᵏᵞ'*])+)
      | (?P<mark>[\u0302\u0303\u0304\u0307])
      | (?P<root>[√∛])
      | (?P<large>[ΣΠ])
      | (?P<greek>[αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΦΨΩℓ∇∂])
      | (?P<opening>[(\[{⟨⌊⌈])
      | (?P<closing>[)\]}⟩⌋⌉])
      | (?P<bar>[|‖])
      | (?P<slash>[/∕])
      | (?P<power>\^)
      | (?P<operator>[←→⟹=≈≤≥<>~+−\-±·×∘,;:…!])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """A word of a formula, and how wide the space before it is."""

    kind: str
    text: str
    space: int = 0


class Unreadable(ValueError):
    """A formula that cannot be read."""


def tokens(text: str) -> list[Token]:
    """The words of a formula.

    >>> [token.text for token in tokens("αuₜ/max(ν̂, eps)")]
    ['α', 'u', 'ₜ', '/', 'max', '(', 'ν', '̂', ',', 'eps', ')']
    """
    found: list[Token] = []
    at = space = 0
    text = apart(text)
    while at < len(text):
        match = PATTERN.match(text, at)
        if match is None:
            raise Unreadable(f"{text[at]!r} at {at} of {text!r}")
        kind, at = str(match.lastgroup), match.end()
        if kind == "space":
            space = len(match[0])
        elif kind == "th":
            found += [Token("letter", match[0][0], space), Token("name", "-th")]
            space = 0
        elif kind == "name":
            found += names(match[0], space, text[at : at + 1], found)
            space = 0
        else:
            found.append(Token(kind, match[0].removeprefix("_"), space))
            space = 0
    return found


def apart(text: str) -> str:
    """Letters and their marks apart: ŵ is two characters."""
    parts = (
        unicodedata.normalize("NFD", c) if c.isalpha() and len(unicodedata.normalize("NFD", c)) > 1 else c for c in text
    )
    return "".join(parts)


def names(word: str, space: int, after: str, before: list[Token]) -> list[Token]:
    """A word is one name, or the product of its letters, or a letter with an index."""
    head, _, index = word.partition("_")
    if len(head) == 1 and index:
        return [Token("letter", head, space), Token("index", index)]
    if head in ("mean", "sum", "max", "min") and index in ("cols", "rows", "inputs"):
        return [Token("name", head, space), Token("index", index)]
    if len(word) == 1 and not (word == "a" and before and before[-1].kind == "name" and after == " "):
        return [Token("letter", word, space)]
    if is_product(word) and after != "(":
        return [Token("letter", letter, space if n == 0 else 0) for n, letter in enumerate(word)]
    return [Token("name", word, space)]


def is_product(word: str) -> bool:
    """Whether letters that stand together are a product: two that are no word, or capitals amid others."""
    if len(word) == 2 and word.isalpha():
        return word not in WORDS
    return len(word) == 3 and word[0].islower() and word[1].isupper()
