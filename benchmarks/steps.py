"""How long one update takes on this CPU, beside Optax, PyTorch and a loop in C: ``python -m benchmarks.steps``.

Ratios, turn by turn in one run. Peers that are not installed are left out.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gradtx
from benchmarks.models import (
    LIBRARIES,
    Tree,
    equal,
    packing_step_of,
    random,
    size,
    step_of,
    training_step_of,
    transformer,
    transformer_loss,
)
from benchmarks.timing import Timing, repeated, take_turns
from gradtx._rules.packing import SMALL

Contestants = dict[str, Callable[[], Any]]
EVERYTHING = 2**30
"""Pack leaves of any size."""


def in_jax(params: Tree) -> Contestants:
    """Adam of both libraries, the first of them Optax, which the ratios are to."""
    gradients, found = random(params, 1), {}
    for name in ("Optax", "gradtx"):
        tx = LIBRARIES[name].adam(1e-3)
        given = random(params)
        found[name] = repeated(step_of(LIBRARIES[name], tx), given, tx.init(given), gradients)
    return found


def packed(params: Tree) -> Contestants:
    """Ours with small leaves in one buffer: with gradients that are packed too, or a tree."""
    tx, gradients = gradtx.adam(1e-3), random(params, 1)
    given = gradtx.pack(random(params))
    state = tx.init(given)
    return {
        "gradtx, packed": repeated(step_of(gradtx, tx), given, state, given.like(gradients)),
        "gradtx, packed, gradients a tree": repeated(packing_step_of(tx), given, state, gradients),
    }


def nothing(params: Tree) -> Contestants:
    """A step that returns what it is given: what it costs to call a program with so many arrays."""
    given = random(params)
    state = gradtx.adam(1e-3).init(given)
    return {"a step that does nothing": repeated(lambda p, s, g: (p, s), given, state, random(params, 1))}


def in_torch(numbers: int) -> Contestants:
    """PyTorch's fused and its foreach Adam, where it is installed."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(os.cpu_count() or 1)

    def made(**how: bool) -> Callable[[], Any]:
        param = torch.nn.Parameter(torch.randn(numbers))
        param.grad = torch.randn(numbers)
        return torch.optim.Adam([param], lr=1e-3, **how).step

    return {"PyTorch, fused": made(fused=True), "PyTorch, foreach": made(foreach=True)}


def in_c(numbers: int) -> Contestants:
    """The loop of ``adam.c``, where there is a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return {}
    source, folder = Path(__file__).parent / "adam.c", Path(tempfile.mkdtemp())
    flags = ["-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-shared", "-fPIC"]
    command = [compiler, *flags, str(source), "-o", str(folder / "adam.so"), "-lm"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return {}
    library = ctypes.CDLL(str(folder / "adam.so"))
    shutil.rmtree(folder)
    rng = np.random.default_rng(0)
    arrays = [rng.random(numbers, np.float32) for _ in range(4)]
    floats = [ctypes.c_float(x) for x in (1e-3, 0.9, 0.999, 1e-8, 0.5, 0.5)]
    pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in arrays]

    def run(keep: Any = arrays) -> None:
        library.adam(*pointers, ctypes.c_size_t(numbers), *floats)

    return {"C, -O3 -march=native, OpenMP": run}


def training(layers: int, width: int, sequences: int, length: int) -> dict[str, Timing]:
    """A whole step of a small transformer: the default packing, and everything packed."""
    params = jax.tree.map(lambda x: 0.02 * x, random(transformer(layers, width)))
    tokens = jax.random.randint(jax.random.key(0), (sequences, length + 1), 0, 512)
    contestants: Contestants = {}
    for name in ("Optax", "gradtx"):
        tx = LIBRARIES[name].adam(1e-3)
        step = training_step_of(LIBRARIES[name], tx, transformer_loss)
        contestants[name] = repeated(step, params, tx.init(params), tokens)
    tx = gradtx.adam(1e-3)
    step = training_step_of(gradtx, tx, lambda packed, batch: transformer_loss(packed.unpack(), batch))
    for name, below in {"gradtx, packed": SMALL, "gradtx, all packed": EVERYTHING}.items():
        given = gradtx.pack(params, below=below)
        contestants[name] = repeated(step, given, tx.init(given), tokens)
    return take_turns(contestants, turns=11, budget=0.05)


def bytes_by_the_model(name: str, numbers: int) -> float:
    """What XLA:CPU says that an update moves, in bytes a parameter: its model, not a measurement."""
    library, params = LIBRARIES[name], equal(1, numbers)
    tx = library.adam(1e-3)
    compiled = jax.jit(step_of(library, tx)).lower(params, jax.eval_shape(tx.init, params), params).compile()
    return compiled.cost_analysis()["bytes accessed"] / size(params)


def table(title: str, found: dict[str, Timing]) -> Iterator[str]:
    """A row a contestant."""
    first = next(iter(found))
    yield f"### {title}: medians, and ratios to {first}\n"
    yield "| | time | ratio, median of turns |\n|---|---|---|"
    for name, timing in found.items():
        yield f"| {name} | {1e3 * timing.seconds:.3f} ms | {timing.ratio:.3f} |"
    yield ""


def section() -> list[str]:
    """The lines of the report."""
    lines = [f"## One update on this CPU ({os.cpu_count()} cores): ratios, contestants taking turns\n"]
    for leaves, numbers in ((400, 8), (400, 4096)):
        params = equal(leaves, numbers)
        found = take_turns(in_jax(params) | nothing(params) | packed(params))
        lines += table(f"Adam, {leaves} leaves of {numbers:,}", found)
    numbers = 2**24
    found = take_turns(in_c(numbers) | in_jax(equal(1, numbers)) | in_torch(numbers), turns=9, budget=0.1)
    lines += table("Adam, one leaf of 16 million", found)
    model = ", ".join(f"{name} {bytes_by_the_model(name, numbers):.0f}" for name in LIBRARIES)
    lines += [
        f"Bytes a parameter by XLA:CPU's own model: {model}. The floor is 28. It makes a kernel for each of the three "
        "arrays that come out (m: 12 bytes, ν: 12, and θ, which reads both again: 16); on a GPU or a TPU it is one.\n"
    ]
    for layers, width, sequences, length in ((4, 32, 1, 8), (8, 64, 1, 8), (8, 64, 2, 16), (4, 256, 2, 16)):
        batch = f"{sequences} × {length} tokens"
        title = f"A whole step of a transformer, {layers} layers, {width} wide, {batch}"
        lines += table(title, training(layers, width, sequences, length))
    return lines


if __name__ == "__main__":
    print("\n".join(section()))
