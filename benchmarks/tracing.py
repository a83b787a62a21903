"""How long Adam takes to trace and lower over many equal leaves, beside Optax: ``python -m benchmarks.tracing``.

The two take turns, so whatever else the machine does falls on both; the figure is the median ratio of the pairs.
"""

import argparse
import statistics
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import gradtx


class Timing(NamedTuple):
    """Median seconds of each, and the median of their ratios pair by pair."""

    gradtx: float
    optax: float
    ratio: float


def seconds_to_lower(tx: Any, params: Any) -> float:
    """Seconds from a fresh Python function to lowered code, for one update of ``tx``."""
    state = jax.eval_shape(tx.init, params)

    def step(gradients, state, params):
        return tx.update(gradients, state, params)

    jax.clear_caches()
    begin = time.perf_counter()
    jax.jit(step).lower(params, state, params)
    return time.perf_counter() - begin


def measure(leaves: int = 400, shape: tuple[int, ...] = (16, 16), pairs: int = 5) -> Timing:
    """Adam of both libraries over ``leaves`` equal leaves, after one pair that warms up and is not counted."""
    params = {f"leaf_{n}": jax.ShapeDtypeStruct(shape, jnp.float32) for n in range(leaves)}
    both = [
        (seconds_to_lower(gradtx.adam(1e-3), params), seconds_to_lower(optax.adam(1e-3), params))
        for _ in range(pairs + 1)
    ]
    ours, theirs = zip(*both[1:], strict=True)
    ratios = [a / b for a, b in both[1:]]
    return Timing(statistics.median(ours), statistics.median(theirs), statistics.median(ratios))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leaves", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    timing = measure(given.leaves, pairs=given.pairs)
    print(f"trace and lower Adam over {given.leaves} equal leaves, median of {given.pairs} pairs")
    print(f"  gradtx {1e3 * timing.gradtx:8.1f} ms")
    print(f"  optax  {1e3 * timing.optax:8.1f} ms")
    print(f"  ratio  {timing.ratio:8.2f}  (at most 0.60)")


if __name__ == "__main__":
    main()
