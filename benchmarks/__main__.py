"""Every figure, peers beside it, written to ``benchmarks/RESULTS.md``: ``python -m benchmarks [--only NAME ...]``.

A section is a module of this package with a function ``section() -> list[str]`` of lines of Markdown, the first a
heading. Each runs in an interpreter of its own, so that none finds the caches, the threads or the compilers of another.
"""

import argparse
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SECTIONS = [
    "import_time",
    "values",
    "eager",
    "tracing",
    "precision",
    "preconditioners",
    "accelerator",
    "steps",
    "muon",
    "matrix_peers",
    "growth",
    "digits",
    "sweeps",
    "own_models",
    "engines",
    "tuning",
    "char_model",
]
RESULTS = Path(__file__).parent / "RESULTS.md"


def versions() -> str:
    """What was measured, and with what."""
    found = []
    for name in ("gradtx", "jax", "optax", "libtpu", "jax-cuda12-plugin", "torch", "pytorch_optimizer", "rollfast"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"Python {platform.python_version()}, {', '.join(found)}"


def measure(name: str) -> str:
    """A section, from a fresh interpreter."""
    program = f"from benchmarks.{name} import section; print('\\n'.join(section()))"
    run = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    return f"{run.stdout.strip()}\n\n*`python -m benchmarks.{name}`; {versions()}.*"


def read() -> dict[str, str]:
    """The sections that are written down."""
    parts = re.split(r"<!-- (\w+) -->\n", RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else [""]
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def write(found: dict[str, str]) -> None:
    """All sections in their order."""
    says = "A figure is a count, a ratio, a time, or a compiler's own model, and says which."
    head = f"# Results\n\n`python -m benchmarks`, or `python -m benchmarks --only NAME`. {says}"
    parts = [f"<!-- {name} -->\n{found[name]}" for name in SECTIONS if name in found]
    RESULTS.write_text("\n\n".join([head, *parts]) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="NAME")
    found = read()
    for name in parser.parse_args().only:
        found[name] = measure(name)
        print(found[name], end="\n\n", flush=True)
        write(found)


if __name__ == "__main__":
    main()
