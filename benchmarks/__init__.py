"""Benchmarks, side by side with peers in the same run: ``python -m benchmarks.<name>``."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # what is timed; the compilers of other devices do not want theirs opened
