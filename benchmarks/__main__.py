"""Every figure, side by side with Optax, written to ``benchmarks/RESULTS.md``: ``python -m benchmarks``."""

import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks import import_time, precision, sweeps, tracing


def tracing_rows() -> list[str]:
    """Ratios of time to trace and lower, and exact counts of equations."""
    rows = ["| leaves | gradtx | Optax | ratio, median of pairs |", "|---|---|---|---|"]
    for leaves in (40, 400):
        timing = tracing.measure(leaves)
        rows.append(f"| {leaves} | {1e3 * timing.gradtx:.0f} ms | {1e3 * timing.optax:.0f} ms | {timing.ratio:.2f} |")
    return rows


def import_rows() -> list[str]:
    """The best of several fresh interpreters."""
    ours, theirs = (import_time.seconds_to_import(module) for module in ("gradtx", "optax"))
    return ["| gradtx | Optax |", "|---|---|", f"| {1e3 * ours:.1f} ms | {1e3 * theirs:.1f} ms |"]


def precision_rows() -> list[str]:
    """Deterministic distances from float64."""
    rows = ["| gradients | | first 50 updates | 3,000 updates |", "|---|---|---|---|"]
    for kind, found in precision.rows():
        rows += [f"| {kind} | {name} | {first:.1e} | {every:.1e} |" for name, (first, every) in found.items()]
    return rows


def sweep_rows() -> list[str]:
    """The README's first command, without the installation."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "gradtx", "sweep", "digits", "--out", folder], check=True, capture_output=True
        )
        return [f"`python -m gradtx sweep digits`, 128 Adams, start to end: {time.perf_counter() - began:.1f} s"]


def main() -> None:
    """Measure, print and write."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("gradtx", "jax", "optax"))
    parts = [
        "# Results",
        f"`python -m benchmarks`, Python {platform.python_version()}, {versions}, on a CPU.",
        "## Import, on top of jax (best of 7; at most 30 ms is asked of gradtx)",
        *import_rows(),
        "## Trace and lower one update of Adam over equal leaves (a ratio; at most 0.60 is asked)",
        *tracing_rows(),
        "## float32 Adam against float64 (root mean square, relative; 5e-7 and 1e-6 are asked)",
        *precision_rows(),
        "## The README's first command",
        *sweep_rows(),
        *sweeps.section(),
    ]
    text = "\n".join(f"\n{part}\n" if part.startswith("#") else part for part in parts).strip() + "\n"
    print(text)
    (Path(__file__).parent / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
