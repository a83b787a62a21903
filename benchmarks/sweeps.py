"""Sweeps beside the usual loop and a hand-written ``vmap``, and how they grow: ``python -m benchmarks.sweeps``.

64 Adams train a 64-64-64-10 perceptron on the digits for 500 steps. The three take turns, so whatever else the machine
does falls on all of them; figures are medians of the rounds, ratios are taken round by round.
"""

import argparse
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from benchmarks.curves import draw, table
from gradtx._cli.problems import digits
from gradtx.sweep._engine import lanes as _lanes
from gradtx.sweep._engine.units import like, slots_for

STEPS, BATCH = 500, 64
PICTURE = Path(__file__).parent / "lanes.png"


def rates(lanes):
    """Learning rates from 1e-4 to 1e-1."""
    return np.geomspace(1e-4, 1e-1, lanes).astype(np.float32)


def batches(rows, steps=STEPS, seed=0):
    """Which rows each step sees: an epoch is a permutation."""
    rng, per_epoch = np.random.default_rng(seed), rows // BATCH
    epochs = [
        rng.permutation(rows)[: per_epoch * BATCH].reshape(per_epoch, BATCH) for _ in range(-(-steps // per_epoch))
    ]
    return np.concatenate(epochs)[:steps]


def usual_loop(problem, lanes, steps=STEPS):
    """One configuration after another: a jitted step, the rate injected so that it compiles once, batches of NumPy."""
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    @jax.jit
    def step(params, state, batch):
        value, gradients = jax.value_and_grad(problem.loss)(params, batch)
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    chosen = batches(len(problem.data["y"]), steps)

    def run():
        found, losses = [], []
        for rate in rates(lanes):
            params, state = problem.params, tx.init(problem.params)
            state.hyperparams["learning_rate"] = jnp.asarray(rate)
            for rows in chosen:
                batch = {name: x[rows] for name, x in problem.data.items()}
                params, state, value = step(params, state, batch)
                losses.append(value)
            found.append(params)
        return jax.block_until_ready((found, losses))

    return run


def hand_written(problem, lanes, steps=STEPS):
    """What somebody who knows JAX writes: one ``vmap`` over a ``scan``, Optax's Adam inside."""
    data, chosen = jax.tree.map(jnp.asarray, problem.data), jnp.asarray(batches(len(problem.data["y"]), steps))

    @jax.jit
    def train(learning_rates):
        def lane(rate):
            tx = optax.adam(rate)

            def step(carry, rows):
                params, state = carry
                batch = jax.tree.map(lambda x: x[rows], data)
                value, gradients = jax.value_and_grad(problem.loss)(params, batch)
                updates, state = tx.update(gradients, state, params)
                return (optax.apply_updates(params, updates), state), value

            (params, _), losses = jax.lax.scan(step, (problem.params, tx.init(problem.params)), chosen)
            return params, losses

        return jax.vmap(lane)(learning_rates)

    return lambda: jax.block_until_ready(train(rates(lanes)))


def ours(problem, lanes, steps=STEPS, **options):
    """The sweep, with its final loss over all data and its result on the host."""
    population = gradtx.sweep.grid(gradtx.adam, learning_rate=rates(lanes))
    given = {"steps": steps, "batch_size": BATCH, "progress": False} | options
    return lambda: gradtx.sweep.run(problem.loss, problem.params, population, problem.data, **given)


def seconds(run):
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def beside_each_other(lanes=64, rounds=5):
    """Seconds of each in every round, after one that compiles and is given apart; and how often ours was compiled."""
    problem = digits(0)
    before = _lanes.train._cache_size()
    runs = {
        "gradtx.sweep.run": ours(problem, lanes),
        "vmap and scan by hand, Optax": hand_written(problem, lanes),
        "the usual loop, Optax": usual_loop(problem, lanes),
    }
    first = {name: seconds(run) for name, run in runs.items()}
    found = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(seconds(run))
    return first, found, _lanes.train._cache_size() - before


def growth(most=4096, steps=200):
    """Time of a lane's step and bytes of the compiled program, by the number of lanes: two sizes of model.

    The time is that of a whole call, the loss of the final parameters over all data included.
    """
    rows = []
    for hidden in ((64, 64), (16,)):
        problem = digits(0, hidden=hidden)
        lanes = 1
        while lanes <= most:
            run = ours(problem, lanes, steps)
            run()
            best = min(seconds(run) for _ in range(5 if lanes < 256 else 2))
            rows.append(("-".join(map(str, (64, *hidden, 10))), lanes, best / lanes / steps, bytes_of(problem, lanes)))
            lanes *= 4
    return rows


def bytes_of(problem, lanes):
    """Arguments, results and temporaries of the training program, by the compiler's own account."""
    population = gradtx.sweep.grid(gradtx.adam, learning_rate=rates(lanes))
    program = _lanes.Program(problem.loss, None, BATCH, 1, 2, min(4, lanes), (), False, None)
    settings = _lanes.Settings(population.tx, {}, np.uint32(0))
    settings, shapes = like(program, settings, problem.params, None, slots_for(program, lanes))
    one, data = np.int32(1), jax.tree.map(jnp.asarray, problem.data)
    found = _lanes.train.lower(program, settings, data, shapes, one, one, one).compile().memory_analysis()
    arrays = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return arrays + found.temp_size_in_bytes


def knee(costs):
    """From how many lanes on a step of a lane costs no more than a tenth above the least that was seen."""
    least = min(costs.values())
    return next(lanes for lanes, cost in costs.items() if cost <= 1.1 * least)


def section(rounds=5, most=4096):
    """The lines of the results."""
    first, found, compiled = beside_each_other(rounds=rounds)
    mine = found["gradtx.sweep.run"]
    lines = [
        f"## A sweep: 64 Adams, a 64-64-64-10 perceptron, digits, {STEPS} steps (medians of {rounds} rounds)",
        "| | seconds | times gradtx, median (range) | first call, compilation included |",
        "|---|---|---|---|",
    ]
    for name, times in found.items():
        ratios = [theirs / own for theirs, own in zip(times, mine, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name} | {statistics.median(times):.2f} | {spread} | {first[name]:.2f} |")
    lines += [f"\nThe training program was compiled {compiled} time (a count).\n", *how_it_grows(most)]
    return lines


def how_it_grows(most=4096):
    """The lines about the number of lanes, and the picture."""
    times, sizes = {}, {}
    for model, lanes, cost, size in growth(most):
        times.setdefault(model, {})[lanes] = 1e6 * cost
        sizes.setdefault(model, {})[lanes] = size / 1e6
    panels = {
        "a step of a lane": ("lanes", "microseconds (best), calls of 200 steps", times),
        "memory of the program, its own account": ("lanes", "MB", sizes),
    }
    draw(panels, PICTURE)
    lines = ["## How a sweep grows with its lanes\n", f"![lanes]({PICTURE.name})\n"]
    for title, (below, beside, curves) in panels.items():
        lines += [f"{title[0].upper()}{title[1:]}, {beside}:\n", *table(curves, below, ".3g"), ""]
    for model, costs in times.items():
        lines.append(f"The knee of {model}: {knee(costs)} lanes; beyond, a step is within a tenth of the least.")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=4096)
    given = parser.parse_args()
    print("\n".join(section(given.rounds, given.most)))


if __name__ == "__main__":
    main()
