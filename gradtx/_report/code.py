"""The best configuration of a sweep as code that can be pasted."""

import ast
import math
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from gradtx._report.axes import short
from gradtx._schedules.decays import piecewise_constant_schedule
from gradtx._value.errors import TransformationError
from gradtx._value.frozen import Frozen
from gradtx._value.plain import plain, shortest
from gradtx._value.value import Value

WIDTH = 88


def as_code(result: Any) -> str:
    """Imports, the transformation of the best lane, the numbers of its loss and its seed, and the run."""
    best = result.best
    if best.tx is None:
        return _own_step(result)
    tx, remarks = plain(best.tx), []
    if result.history is not None:
        tx, remarks = _as_found(result, tx)
    call, imports, notes = _written(tx)
    named = [name for name in result.population.numbers if name in best.point]
    numbers = {name: best.point[name] for name in named}
    if result.history is not None:
        numbers = {name: shortest(float(result.history.numbers[name][-1, best])) for name in named}
    lines = ["import functools\n"] if numbers else []
    lines += ["import gradtx", *imports, "", *notes, f"tx = {call}", *remarks]
    if numbers:
        given = ", ".join(f"{name}={x!r}" for name, x in numbers.items())
        lines.append(f"loss = functools.partial(loss, {given})  # loss(params, batch, {', '.join(numbers)})")
    given = {"steps": int(max(result.steps)), "batch_size": best.batch_size, "seed": best.seed}
    words = ", ".join(f"{name}={x}" for name, x in given.items() if x is not None)
    lines += ["", "# loss, params, data: those of the sweep", f"run = gradtx.fit(loss, params, tx, data, {words})"]
    return "\n".join(lines)


def _own_step(result: Any) -> str:
    """The best numbers of a train step."""
    numbers = result.best.point
    if result.history is not None:
        numbers = numbers | {k: shortest(float(x[-1, result.best])) for k, x in result.history.numbers.items()}
    given = ", ".join(f"{name}={numbers[name]!r}" for name in result.population.numbers)
    return f"# step: that of the sweep\ncarry, loss = step(carry, batch, {given})"


# The schedules that a population found --------------------------------------------------------------------------------


def _as_found(result: Any, tx: Any) -> tuple[Any, list[str]]:
    """The transformation with the schedules that led to the best lane, and remarks on what cannot be scheduled."""
    remarks, turns = [], [0, *result.history.steps.tolist()]
    for name, values in result.history.schedule(int(result.best)).items():
        steps, kept = _changes(turns, values)
        if len(kept) < 2:
            continue
        said = ", ".join(f"{short(x)} from step {step}" for step, x in zip(steps, kept, strict=True))
        try:
            if name in result.population.numbers or not min(kept) > 0:
                raise TransformationError("no number of the transformation, or one that no factor leads to")
            pairs = zip(steps[1:], zip(kept[1:], kept[:-1], strict=True), strict=True)
            factors = {step: shortest(new / old, 3e-7 * new / old) for step, (new, old) in pairs}
            tx = tx.replace({name: piecewise_constant_schedule(kept[0], factors)})
        except TransformationError:
            remarks.append(f"# {name}: {said}")
    return tx, remarks


def _changes(turns: list[int], values: np.ndarray) -> tuple[list[int], list[float]]:
    """The steps at which the value changed, and the new values."""
    steps, kept = [], []
    for step, x in zip(turns, values.tolist(), strict=True):
        if not math.isnan(x) and (not kept or np.float32(x) != np.float32(kept[-1])):
            steps.append(step)
            kept.append(shortest(x))
    return steps, kept


# Writing --------------------------------------------------------------------------------------------------------------


def _written(tx: Any) -> tuple[str, list[str], list[str]]:
    """A value as code; the imports that it needs, and remarks on what cannot be imported by name."""
    text, notes, functions = repr(tx), [], {}
    for name, x in _functions(tx):
        where = getattr(x, "__module__", None) or "?"
        qualname = getattr(x, "__qualname__", "")
        if qualname.isidentifier():
            functions[qualname] = where
        elif f"{name}_of_yours" not in functions:
            for written in (repr(x), qualname):
                text = text.replace(written, f"{name}_of_yours")
            functions[f"{name}_of_yours"] = "__main__"
            notes.append(f"# {name}_of_yours: {qualname} of {where}")
    factories = dict(_factories(tx))
    try:
        tree = _Qualified(factories).visit(ast.parse(text, mode="eval").body)
    except SyntaxError:  # an array too long to print, or structure that does not print as code
        return text, [], ["# as it prints; fill in what stands in angle brackets"]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    sources = {name: where for name, where in {**functions, **factories}.items() if name in used}
    imports = ["import jax.numpy as jnp"] if "jnp" in used else []
    imports += [f"from {where} import {name}" for name, where in sources.items() if where != "__main__"]
    mine = [name for name, where in sources.items() if where == "__main__" and not name.endswith("_of_yours")]
    notes += [f"# {name}: yours" for name in mine]
    return _pretty(tree, len("tx = "), 0), imports, notes


class _Qualified(ast.NodeTransformer):
    """Writes factories of gradtx as ``gradtx.name``, and arrays as ``jnp.array``."""

    def __init__(self, factories: dict[str, str]):
        self.factories = factories

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call of a factory, or an array."""
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if self.factories.get(name, "").partition(".")[0] == "gradtx" and hasattr(sys.modules["gradtx"], name):
            node.func = ast.Attribute(ast.Name("gradtx"), name)
        elif name == "array" and len(node.args) == 2 and isinstance(node.args[1], ast.Name):
            node.func = ast.Attribute(ast.Name("jnp"), name)
            node.args[1] = ast.Constant(node.args[1].id)
        return node


def _pretty(node: ast.AST, begun: int, depth: int) -> str:
    """Code on one line, or, if that is too long, a call with one line per argument."""
    text = ast.unparse(node)
    if not isinstance(node, ast.Call) or begun + len(text) < WIDTH or (not node.args and not node.keywords):
        return text
    indent = "    " * (depth + 1)
    inner = [_pretty(x, len(indent), depth + 1) for x in node.args]
    for word in node.keywords:
        start = f"{word.arg}=" if word.arg else "**"
        inner.append(start + _pretty(word.value, len(indent) + len(start), depth + 1))
    lines = "".join(f"{indent}{part},\n" for part in inner)
    return f"{ast.unparse(node.func)}(\n{lines}{'    ' * depth})"


def _factories(tx: Any) -> Iterator[tuple[str, str]]:
    """The factories of a value and of its parts, each with the module that it is from."""
    yield tx.call.name, tx.call.function.__module__
    for _, part in tx.parts():
        if isinstance(part, Value):
            yield from _factories(part)


def _functions(tx: Any) -> Iterator[tuple[str, Any]]:
    """The functions in the structure of a value and of its parts, each with the name that it stands under."""
    for name in tx.call.structure:
        given = tx.given[name]
        leaves = jax.tree.leaves(given.value if isinstance(given, Frozen) else given)
        yield from ((name, x) for x in leaves if callable(x) and hasattr(x, "__qualname__"))
    for name, part in tx.parts():
        if isinstance(part, Value):
            yield from _functions(part)
        elif callable(part) and hasattr(part, "__qualname__"):
            yield name.replace(".", "_"), part
