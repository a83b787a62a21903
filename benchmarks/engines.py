"""Engines beside one process, with a worker killed on the way: ``python -m benchmarks.engines``.

10,000 Adams train a 64-16-10 perceptron on the digits; once by ``engine="local"``, then by two workers of each engine,
on this machine, in the same chunks, saved as often. When half of the chunks are done, one worker is killed (SIGKILL) in
the middle of a chunk. All times include the start of the workers and every compilation.
"""

import argparse
import os
import signal
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np

import gradtx

LANES, STEPS, EACH = 10_000, 2500, 250
KINDS = ("submitit", "ray", "dask")


@contextmanager
def two_workers(kind):
    """An engine of two workers on this machine."""
    engines = gradtx.sweep.engines
    if kind == "submitit":
        yield engines.submitit(2, cluster="local", timeout_min=60)
    elif kind == "ray":
        yield engines.ray(2)
    else:
        from distributed import Client, LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as one:
            yield engines.dask(one, 2)


def kill_one(folder, killed, done=0, patience=600.0):
    """Once so many chunks are done, kill the owner of one that has been saved and is not at its end; note its lease."""
    limit = time.monotonic() + patience
    while not killed and time.monotonic() < limit:
        time.sleep(0.02)
        if len(list(Path(folder).glob("chunks/0/*/*/done"))) < done:
            continue
        for marker in Path(folder).glob("chunks/0/*/*/progress/[0-9]*.json"):
            lease = marker.parent.parent
            if lease.name.isdigit() and not (lease / "done").exists():
                os.kill(int((lease / "owner").read_text().rsplit(" ", 2)[1]), signal.SIGKILL)
                killed.append(lease)
                break


def run(lanes, steps, folder=None, **options):
    """The sweep."""
    from gradtx._cli.problems import digits

    problem = digits(0, hidden=(16,))
    population = gradtx.sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-4, 1e-1, lanes).astype(np.float32))
    return gradtx.sweep.run(
        problem.loss, problem.params, population, problem.data, steps=steps, batch_size=64, folder=folder, **options
    )


def seconds(call):
    """What a call returns, and how long it took."""
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def same_bits(a, b):
    """Whether two sweeps are equal in every bit of their parameters, states and losses."""
    mine, theirs = (jax.tree.leaves((x.params, x.states, x.loss, x.final_loss)) for x in (a, b))
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(mine, theirs, strict=True))


def beside_each_other(lanes=LANES, steps=STEPS, each=EACH, kinds=KINDS):
    """For each engine: seconds, whether the bits are those of one process, and the lease of the worker killed."""
    chunks = {"lanes_at_once": each, "save_every": 4.0}
    whole, alone = seconds(lambda: run(lanes, steps))
    with tempfile.TemporaryDirectory() as folder:
        part, took = seconds(lambda: run(lanes, steps, folder, **chunks))
    found = {"local": (took, same_bits(part, whole), ""), "local, at once, in no folder": (alone, True, "")}
    for kind in kinds:
        killed = []
        with tempfile.TemporaryDirectory() as folder, two_workers(kind) as engine, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the worker that is killed
            threading.Thread(target=kill_one, args=(folder, killed, lanes // each // 2), daemon=True).start()
            part, took = seconds(lambda own=(folder, engine): run(lanes, steps, own[0], engine=own[1], **chunks))
            what = f"chunk {killed[0].parent.name}" if killed else "none"
            found[kind] = took, same_bits(part, whole), what
    return found


def section(lanes=LANES, steps=STEPS, each=EACH, kinds=KINDS):
    """The lines of the results."""
    found = beside_each_other(lanes, steps, each, kinds)
    alone = found["local"][0]
    lines = [
        f"## Engines: {lanes:,} Adams, a 64-16-10 perceptron, digits, {steps} steps, two workers, one killed",
        "",
        "| engine | seconds | times local | bits of local | killed in |",
        "|---|---|---|---|---|",
    ]
    for kind, (took, same, killed) in found.items():
        lines.append(f"| {kind} | {took:.1f} | {took / alone:.2f} | {'yes' if same else 'NO'} | {killed} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, default=LANES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--each", type=int, default=EACH, help="lanes of a chunk")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    print("\n".join(section(given.lanes, given.steps, given.each, given.kinds)))


if __name__ == "__main__":
    main()
