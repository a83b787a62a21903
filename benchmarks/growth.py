"""How cost grows with leaves at equal parameters, and with parameters: ``python -m benchmarks.growth``; a picture."""

from pathlib import Path

from benchmarks.ahead_of_time import missing
from benchmarks.curves import Curves, draw, scaled, table
from benchmarks.models import LIBRARIES, OPTIMIZERS, equal
from benchmarks.steps import in_jax, packed
from benchmarks.timing import take_turns
from benchmarks.tracing import seconds_to_lower

LEAVES = [1, 10, 100, 1000, 4000]
TOGETHER = 1_000_000
PARAMETERS = [10**n for n in range(3, 9)]
KERNELS = [1, 10, 100, 1000]
PICTURE = Path(__file__).parent / "growth.png"


def with_leaves() -> tuple[Curves, Curves]:
    """Seconds of an update, and to trace and lower it, for a million parameters in more and more leaves."""
    steps: Curves = {}
    lowering: Curves = {}
    for leaves in LEAVES:
        params = equal(leaves, TOGETHER // leaves)
        for name, timing in take_turns(in_jax(params) | packed(params), turns=7, budget=0.01).items():
            steps.setdefault(name, {})[leaves] = timing.seconds
        for name, library in LIBRARIES.items():
            tx = OPTIMIZERS["Adam"](library)
            lowering.setdefault(name, {})[leaves] = min(seconds_to_lower(tx, params) for _ in range(3))
    return steps, lowering


def with_parameters() -> Curves:
    """Seconds of an update of one leaf, a parameter."""
    steps: Curves = {}
    for numbers in PARAMETERS:
        for name, timing in take_turns(in_jax(equal(1, numbers)), turns=7, budget=0.01).items():
            steps.setdefault(name, {})[numbers] = timing.seconds
    return steps


def kernels() -> Curves:
    """Kernels of an update for an H100."""
    from benchmarks.accelerator import counted, counted_packed

    found: Curves = {}
    for optimizer, make in OPTIMIZERS.items():
        for leaves in KERNELS:
            params = equal(leaves, TOGETHER // leaves)
            for name, library in LIBRARIES.items():
                found.setdefault(f"{name}, {optimizer}", {})[leaves] = counted(
                    "gpu", library, make(library), params
                ).kernels
            one = counted_packed("gpu", make(LIBRARIES["gradtx"]), params)
            found.setdefault(f"gradtx, packed, {optimizer}", {})[leaves] = one.kernels
    return found


def section() -> list[str]:
    """The lines of the report, and the picture."""
    steps, lowering = with_leaves()
    a_number = {name: {x: y / x for x, y in curve.items()} for name, curve in with_parameters().items()}
    panels = {
        "an update, 1 M parameters": ("leaves", "milliseconds", scaled(steps, 1e3)),
        "trace and lower": ("leaves", "milliseconds", scaled(lowering, 1e3)),
        "an update of one leaf": ("parameters", "nanoseconds a parameter", scaled(a_number, 1e9)),
    }
    lines = ["## How cost grows: Adam on this CPU, medians\n", f"![growth]({PICTURE.name})\n"]
    for title, (below, beside, curves) in panels.items():
        lines += [f"{title[0].upper()}{title[1:]}, {beside}:\n", *table(curves, below, ".3g"), ""]
    if missing("gpu") is None:
        counts = kernels()
        panels["an update, H100"] = ("leaves", "kernels (counts)", counts)
        lines += ["An update of 1 M parameters, kernels for an H100 (counts):\n", *table(counts, "leaves", ".0f"), ""]
    draw(panels, PICTURE)
    return lines


if __name__ == "__main__":
    print("\n".join(section()))
