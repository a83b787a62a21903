"""A ranked list of configurations that were good on a thousand tasks: what to try first where nothing is known.

The numbers are data of google-research/opt_list (Apache-2.0, © The Google Research Authors): the first hundred entries
of ``nadamw_opt_list.txt``, with their numbers in ``nadamw_configs.json``, to twelve digits.
"""

import csv
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax.numpy as jnp

from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._schedules.decays import cosine_decay_schedule
from gradtx._schedules.warmups import warmup_constant_schedule
from gradtx._value.errors import TransformationError
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._value.whole import whole_number
from gradtx.sweep._population import Population, points


def opt_list(
    n: int = 8, /, *, steps: int, numbers: Mapping[str, float] | None = None, seeds: Iterable[int] | None = None
) -> Population:
    """The first ``n`` of a public list of 100 ranked configurations of NAdamW, for a run of so many ``steps``.

    The list was chosen greedily, so that its first entries together do well on the thousand tasks of TaskSet: each
    entry complements those before it. All of them train as one program. Its authors expect a good result among the
    first ten, and the best from a hundred. Each has its own schedule and weight decay: take a decay out of your loss.
    Lane 0 is the first of the list. ``numbers`` of the loss and ``seeds`` are as in `gradtx.sweep.points`.

        g ← g − l2·θ;   m, ν as in Adam;   c = √(1 − β₂ᵗ)/(1 − β₁ᵗ);   θ ← θ − αₜ c (m/(√ν + ε) + λθ)

        αₜ = α · min(s/(steps · min(warmup, constant)), 1)              for s < steps · constant
        αₜ = α · (end + (1 − end) · ½ (1 + cos πf))                     from there on,
             f = (s − steps · constant)/(steps · (1 − constant))

    The rule is that of TaskSet's published code, in TensorFlow, to the letter: ε stands beside the uncorrected root,
    the decay λ is scaled by c too, ``l2`` moves the parameters *away* from 0, and there is no Nesterov term in spite of
    the name. (The ports of the list to JAX and PyTorch differ from it: in half of the entries they add Nesterov's term,
    and they warm up until ``constant``.)

    Raises `TransformationError`: ``n`` above 100.

    Source: Metz, Maheswaranathan, Sun, Freeman, Poole & Sohl-Dickstein 2020, "Using a thousand optimization tasks to
    learn hyperparameter search strategies".

    >>> population = opt_list(8, steps=1000)
    >>> population.size, len(population.groups), round(population.points[0]["learning_rate"], 6)
    (8, 1, 0.001195)
    """
    whole_number("opt_list: n", n)
    steps = whole_number("opt_list: steps", steps)
    rows = _published()
    if n > len(rows):
        raise TransformationError(f"opt_list: n: expected at most {len(rows)}, as many as the list has, found {n}")
    chosen = [{**row, **(numbers or {})} for row in rows[:n]]
    return points(functools.partial(_configured, steps=steps), chosen, numbers=list(numbers or {}), seeds=seeds)


@functools.cache
def _published() -> list[dict[str, float]]:
    with open(Path(__file__).with_suffix(".csv"), newline="", encoding="ascii") as file:
        return [{name: float(x) for name, x in row.items() if name != "seed"} for row in csv.DictReader(file)]


def _configured(
    *, warmup: float, constant: float, end: float, learning_rate: float, steps: int, **numbers: float
) -> GradientTransformation:
    """The transformation of an entry, for a run of so many steps."""
    up = warmup_constant_schedule(0.0, learning_rate, steps * min(warmup, constant))
    down = cosine_decay_schedule(learning_rate, steps * (1 - constant), end)
    return taskset_nadamw(up.then(down, after=steps * constant), **numbers)


@transformation
def taskset_nadamw(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    l2: NonNegative = 0.0,
) -> Rule:
    """The rule of `opt_list`, which says how it differs from `gradtx.nadamw`. State: ``mu``, ``nu``.

    >>> tx = taskset_nadamw(0.5, b1=0.5, b2=0.75, eps=0.0, weight_decay=0.25)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0].round(4)  # c = 1, m/√ν = 1: −½ (1 + 1)
    Array([-1.], dtype=float32)
    """

    def formula(u, mu, nu, *, param, correction):
        u = u - l2 * param
        mu, nu = ewma(b1, mu, u), ewma(b2, nu, abs_sq(u))
        step = mu / (root(nu) + eps) + weight_decay * param
        return -learning_rate * correction * step, mu, nu

    def correction(t):
        return jnp.sqrt(1 - b2**t) / (1 - b1**t)

    return per_leaf(formula, once={"correction": correction}, mu=zeros, nu=real_zeros)
