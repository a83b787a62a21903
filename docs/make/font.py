"""The font of the formulas: STIX Two Math as the package ziamath ships it, cut to what formulas need.

A browser sets MathML well only with a font that says where scripts, bars and roots go, and not every machine has one.
"""

import io
from importlib.resources import files

RANGES = ((0x20, 0x17F), (0x300, 0x338), (0x370, 0x3FF), (0x2000, 0x23FF), (0x27C0, 0x27EF), (0x1D400, 0x1D7FF))


def math_font() -> bytes:
    """The font as a WOFF file."""
    from fontTools import subset, ttLib

    font = ttLib.TTFont(str(files("ziamath").joinpath("fonts/STIXTwoMath-Regular.ttf")), lazy=True)
    options = subset.Options(layout_features=["ssty", "dtls", "kern"], notdef_outline=True, flavor="woff")
    cut = subset.Subsetter(options)
    cut.populate(unicodes=[c for first, last in RANGES for c in range(first, last + 1)])
    cut.subset(font)
    font.flavor = "woff"
    written = io.BytesIO()
    font.save(written)
    return written.getvalue()
