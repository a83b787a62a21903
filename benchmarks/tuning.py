"""What hypergradients cost, and how the best rate moves with width: ``python -m benchmarks.tuning``."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from benchmarks.timing import take_turns
from gradtx import sweep, tune

STEPS, BATCH = 200, 256
WIDTHS, HIDDEN = (64, 128, 256, 512, 1024), 3


@functools.cache
def digits() -> tuple[jax.Array, jax.Array]:
    """The images, each pixel centred and brought to a size of about 1, and their labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return jnp.asarray((x - x.mean(0)) / (x.std(0) + 1.6), jnp.float32), jnp.asarray(y)


def network(key: Any, width: int, hidden: int) -> Any:
    """Initial weights by He's rule, a dictionary of layers."""
    sizes = [64] + [width] * hidden + [10]
    pairs = zip(jax.random.split(key, hidden + 1), sizes[:-1], sizes[1:], strict=True)
    return {f"layer{n}": jax.random.normal(k, (a, b)) * (2 / a) ** 0.5 for n, (k, a, b) in enumerate(pairs)}


def loss(params: Any, batch: Any) -> Any:
    """Cross-entropy of a network of rectified layers."""
    x, labels = batch
    for n, w in enumerate(params.values()):
        x = (jax.nn.relu(x) if n else x) @ w
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1))


# What hypergradients cost ---------------------------------------------------------------------------------------------


def knotted(knots: int) -> Any:
    """AdamW with a schedule of so many knots."""
    ends = {STEPS * (n + 1) / knots: 1.0 for n in range(knots)}
    schedule = gradtx.piecewise_interpolate_schedule("linear", 1e-3, ends)
    return gradtx.adamw(schedule, eps_root=1e-9, weight_decay=1e-3)


def trainings(width: int, ways: dict[str, tuple[Any, int]]) -> dict[str, tuple[float, float, int, int]]:
    """For each way, in trainings: the time, and the compiler's count of operations; bytes; how many numbers."""
    train = tune.training(loss, network(jax.random.key(0), width, 1), digits(), steps=STEPS, batch_size=BATCH)

    def program(mode: str | None, knots: int) -> Any:
        tx = knotted(knots)
        run = train if mode is None else functools.partial(tune.hypergradients, train, mode=mode)
        return jax.jit(lambda tx: run(tx)).lower(tx).compile(), tx

    made = {name: program(*way) for name, way in ways.items()}
    times = take_turns({name: functools.partial(run, tx) for name, (run, tx) in made.items()}, turns=9)
    base = next(iter(made.values()))[0].cost_analysis()["flops"]
    found = {}
    for name, (run, tx) in made.items():
        count = len(tune.hypergradients(lambda tx: jnp.zeros([]), tx, mode="reverse").gradient)
        size = run.memory_analysis().temp_size_in_bytes
        found[name] = times[name].ratio, run.cost_analysis()["flops"] / base, size, count
    return found


def costs() -> list[str]:
    """A table of modes, and what forty more scalars cost."""
    ways = {
        "a training": (None, 4),
        "reverse": ("reverse", 4),
        "forward": ("forward", 4),
        "a training, 20 knots more": (None, 24),
        "reverse, 20 knots more": ("reverse", 24),
    }
    rows = ["| 64-64-10, batch 256 | numbers | time | operations | per 10 numbers | MB |", "|---|---|---|---|---|---|"]
    for name, (ratio, flops, size, count) in trainings(64, ways).items():
        each = "" if "training" in name else f"{10 * ratio / count:.2f}"
        rows.append(f"| {name} | {count} | {ratio:.2f} | {flops:.2f} | {each} | {size / 1e6:.1f} |")
    return rows


# How the best rate moves with width -----------------------------------------------------------------------------------


def best_rate(width: int, form: str) -> float:
    """The base-2 logarithm of the best rate of 12 steps of Adam on 256 images, between the points of a grid."""
    narrow, wide = (jax.eval_shape(lambda n=n: network(jax.random.key(0), n, HIDDEN)) for n in (WIDTHS[0], width))
    factors = tune.mup(narrow, wide)

    def start(key: Any) -> Any:
        params = network(key, width, HIDDEN)
        return factors.initial(params) if form == "μP" else params

    def tx(learning_rate: Any) -> Any:
        return factors.scaled(gradtx.adam(learning_rate)) if form == "μP" else gradtx.adam(learning_rate)

    powers = np.arange(-13, -2)
    lanes = sweep.grid(tx, learning_rate=2.0**powers, seeds=range(3))
    run = sweep.run(loss, start, lanes, jax.tree.map(lambda x: x[:256], digits()), steps=12, progress=False)
    losses = np.log(np.nan_to_num(run.final_loss, nan=10.0)).reshape(len(powers), -1).mean(1)
    k = int(np.clip(np.argmin(losses), 1, len(powers) - 2))
    a, b, _ = np.polyfit(powers[k - 1 : k + 2], losses[k - 1 : k + 2], 2)
    return float(-b / (2 * a))


def transfer() -> list[str]:
    """A table of widths."""
    rows = ["| best rate, log₂ | " + " | ".join(map(str, WIDTHS)) + " |", "|---" * (len(WIDTHS) + 1) + "|"]
    for form in ("standard", "μP"):
        rows.append(f"| {form} | " + " | ".join(f"{best_rate(width, form):.1f}" for width in WIDTHS) + " |")
    return rows


def section() -> list[str]:
    """The lines of the report."""
    return ["## Tuning\n", *costs(), "", *transfer()]


if __name__ == "__main__":
    print("\n".join(section()))
