"""What ``import gradtx`` costs on top of jax: ``python -m benchmarks.import_time``.

Each run is a fresh interpreter that has imported jax and jax.numpy; the best of several counts, since noise only adds.
"""

import argparse
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
    program = PROGRAM.format(module=module)
    times = [
        float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
        for _ in range(runs)
    ]
    return min(times)


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
