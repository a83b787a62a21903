"""How long Adam takes to trace, lower and compile over many leaves, beside Optax: ``python -m benchmarks.tracing``.

The two take turns, so whatever else the machine does falls on both; the figure is the median ratio of the pairs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
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


def lowered(tx: Any, params: Any) -> Any:
    """One update of ``tx``, from a fresh Python function to lowered code."""
    state = jax.eval_shape(tx.init, params)

    def step(gradients, state, params):
        return tx.update(gradients, state, params)

    jax.clear_caches()
    return lambda: jax.jit(step).lower(params, state, params)


def seconds_to_lower(tx: Any, params: Any) -> float:
    """Seconds of the process (others do not count) to trace and lower one update."""
    lower = lowered(tx, params)
    begin = time.process_time()
    lower()
    return time.process_time() - begin


def seconds_to_compile(tx: Any, params: Any) -> float:
    """Seconds of the process, all its threads together, from lowered code to a program."""
    code = lowered(tx, params)()
    begin = time.process_time()
    code.compile()
    return time.process_time() - begin


def equal_leaves(leaves: int, shape: tuple[int, ...] = (16, 16)) -> Any:
    """Leaves of one shape."""
    return {f"leaf_{n}": jax.ShapeDtypeStruct(shape, jnp.float32) for n in range(leaves)}


def distinct_leaves(leaves: int) -> Any:
    """Leaves of as many shapes."""
    return {f"leaf_{n}": jax.ShapeDtypeStruct((n + 1, 3), jnp.float32) for n in range(leaves)}


def compare(params: Any, seconds: Callable[[Any, Any], float] = seconds_to_lower, pairs: int = 5) -> Timing:
    """Adam of both libraries, after one pair that warms up and is not counted."""
    both = [(seconds(gradtx.adam(1e-3), params), seconds(optax.adam(1e-3), params)) for _ in range(pairs + 1)]
    ours, theirs = zip(*both[1:], strict=True)
    ratios = [a / b for a, b in both[1:]]
    return Timing(statistics.median(ours), statistics.median(theirs), statistics.median(ratios))


def measure(leaves: int = 400, shape: tuple[int, ...] = (16, 16), pairs: int = 5) -> Timing:
    """Adam of both libraries over ``leaves`` equal leaves: to trace and lower."""
    return compare(equal_leaves(leaves, shape), pairs=pairs)


def equations(tx: Any, params: Any) -> int:
    """Equations of the outermost program of one update."""
    return len(jax.make_jaxpr(tx.update)(params, jax.eval_shape(tx.init, params), params).jaxpr.eqns)


def section() -> list[str]:
    """The lines of the report."""
    timings = {
        "one leaf, trace and lower": measure(1, pairs=41),
        "40 equal leaves, trace and lower": measure(40),
        "400 equal leaves, trace and lower": measure(400),
        "400 distinct shapes, trace and lower": compare(distinct_leaves(400), pairs=5),
        "400 equal leaves, compile": compare(equal_leaves(400), seconds_to_compile, pairs=7),
    }
    head = "## Trace, lower and compile one update of Adam: ratios (asked: 0.35 of 400 equal leaves, else 1)\n"
    lines = [head, "| | gradtx | Optax | ratio, median of pairs |", "|---|---|---|---|"]
    for name, timing in timings.items():
        lines.append(f"| {name} | {1e3 * timing.gradtx:.0f} ms | {1e3 * timing.optax:.0f} ms | {timing.ratio:.2f} |")
    lines += ["\nEquations (counts; ours are one call a leaf and a constant a distinct shape):\n"]
    lines += ["| leaves | gradtx | Optax |", "|---|---|---|"]
    for leaves in (10, 40, 400):
        counts = [equations(tx, equal_leaves(leaves)) for tx in (gradtx.adam(1e-3), optax.adam(1e-3))]
        lines.append(f"| {leaves} | {counts[0]} | {counts[1]} |")
    return lines


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
    print(f"  ratio  {timing.ratio:8.2f}  (at most 0.35)")


if __name__ == "__main__":
    main()
