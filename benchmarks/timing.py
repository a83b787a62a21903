"""Ratios of times, pair by pair: contestants take turns, so what else the machine does falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax


class Timing(NamedTuple):
    """The median of the seconds, and the median of the ratios to the first contestant, turn by turn."""

    seconds: float
    ratio: float


def take_turns(
    contestants: Mapping[str, Callable[[], Any]], turns: int = 15, budget: float = 0.02
) -> dict[str, Timing]:
    """Time functions of no argument, each about ``budget`` seconds a turn, after two calls that are not counted.

    What a function returns is waited for, at the end of its turn.
    """
    repeats = {}
    for name, run in contestants.items():
        jax.block_until_ready(run())
        began = time.perf_counter()
        jax.block_until_ready(run())
        repeats[name] = max(1, round(budget / (time.perf_counter() - began)))
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, run in contestants.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                out = run()
            jax.block_until_ready(out)
            rounds[name].append((time.perf_counter() - began) / repeats[name])
    first = next(iter(rounds.values()))
    return {
        name: Timing(statistics.median(own), statistics.median(a / b for a, b in zip(own, first, strict=True)))
        for name, own in rounds.items()
    }


def repeated(step: Callable[..., Any], params: Any, state: Any, *rest: Any) -> Callable[[], Any]:
    """A step as a function of no argument, compiled, its first two arguments donated and fed back: training."""
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, *rest).compile()
    carry = jax.tree.map(lambda x: x.copy(), (params, state))

    def run() -> Any:
        nonlocal carry
        carry = compiled(*carry, *rest)
        return carry

    return run
