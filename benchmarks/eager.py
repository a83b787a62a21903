"""What people meet first: calls without ``jit``.

``python -m benchmarks.eager``

The libraries take turns, so whatever else the machine does falls on both.
"""

import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import optax

import gradtx
from benchmarks.models import LIBRARIES, equal, zeros
from benchmarks.timing import take_turns

ADAM: Callable[[ModuleType], Any] = lambda library: library.adam(1e-3)  # noqa: E731
SGD: Callable[[ModuleType], Any] = lambda library: library.sgd(1e-3)  # noqa: E731
CALLS = {
    "`update`, Adam, 50 leaves": (ADAM, 50, "update", 0.1),
    "`update`, Adam, 4 leaves": (ADAM, 4, "update", 0.25),
    "`update`, SGD, 4 leaves": (SGD, 4, "update", 1.0),
    "`init`, Adam, 50 leaves": (ADAM, 50, "init", 0.25),
    "`init`, Adam, 4 leaves": (ADAM, 4, "init", 0.5),
}


def called(make: Callable[[ModuleType], Any], leaves: int, method: str) -> dict[str, Callable[[], Any]]:
    """A call of each library outside of ``jit``, as a function of no argument."""
    params = zeros(equal(leaves, 16, 16))

    def of(library: ModuleType) -> Callable[[], Any]:
        tx = make(library)
        state = tx.init(params)
        return (lambda: tx.init(params)) if method == "init" else (lambda: tx.update(params, state, params))

    return {name: of(LIBRARIES[name]) for name in ("Optax", "gradtx")}


def first_calls(pairs: int = 9) -> tuple[float, float, float]:
    """Seconds of the first ``init`` and ``update`` of Adam, compilation included: ours, Optax's, the median ratio."""
    both = []
    for n in range(pairs):
        row = []
        for library in (gradtx, optax):
            jax.clear_caches()
            params = zeros(equal(4, 16 + n, 16))
            began = time.perf_counter()
            tx = ADAM(library)
            jax.block_until_ready(tx.update(params, tx.init(params), params))
            row.append(time.perf_counter() - began)
        both.append(row)
    ours, theirs = zip(*both, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(a / b for a, b in both)


def section() -> list[str]:
    """The lines of the report."""
    lines = ["## Without `jit`, four arrays of 16 × 16 unless said: times, and ratios turn by turn\n"]
    lines += ["| | gradtx | Optax | ratio | asked |", "|---|---|---|---|---|"]
    for name, (make, leaves, method, asked) in CALLS.items():
        found = take_turns(called(make, leaves, method))
        ours, theirs = (1e6 * found[library].seconds for library in ("gradtx", "Optax"))
        lines.append(f"| {name} | {ours:.0f} µs | {theirs:.0f} µs | {found['gradtx'].ratio:.3f} | ≤ {asked} |")
    ours, theirs, ratio = first_calls()
    lines.append(
        f"| first `init` and `update` of Adam | {1e3 * ours:.0f} ms | {1e3 * theirs:.0f} ms | {ratio:.2f} | ≤ 1.5 |"
    )
    return lines


if __name__ == "__main__":
    print("\n".join(section()))
