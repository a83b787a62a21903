"""``python -m tests.fuzz --minutes N``, or ``--cases N``; ends with 1 if something failed."""

import argparse
import os
import sys
from importlib.metadata import version


def main() -> int:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long")
    parser.add_argument("--cases", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    quick = " --xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else ""
    os.environ.setdefault("XLA_FLAGS", f"--xla_backend_optimization_level=0{quick}")
    from tests.fuzz.run import fuzz

    many = 300 if asked.minutes is None and asked.cases is None else asked.cases
    seen = 0

    def tell(log):
        nonlocal seen
        print(f"{log.seconds:6.0f} s  {log.cases} cases, {log.said} steps, {len(log.failures)} failures", flush=True)
        for failure in log.failures[seen:]:
            print(f"\n{failure}", flush=True)
        seen = len(log.failures)

    log = fuzz(many, asked.minutes, asked.seed, tell)
    print(f"seed {asked.seed}: {log}")
    return 1 if log.failures else 0


if __name__ == "__main__":
    sys.exit(main())
