"""What preconditioners cost on this CPU, and whether refreshes stall: ``python -m benchmarks.preconditioners``.

Beside Adam: the mean time of a step, the worst step over the mean, and the operations of a step as the compiler counts
them, which leave out decompositions, since those are calls of LAPACK.
"""

import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax

import gradtx
from benchmarks.models import Tree, random, shapes, step_of

EVERY = 10
CONTESTANTS = {
    "Adam": gradtx.adam(1e-3),
    "Shampoo, roots in turn": gradtx.shampoo(1e-3, precondition_frequency=EVERY),
    "Shampoo, all roots at once": gradtx.shampoo(1e-3, precondition_frequency=EVERY, staggered=False),
    "SOAP, bases in turn": gradtx.soap(1e-3, precondition_frequency=EVERY),
    "SOAP, all bases at once": gradtx.soap(1e-3, precondition_frequency=EVERY, staggered=False),
    "SPlus, bases in turn": gradtx.splus(1e-3, precondition_frequency=EVERY),
    "PSGD-Kron, at every step": gradtx.psgd_kron(1e-3, preconditioner_update_probability=1.0),
    "PSGD-Kron, at 3 % of the steps": gradtx.psgd_kron(1e-3, preconditioner_update_probability=0.03),
}


def layers(count: int, width: int) -> Tree:
    """The matrices of a transformer, and its vectors."""
    block = {"qkv": (width, 3 * width), "proj": (width, width), "fc": (width, 2 * width), "out": (2 * width, width)}
    return shapes({f"h{n}": block | {"scale": (width,)} for n in range(count)})


def timed(tx: Any, params: Tree, rounds: int = 31) -> tuple[list[float], float]:
    """The seconds of each step of an interval, each the median of several intervals; and the operations of a step."""
    given, gradients = random(params), random(params, 1)
    state = tx.init(given)
    compiled = jax.jit(step_of(gradtx, tx)).lower(given, state, gradients).compile()
    found: list[list[float]] = [[] for _ in range(EVERY)]
    given, state = jax.block_until_ready(compiled(given, state, gradients))  # the first step, which decomposes all
    for _ in range(rounds):
        for times in found:
            began = time.perf_counter()
            given, state = jax.block_until_ready(compiled(given, state, gradients))
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in found], compiled.cost_analysis()["flops"]


def table(title: str, params: Tree) -> Iterator[str]:
    """A row a contestant."""
    yield f"### {title}: a refresh of each matrix in {EVERY} steps\n"
    yield "| | mean step | worst step over mean | operations, without decompositions |\n|---|---|---|---|"
    for name, tx in CONTESTANTS.items():
        steps, flops = timed(tx, params)
        mean = statistics.mean(steps)
        yield f"| {name} | {1e3 * mean:.1f} ms | {max(steps) / mean:.2f} | {1e-6 * flops:.0f} million |"
    yield ""


def section() -> list[str]:
    """The lines of the report."""
    lines = [f"## Preconditioners on this CPU ({os.cpu_count()} cores)\n"]
    for count, width in ((6, 64),):
        lines += table(f"{count} layers, {width} wide", layers(count, width))
    return lines


if __name__ == "__main__":
    print("\n".join(section()))
