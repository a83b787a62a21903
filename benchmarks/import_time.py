"""What ``import gradtx`` costs on top of jax: ``python -m benchmarks.import_time``.

Each run is a fresh interpreter that has imported jax and jax.numpy; the best of several counts, since noise only adds.
"""

import argparse
import os
import subprocess
import sys

PROGRAM = """
import time
import jax, jax.numpy
begin = time.perf_counter()
import {module}
print(time.perf_counter() - begin)
"""


def seconds_to_import(module: str = "gradtx", runs: int = 7) -> float:
    """The best time of several fresh interpreters to import a module after jax."""
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = [
        float(subprocess.run(command, check=True, capture_output=True, text=True, env=compiled).stdout)
        for _ in range(runs + 1)  # the first writes the bytecode, as an installation does
    ]
    return min(times)


def section() -> list[str]:
    """The lines of the report."""
    ours, theirs = (1e3 * seconds_to_import(module) for module in ("gradtx", "optax"))
    head = "## Import, on top of jax: the best of 7 fresh interpreters (at most 30 ms is asked of gradtx)\n"
    return [head, "| gradtx | Optax |", "|---|---|", f"| {ours:.1f} ms | {theirs:.1f} ms |"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    print(f"import after jax, best of {runs}")
    print(f"  gradtx {1e3 * seconds_to_import('gradtx', runs):8.1f} ms  (under 30)")
    print(f"  optax  {1e3 * seconds_to_import('optax', runs):8.1f} ms")


if __name__ == "__main__":
    main()
