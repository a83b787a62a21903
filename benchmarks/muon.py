"""What Muon costs, beside Optax's: ``python -m benchmarks.muon``.

Over 48 matrices: what it takes to trace, lower and compile one update, the operations that the compiler counts, and how
long a step takes on this CPU. rollfast 0.2.1, the other library for JAX, has no Muon.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

import gradtx
from benchmarks.models import Tree, random, shapes, step_of
from benchmarks.timing import repeated, take_turns
from benchmarks.tracing import lowered

LIBRARIES: dict[str, tuple[Any, Callable[[float], Any]]] = {
    "Optax": (optax, optax.contrib.muon),
    "gradtx": (gradtx, lambda rate: gradtx.muon(rate, muon_weight_dimension_numbers=gradtx.MuonDimensionNumbers())),
}
KINDS = {
    "square, 256 × 256": [(256, 256)],
    "1 : 4, 256 × 1024": [(256, 1024)],
    "blocks of a transformer, 256 wide": [(256, 768), (256, 256), (256, 1024), (1024, 256)],
}


class Cost(NamedTuple):
    """Seconds of the process to trace, lower and compile one update, and the operations that the compiler counts."""

    seconds: float
    operations: float


def matrices(kind: str, count: int = 48) -> Tree:
    """As many matrices, of the shapes of a kind in turn."""
    given = KINDS[kind]
    return shapes({f"matrix_{n}": given[n % len(given)] for n in range(count)})


def cost(library: str, params: Tree) -> Cost:
    """Of one update, from a fresh Python function to a program."""
    lower = lowered(LIBRARIES[library][1](0.02), params)
    begin = time.process_time()
    compiled = lower().compile()
    seconds = time.process_time() - begin
    return Cost(seconds, compiled.cost_analysis()["flops"])


def ratios(params: Tree, pairs: int = 3) -> tuple[float, float]:
    """Ours to Optax's, turn by turn after one that does not count: the median of seconds, and of operations."""
    both = [(cost("gradtx", params), cost("Optax", params)) for _ in range(pairs + 1)][1:]
    return (
        statistics.median(ours.seconds / theirs.seconds for ours, theirs in both),
        both[0][0].operations / both[0][1].operations,
    )


def step_ratio(params: Tree) -> tuple[float, float]:
    """Our seconds of a step on this CPU, and their ratio to Optax's."""
    found, gradients = {}, random(params, 1)
    for name, (library, make) in LIBRARIES.items():
        given, tx = random(params), make(0.02)
        found[name] = repeated(step_of(library, tx), given, tx.init(given), gradients)
    timing = take_turns(found, turns=5)["gradtx"]
    return timing.seconds, timing.ratio


def section() -> list[str]:
    """The lines of the report."""
    lines = [
        "## Muon over 48 matrices: ratios to Optax's (asked: 0.5 to trace and compile; operations 1, at 1 : 4 0.6)\n"
    ]
    lines += ["| | trace, lower and compile | operations | step, ratio | step |", "|---|---|---|---|---|"]
    for kind in KINDS:
        params = matrices(kind)
        seconds, operations = ratios(params)
        step, ratio = step_ratio(params)
        lines.append(f"| {kind} | {seconds:.2f} | {operations:.2f} | {ratio:.2f} | {1e3 * step:.0f} ms |")
    return lines


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    print("\n".join(section()))
