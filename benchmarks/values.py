"""What a value costs to make, and as an argument of a compiled step: ``python -m benchmarks.values``.

The step is compiled once each way. What it costs to hand over a transformation is the difference to the step that
closes over it; a plain list of the same numbers, which JAX takes apart faster than anything, is the least there is.
"""

import itertools
import timeit
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import gradtx
from benchmarks.timing import take_turns

RATES = itertools.count(1)
MADE = {
    "`adamw(1e-3)`": (lambda: gradtx.adamw(1e-3), lambda: optax.adamw(1e-3)),
    "`adamw(...)`, of another rate every time": (
        lambda: gradtx.adamw(1e-9 * next(RATES)),
        lambda: optax.adamw(1e-9 * next(RATES)),
    ),
    "`adam(1e-3, b1=0.8)`": (lambda: gradtx.adam(1e-3, b1=0.8), lambda: optax.adam(1e-3, b1=0.8)),
    "`sgd(1e-3)`": (lambda: gradtx.sgd(1e-3), lambda: optax.sgd(1e-3)),
    "`chain(clip_by_global_norm(1.0), adamw(1e-3))`": (
        lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3)),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)),
    ),
}
HANDED_OVER = {name: MADE[name][0] for name in ("`adamw(1e-3)`", "`chain(clip_by_global_norm(1.0), adamw(1e-3))`")}


def ways(tx: gradtx.GradientTransformation) -> dict[str, Callable[[], Any]]:
    """One small step with the transformation closed over, and handed over in four ways."""
    params = {"w": jnp.ones(3)}
    state = tx.init(params)
    leaves, treedef = jax.tree.flatten(tx)

    def step(tx: gradtx.GradientTransformation, grads: Any, state: Any) -> Any:
        return tx.update(grads, state, grads)

    taken, flat = jax.jit(step), jax.jit(lambda leaves, *rest: step(treedef.unflatten(leaves), *rest))
    closed = jax.jit(lambda grads, state: step(tx, grads, state))
    there, leaves_there = jax.device_put((tx, leaves))
    return {
        "closed over": lambda: closed(params, state),
        "Python numbers": lambda: taken(tx, params, state),
        "the same, as a list": lambda: flat(leaves, params, state),
        "`jax.device_put(tx)`": lambda: taken(there, params, state),
        "the same, as a list on the device": lambda: flat(leaves_there, params, state),
    }


def best(contestants: dict[str, Callable[[], Any]], turns: int = 40, calls: int = 300) -> dict[str, float]:
    """Of each the seconds of a call in its best turn: what else the machine does only adds."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, run in contestants.items():
            times[name].append(timeit.timeit(run, number=calls) / calls)
    return {name: min(own) for name, own in times.items()}


def section() -> list[str]:
    """The lines of the report."""
    lines = ["## Values: to make one (medians), and to hand one to a compiled step (best of 40 turns)\n"]
    lines += ["| made | gradtx | Optax | ratio |", "|---|---|---|---|"]
    for name, (ours, theirs) in MADE.items():
        found = take_turns({"theirs": theirs, "ours": ours})
        mine, yours = found["ours"], found["theirs"]
        lines.append(f"| {name} | {1e6 * mine.seconds:.1f} µs | {1e6 * yours.seconds:.1f} µs | {mine.ratio:.2f} |")
    lines += ["", "| handed over, on top of closing over it | " + " | ".join(list(ways(gradtx.sgd(0.1)))[1:]) + " |"]
    lines += ["|---|---|---|---|---|"]
    for name, make in HANDED_OVER.items():
        tx = make()
        base, *others = best(ways(tx)).values()
        costs = " | ".join(f"+{1e6 * (seconds - base):.1f} µs" for seconds in others)
        lines.append(f"| {name}, {len(jax.tree.leaves(tx))} numbers | {costs} |")
    return lines


if __name__ == "__main__":
    print("\n".join(section()))
