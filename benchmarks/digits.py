"""How long the README's first command takes, without the installation: ``python -m benchmarks.digits``."""

import subprocess
import sys
import tempfile
import time


def section() -> list[str]:
    """The lines of the report."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "gradtx", "sweep", "digits", "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - began
    return ["## A sweep\n", f"`python -m gradtx sweep digits`, 128 Adams, start to end: {seconds:.1f} s."]


if __name__ == "__main__":
    print("\n".join(section()))
