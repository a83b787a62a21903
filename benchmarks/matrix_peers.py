"""A step of matrix rules beside the same of other libraries: ``python -m benchmarks.matrix_peers``.

Two layers of a transformer, 256 wide, on this CPU, in float32. rollfast (JAX, of these rules it has PSGD) and
pytorch_optimizer (PyTorch, not compiled) are measured where they are installed, with settings of the same work: bases
and roots every 10 steps, 5 Newton-Schulz iterations in float32 or what the library fixes, factors fitted at every step.
Contestants of a rule take turns. A step is the mean over 20, so that a refresh is in it.
"""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
import optax

import gradtx
from benchmarks.models import Tree, random, step_of
from benchmarks.preconditioners import EVERY, layers
from benchmarks.timing import take_turns

Steps = Callable[[], Any]


def steps_of(library: Any, tx: Any, params: Tree) -> Steps:
    """Two intervals of refreshes, of a transformation in JAX."""
    compiled = jax.jit(step_of(library, tx))
    carry, gradients = (random(params), tx.init(random(params))), random(params, 1)

    def run() -> Any:
        nonlocal carry
        for _ in range(2 * EVERY):
            carry = compiled(*carry, gradients)
        return carry

    return run


def steps_of_torch(make: Callable[[list[Any]], Any], params: Tree) -> Steps:
    """The same of an optimizer of PyTorch."""
    import torch

    weights = [torch.nn.Parameter(torch.tensor(np.array(p))) for p in jax.tree.leaves(random(params))]
    for weight, gradient in zip(weights, jax.tree.leaves(random(params, 1)), strict=True):
        weight.grad = torch.tensor(np.array(gradient))
    optimizer = make(weights)

    def run() -> None:
        for _ in range(2 * EVERY):
            optimizer.step()

    return run


def contestants(params: Tree) -> dict[str, dict[str, Steps]]:
    """For each rule its libraries; the first is gradtx."""
    dimensions = gradtx.MuonDimensionNumbers()
    ours = {
        "Muon": gradtx.muon(1e-2, muon_weight_dimension_numbers=dimensions),
        "SOAP": gradtx.soap(1e-3, precondition_frequency=EVERY),
        "Shampoo": gradtx.shampoo(1e-3, precondition_frequency=EVERY),
        "PSGD-Kron": gradtx.psgd_kron(1e-3, preconditioner_update_probability=1.0),
    }
    found: dict[str, dict[str, Steps]] = {name: {"gradtx": steps_of(gradtx, tx, params)} for name, tx in ours.items()}
    theirs = optax.contrib.muon(1e-2, muon_weight_dimension_numbers=optax.contrib.MuonDimensionNumbers())
    found["Muon"]["Optax"] = steps_of(optax, theirs, params)
    if find_spec("rollfast"):
        from rollfast import kron  # pyright: ignore[reportMissingImports]

        tx = kron(1e-3, preconditioner_update_probability=1.0)
        found["PSGD-Kron"]["rollfast"] = steps_of(optax, tx, params)
    if find_spec("pytorch_optimizer"):
        import pytorch_optimizer as po  # pyright: ignore[reportMissingImports]

        makes: dict[str, Callable[[list[Any]], Any]] = {
            "Muon": lambda weights: po.Muon([{"params": weights, "use_muon": True}], lr=1e-2),
            "SOAP": lambda weights: po.SOAP(weights, lr=1e-3, precondition_frequency=EVERY),
            "Shampoo": lambda weights: po.Shampoo(weights, lr=1e-3, preconditioning_compute_steps=EVERY),
            "PSGD-Kron": lambda weights: po.Kron(weights, lr=1e-3, pre_conditioner_update_probability=1.0),
        }
        for name, make in makes.items():
            found[name]["pytorch_optimizer"] = steps_of_torch(make, params)
    return found


def table(params: Tree) -> Iterator[str]:
    """A row a rule."""
    libraries = ("gradtx", "Optax", "rollfast", "pytorch_optimizer")
    yield f"| | {' | '.join(libraries)} |\n|---|{'---|' * len(libraries)}"
    for name, steps in contestants(params).items():
        timings = take_turns(steps, turns=7)
        cells = [
            f"{1e3 * timings[one].seconds / (2 * EVERY):.1f} ms, {timings[one].ratio:.2f}" if one in timings else ""
            for one in libraries
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def section() -> list[str]:
    """The lines of the report."""
    params = {name: {k: v for k, v in own.items() if k != "scale"} for name, own in layers(2, 256).items()}
    heading = f"## A step of matrix rules, 2 layers, 256 wide ({os.cpu_count()} cores): times, and ratios to gradtx's\n"
    return [heading, *table(params)]


if __name__ == "__main__":
    print("\n".join(section()))
