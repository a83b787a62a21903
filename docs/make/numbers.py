"""The page of the published numbers, computed when the manual is built."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "manual"

INTRO = """# Published numbers

An optimizer that is almost right still trains. So we compute what others have published, digit by digit: tables of
PyTorch, updates of lecture notes, golden values of Keras, regressions that NIST has certified, runs of SciPy, GSL and
Optim.jl. This page was computed when the manual was built, in float64 on a CPU; `python -m gradtx prove` prints the
same on your machine, and every row is a test.

**{summary}.**

A number *agrees* if ours, rounded as theirs is, has all the published digits. Where a source prints more digits than
arithmetic keeps, or publishes a limit that is only approached, the verdict says to how much it agrees. Where digits
were cut off and not rounded, it says so. A row of several numbers shows the one that is farthest off.

## What differs, and why

{differs}

## The sources

| source | rows | agree |
|---|---:|---:|
{sources}
"""


def numbers() -> str:
    """The page, computed anew only if gradtx has changed."""
    kept = CACHE / f"numbers-{_print()}.md"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob("numbers-*.md"):
            old.unlink()
        kept.write_text(computed(), encoding="utf-8")
    return kept.read_text(encoding="utf-8")


def computed() -> str:
    """The page, computed."""
    from gradtx._prove import table
    from gradtx._prove.sources import outcomes

    found = [(source, list(rows)) for source, rows in outcomes([])]
    different = [(s, o) for s, rows in found for o in rows if not o.agrees]
    differs = [f"- **{s.title}**, {o.row.setting}: {o.row.reason}." for s, o in different]
    sources = [f"| {s.title} | {len(rows)} | {sum(o.agrees for o in rows)} |" for s, rows in found]
    body = table.markdown(found).split("\n", 2)[2]
    intro = INTRO.format(
        summary=table.summary(found), differs="\n".join(differs) or "Nothing.", sources="\n".join(sources)
    )
    return f"{intro}\n{body}\n"


def _print() -> str:
    found = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted((ROOT / "gradtx").rglob("*")):
        if path.suffix in (".py", ".txt"):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
