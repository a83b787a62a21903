"""A step of matrix rules beside the same of other libraries: ``python -m benchmarks.matrix_peers``.

Two layers of a transformer, 256 wide, on this CPU, in float32. rollfast (JAX, of these rules it has PSGD) and
pytorch_optimizer (PyTorch, not compiled) are measured where they are installed, with settings of the same work: bases
and roots every 10 steps, 5 Newton-Schulz iterations, factors fitted at every step and by triangular solves. Contestants
of a rule take turns. A step is the mean over 20, so that a refresh is in it.
"""

import functools
import math
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
PRODUCTS = "Products and decompositions of matrices are those of XLA and jaxlib, in pytorch_optimizer those of PyTorch."


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


def in_gradtx() -> dict[str, Any]:
    """The rules."""
    often = {"preconditioner_update_probability": 1.0}
    muon = functools.partial(gradtx.muon, 1e-2, muon_weight_dimension_numbers=gradtx.MuonDimensionNumbers())
    roots = gradtx.scale_by_shampoo(precondition_frequency=EVERY)
    return {
        "Muon": muon(),
        "Muon, products in bfloat16": muon(ns_dtype="bfloat16"),
        "SOAP": gradtx.soap(1e-3, precondition_frequency=EVERY),
        "Shampoo, neither momentum nor grafting": gradtx.chain(roots, gradtx.scale_by_learning_rate(1e-3)),
        "PSGD-Kron, triangles": gradtx.psgd_kron(1e-3, **often),
        "PSGD-Kron, long axes diagonal": gradtx.psgd_kron(1e-3, **often, max_skew_triangular=1.0),
    }


def in_rollfast() -> dict[str, Any]:
    """Those that rollfast has."""
    from rollfast import kron  # pyright: ignore[reportMissingImports]

    make = functools.partial(kron, 1e-3, preconditioner_update_probability=1.0, preconditioner_mode="EQ")
    return {
        "PSGD-Kron, triangles": make(max_skew_triangular=math.inf),
        "PSGD-Kron, long axes diagonal": make(max_skew_triangular=1.0),
    }


def in_pytorch_optimizer() -> dict[str, Callable[[list[Any]], Any]]:
    """Those that pytorch_optimizer has; its Newton-Schulz iteration is in bfloat16."""
    import pytorch_optimizer as po  # pyright: ignore[reportMissingImports]

    return {
        "Muon, products in bfloat16": lambda w: po.Muon([{"params": w, "use_muon": True}], lr=1e-2),
        "SOAP": lambda w: po.SOAP(w, lr=1e-3, precondition_frequency=EVERY),
        "Shampoo, neither momentum nor grafting": lambda w: po.Shampoo(w, lr=1e-3, preconditioning_compute_steps=EVERY),
        "PSGD-Kron, triangles": lambda w: po.Kron(w, lr=1e-3, pre_conditioner_update_probability=1.0),
    }


def contestants(params: Tree) -> dict[str, dict[str, Steps]]:
    """For each rule its libraries; the first is gradtx."""
    found: dict[str, dict[str, Steps]] = {
        name: {"gradtx": steps_of(gradtx, tx, params)} for name, tx in in_gradtx().items()
    }
    theirs = optax.contrib.muon(1e-2, muon_weight_dimension_numbers=optax.contrib.MuonDimensionNumbers())
    found["Muon"]["Optax"] = steps_of(optax, theirs, params)
    if find_spec("rollfast"):
        for name, tx in in_rollfast().items():
            found[name]["rollfast"] = steps_of(optax, tx, params)
    if find_spec("pytorch_optimizer"):
        for name, make in in_pytorch_optimizer().items():
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
    return [heading, *table(params), "", PRODUCTS]


if __name__ == "__main__":
    print("\n".join(section()))
