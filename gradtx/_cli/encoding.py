"""Text for any terminal or file: what an encoding does not have is spelled out, ``θ`` as ``theta``."""

import codecs
import io
import itertools
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "gradtx.spelled"
SIGNS = {
    "←": "<-", "→": "->", "↦": "->", "⇒": "=>", "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "∘": "o",
    "⊙": "*", "⊗": "(x)", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∝": "~", "√": "sqrt ", "∛": "cbrt ",
    "∇": "grad ", "∂": "d", "∑": "sum ", "Σ": "sum ", "∏": "prod ", "Π": "prod ", "∞": "inf", "∈": "in", "∉": "not in",
    "‖": "||", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")", "⟨": "<", "⟩": ">", "∕": "/", "\N{DOWN TACK}": "^T",
    "ᵀ": "^T", "…": "...", "“": '"', "”": '"', "±": "+-", "•": "*", "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{TILDE OPERATOR}": "~", "\N{DIVIDES}": "|",
}  # fmt: skip
BARS = {"━": "-", "─": "-", "│": "|", "┃": "|", "╸": "-", "╺": "-"}


@contextmanager
def spelled_out() -> Iterator[None]:
    """Output and errors spell out what their encodings do not have."""
    found = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in found]
    for stream in found:
        stream.reconfigure(errors=NAME)
    try:
        yield
    finally:
        for stream, errors in zip(found, before, strict=True):
            if not stream.closed:
                stream.reconfigure(errors=errors)


def spelled(text: str, before: str = "", after: str = "") -> str:
    """Signs in ASCII, between what stands ``before`` and ``after`` them.

    >>> spelled("θ"), spelled("←"), spelled("é²"), spelled("βₜ₋₁", after="m"), spelled("θ", before="2", after="x")
    ('theta', '<-', 'e^2', 'beta_(t-1)', 'theta ')
    """
    found = ""
    for kind, group in itertools.groupby(text, _kind):
        signs = list(group)
        words = [_sign(sign) for sign in signs]
        if kind in ("_", "^"):
            inner = "".join(words)
            found += f"{kind}({inner})" if len(words) > 1 else f"{kind}{inner}"
        elif kind == "greek":
            front = " " if (found or before)[-1:].isalpha() else ""
            found += front + " ".join(words)
        else:
            found += "".join(words)
    return found + (" " if _kind(text[-1:]) == "greek" and after[:1].isalpha() else "")


def _kind(sign: str) -> str:
    """Whether a sign is low, high, Greek, or none of these."""
    words = unicodedata.name(sign, "").split() if sign else []
    if "SUBSCRIPT" in words:
        return "_"
    if words[:1] == ["SUPERSCRIPT"] or words[:2] == ["MODIFIER", "LETTER"]:
        return "" if sign in SIGNS else "^"
    return "greek" if words[:1] == ["GREEK"] and sign not in SIGNS else ""


def _sign(sign: str) -> str:
    """One sign in ASCII, wherever it stands."""
    for known in (SIGNS, BARS):
        if sign in known:
            return known[sign]
    name = unicodedata.name(sign, "")
    words = name.split()
    if "LETTER" in words and words[0] == "GREEK":
        letter = words[words.index("LETTER") + 1]
        return letter.title() if "CAPITAL" in words else letter.lower()
    if words[:1] == ["COMBINING"]:
        return {"COMBINING CIRCUMFLEX ACCENT": "^", "COMBINING TILDE": "~"}.get(name, "")
    parts = unicodedata.normalize("NFKD", sign)
    return "".join(p if p.isascii() else _sign(p) if p != sign else "?" for p in parts)


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, start, end = error.object, error.start, error.end
    return spelled(text[start:end], text[:start], text[end:]), end


codecs.register_error(NAME, _spell)
