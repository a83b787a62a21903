"""Optimizers on a character transformer, each tuned with the same budget: ``python -m benchmarks.char_model``.

The model and the text are those of ``examples/char_model.py``. Each optimizer gets as many random draws of a learning
rate and a weight decay, from ranges of its own as wide as the others'. Then five seeds train it with the best draw, at
several lengths (`gradtx.sweep.horizons`). A run's loss is that on held-out text, at the parameters to deploy. The
steps to the loss that AdamW ends with are read off between the lengths; a difference from AdamW at full length is
tested over the seeds, in pairs.
"""

import argparse
import functools
import importlib
import statistics
import sys
from pathlib import Path

import jax
import numpy as np
from scipy import stats

import gradtx
from benchmarks.curves import draw
from examples.char_model import adamw, corpus, loss, muon, rate, stack, transformer

STEPS, DRAWS, SEEDS, BATCH = 240, 12, 5, 16
PICTURE = Path(__file__).parent / "char_model.png"
MODULES = (
    "argparse", "ast", "asyncio.base_events", "calendar", "collections", "configparser", "csv", "dataclasses",
    "datetime", "decimal", "difflib", "doctest", "email.message", "enum", "fractions", "functools", "heapq", "inspect",
    "ipaddress", "json.decoder", "locale", "logging", "mailbox", "optparse", "pathlib", "pickle", "pydoc", "random",
    "shutil", "smtplib", "ssl", "statistics", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "tokenize",
    "traceback", "types", "typing", "unittest.mock", "urllib.request", "uuid", "zipfile",
)  # fmt: skip


def wrapped(make):
    """``make(rate, learning_rate, weight_decay, steps)`` as a function of two numbers and the steps."""

    @functools.wraps(make)
    def factory(learning_rate, weight_decay=0.1, *, steps):
        return make(rate(learning_rate, steps), learning_rate, weight_decay, steps)

    return factory


@wrapped
def soap(falling, learning_rate, weight_decay, steps):
    """Adam in the eigenbasis of Shampoo."""
    return gradtx.soap(falling, weight_decay=weight_decay, precondition_frequency=10)


@wrapped
def soap_muon(falling, learning_rate, weight_decay, steps):
    """Muon of what SOAP makes of momentum."""
    return gradtx.soap_muon(falling, weight_decay=weight_decay, adam_learning_rate=0.2 * falling)


@wrapped
def shampoo(falling, learning_rate, weight_decay, steps):
    """Shampoo with the step sizes of RMSProp."""
    return gradtx.shampoo(falling, 0.9, 0.99, weight_decay=weight_decay)


@wrapped
def psgd_kron(falling, learning_rate, weight_decay, steps):
    """PSGD with Kronecker factors."""
    return gradtx.psgd_kron(falling, weight_decay=weight_decay)


@wrapped
def schedule_free(falling, learning_rate, weight_decay, steps):
    """Schedule-Free AdamW, which has a warm-up and no cool-down."""
    return gradtx.schedule_free_adamw(learning_rate, steps // 10, 0.95, 0.99, weight_decay=weight_decay)


@wrapped
def prodigy(falling, learning_rate, weight_decay, steps):
    """Prodigy, whose rate is a factor of its own estimate."""
    return gradtx.prodigy(falling, (0.9, 0.99), weight_decay=weight_decay, safeguard_warmup=True)


OPTIMIZERS = {  # and the middle of the range of rates, a decade and a half wide
    "AdamW": (adamw, 6e-3),
    "Muon": (muon, 4e-2),
    "SOAP": (soap, 6e-3),
    "Schedule-Free AdamW": (schedule_free, 1e-2),
    "grafted Shampoo": (shampoo, 6e-3),
    "PSGD-Kron": (psgd_kron, 2e-3),
    "Prodigy": (prodigy, 1.0),
    "SOAP-Muon": (soap_muon, 4e-2),
    "the stack": (stack, 4e-2),
}


def evaluate(params):
    """The held-out loss of the parameters to deploy."""
    return {"held_out": loss(params, data()[1])}


def tuned(make, middle, steps, draws):
    """The numbers of the best of random draws."""
    wide = 10**0.75
    axes = {
        "learning_rate": gradtx.sweep.log_uniform(middle / wide, middle * wide),
        "weight_decay": gradtx.sweep.log_uniform(3e-3, 0.3),
    }
    lanes = gradtx.sweep.sample(functools.partial(make, steps=steps), draws, seed=0, **axes)
    options = {"steps": steps, "batch_size": BATCH, "metric": "held_out", "better": "lower"}
    options |= {"progress": False, "final_loss": False}
    start = transformer(jax.random.key(1000))
    result = gradtx.sweep.run(loss, start, lanes, data()[0], evaluate=evaluate, **options)
    row = result.table()[0]
    return {name: row[name] for name in axes}


def at_lengths(make, numbers, lengths, seeds):
    """The held-out loss for each seed and length."""

    def at(length):  # one function for all seeds, so that the first compiles for them all
        return make(**numbers, steps=length)

    options = {"lengths": lengths, "batch_size": BATCH, "metric": "held_out", "better": "lower"}
    options |= {"evaluate": evaluate, "progress": False, "final_loss": False}
    rows = []
    for seed in range(seeds):
        start = transformer(jax.random.key(seed))
        found = gradtx.sweep.horizons(loss, start, at, data()[0], seed=seed, **options)
        rows.append([row["held_out"] for row in found.table()])
    return np.asarray(rows)


def steps_to(target, lengths, losses):
    """The length at which a run would end with the target, between those that were run; None if none does."""
    for n, value in enumerate(losses):
        if value <= target:
            if n == 0:
                return float(lengths[0])
            share = (losses[n - 1] - target) / (losses[n - 1] - value)
            return lengths[n - 1] + share * (lengths[n] - lengths[n - 1])
    return None


def verdict(chances):
    """Who beats AdamW by more than chance, where each of several comparisons has a p (Holm, 1979, at 5 %)."""
    won = []
    for n, (name, (gain, chance)) in enumerate(sorted(chances.items(), key=lambda found: found[1][1])):
        if chance * (len(chances) - n) > 0.05:
            break
        won += [name] if gain < 0 else []
    rest = [name for name in chances if name not in won]
    here = "by more than chance (paired t, 5 %, Holm's correction for all comparisons)"
    return f"Better than AdamW here, {here}: {', '.join(won) or 'none'}. Not better: {', '.join(rest) or 'none'}."


def in_eight_bits(found, lengths):
    """What becomes of the loss where the state is kept in codes of 8 bits: the same numbers, seeds and batches."""
    yield "| state in 8 bits | held-out loss | in float32 | ratio |\n|---|---|---|---|"
    for name in ("AdamW", "Muon", "SOAP"):
        if name not in found:
            continue
        numbers, losses = found[name]

        def coded(make=OPTIMIZERS[name][0], **numbers):
            return gradtx.quantized(make(**numbers))

        mine = at_lengths(coded, numbers, lengths, len(losses))[:, -1].mean()
        yield f"| {name} | {mine:.4f} | {losses[:, -1].mean():.4f} | {mine / losses[:, -1].mean():.4f} |"


@functools.cache
def data():
    """Windows to train on, and about 400 that are held out."""
    train, held_out = corpus([importlib.import_module(name) for name in MODULES])
    return train, held_out[:: max(1, len(held_out) // 400)]


def race(names, steps=STEPS, draws=DRAWS, seeds=SEEDS):
    """What became of each: its numbers, and its losses by seed and length."""
    lengths = [steps * n // 20 for n in (6, 10, 13, 16, 18, 20)]
    found = {}
    for name in names:
        make, middle = OPTIMIZERS[name]
        numbers = tuned(make, middle, steps, draws)
        found[name] = numbers, at_lengths(make, numbers, lengths, seeds)
        print(name, numbers, found[name][1].round(4).tolist(), file=sys.stderr, flush=True)
        jax.clear_caches()  # programs of another optimizer; all of them together are more than a process may map
    return data()[0].size, lengths, found


def section(names=tuple(OPTIMIZERS), steps=STEPS, draws=DRAWS, seeds=SEEDS):
    """The lines of the results."""
    size, lengths, found = race(names, steps, draws, seeds)
    reference = found["AdamW"][1][:, -1]
    target = float(reference.mean())
    lines = [
        f"## A character transformer, {size / 1e6:.1f} million characters of Python, {steps} steps of "
        f"{BATCH} × 48; each tuned by {draws} random draws; {seeds} seeds",
        "",
        "| | rate, decay | held-out loss: mean ± deviation | from AdamW, p (paired t) "
        f"| steps to {target:.4f}: mean ± deviation |",
        "|---|---|---|---|---|",
    ]
    curves, chances = {}, {}
    for name, (numbers, losses) in found.items():
        last = losses[:, -1]
        reached = [x for row in losses if (x := steps_to(target, lengths, row)) is not None]
        said = "not reached"
        if name == "AdamW":
            said = f"{steps}: all of it"
        elif len(reached) > 1:
            said = f"{statistics.mean(reached):.0f} ± {statistics.stdev(reached):.0f}"
            said += f" ({len(reached)} of {seeds} seeds)" if len(reached) < seeds else ""
        test = ""
        if name != "AdamW":
            gain, chance = chances[name] = last.mean() - target, stats.ttest_rel(last, reference).pvalue
            test = f"{gain:+.4f}, p = {chance:.2g}"
        given = f"{numbers['learning_rate']:.2g}, {numbers['weight_decay']:.2g}"
        lines.append(f"| {name} | {given} | {last.mean():.4f} ± {last.std(ddof=1):.4f} | {test} | {said} |")
        curves[name] = dict(zip(lengths, losses.mean(0).tolist(), strict=True))
    panel = {"held-out loss at the end of a run": ("steps of the run", "nats a character", curves)}
    draw(panel, PICTURE, scale="linear")
    return [*lines, "", verdict(chances), "", f"![held-out losses]({PICTURE.name})", "", *in_eight_bits(found, lengths)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=[*OPTIMIZERS], default=[*OPTIMIZERS], help="beside AdamW")
    given = parser.parse_args()
    print("\n".join(section(dict.fromkeys(["AdamW", *given.only]), given.steps, given.draws, given.seeds)))


if __name__ == "__main__":
    main()
