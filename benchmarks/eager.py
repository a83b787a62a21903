"""What people meet first: calls without ``jit``, making a transformation, and giving one to ``jit``.

``python -m benchmarks.eager``

The libraries take turns, so whatever else the machine does falls on both.
"""

import itertools
import statistics
import time
import timeit
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import optax

import gradtx
from benchmarks.models import LIBRARIES, equal, zeros
from benchmarks.timing import Timing, take_turns

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


def making() -> tuple[float, float]:
    """Microseconds to make ``adamw(1e-3)``: ours, Optax's."""
    rates = itertools.count(1)

    def of(library: ModuleType) -> float:  # a rate that was not seen before, every time
        return 1e6 * min(timeit.repeat(lambda: library.adamw(1e-9 * next(rates)), number=2000, repeat=7)) / 2000

    return of(gradtx), of(optax)


def as_argument() -> dict[str, Timing]:
    """A jitted step of nine numbers: the transformation closed over, as an argument, and on the device."""
    params = zeros(equal(4, 16, 16))
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3), gradtx.clip(1.0), gradtx.scale(1.0))
    state = tx.init(params)
    step = jax.jit(lambda tx, params, state: tx.update(params, state, params))
    closed = jax.jit(lambda params, state: tx.update(params, state, params))
    on_device = jax.device_put(tx)
    assert len(jax.tree.leaves(gradtx.hyperparameters(tx))) == 9
    return take_turns(
        {
            "closed over": lambda: closed(params, state),
            "Python numbers": lambda: step(tx, params, state),
            "`jax.device_put(tx)`": lambda: step(on_device, params, state),
        },
        turns=41,
    )


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
    ours, theirs = making()
    lines.append(f"| making `adamw(1e-3)` | {ours:.1f} µs | {theirs:.1f} µs | {ours / theirs:.1f} | ≤ 25 µs |")
    timings = as_argument()
    base = timings["closed over"].seconds
    lines += ["\nA jitted step of a chain of nine numbers, beside closing over it:\n", "| | a call | more | asked |"]
    lines.append("|---|---|---|---|")
    for (name, timing), asked in zip(timings.items(), ("", "≤ 12 µs", "≤ 5 µs"), strict=True):
        more = f"{1e6 * (timing.ratio - 1) * base:.1f} µs" if asked else ""
        lines.append(f"| {name} | {1e6 * timing.seconds:.1f} µs | {more} | {asked} |")
    return lines


if __name__ == "__main__":
    print("\n".join(section()))
