"""PyTorch's table for its C++ optimizers: a network of thirteen weights, in float64, after 1, 101 and 1,001 steps."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import path_of

STEPS = (1, 101, 1001)
EXACT = 1e-13  # what 1,001 steps in float64 lose: the table has 16 digits
START = (  # printed where a line search of the later table finds no step
    -0.2108988568338871, -0.4975560466422629, -0.14129216202471762, -0.3420288967865903, -0.2523635082803723,
    0.6975570255493777, -0.10853121966252377, -0.297948499687533, 0.6892015099955717, -0.05080313011597659,
    -0.39413518751058996, -0.28433759745928844, -0.07113812430174116,
)  # fmt: skip
LOOSE = {("RMSprop_with_weight_decay", 101): 1e-12}  # where it circles its goal, rounding grows for a while
INPUTS = ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6))


def loss(w: Any) -> Any:
    """The sum of the outputs of a sigmoid network, 2-3-1."""
    hidden = jax.nn.sigmoid(jnp.array(INPUTS) @ w[:6].reshape(3, 2).T + w[None, 6:9])
    return jnp.sum(jax.nn.sigmoid(hidden @ w[9:12] + w[12]))


def coupled(weight_decay: float, *links: Any) -> Any:
    """With L2 decay as part of the gradient."""
    return gradtx.chain(gradtx.add_decayed_weights(weight_decay), *links)


def hat(*before: Any, size: Any) -> Any:
    """Adam at rate 1 whose ε is added to the root before that is corrected."""
    first = (gradtx.scale_by_ewma(0.9), gradtx.bias_correction(0.9))
    return gradtx.chain(*before, *first, size, gradtx.root_bias_correction(0.999), gradtx.scale_by_learning_rate(1.0))


def adagrad(rate: Any = 1.0) -> Any:
    """AdaGrad with PyTorch's numbers."""
    return gradtx.adagrad(rate, 0.0, 1e-10, eps_in_sqrt=False)


def rmsprop(**more: Any) -> Any:
    """RMSProp with PyTorch's numbers."""
    return gradtx.rmsprop(0.1, 0.99, 1e-8, eps_in_sqrt=False, **more)


MADE = {
    "Adam": lambda: hat(size=plain()),
    "Adam_with_weight_decay": lambda: hat(gradtx.add_decayed_weights(1e-2), size=plain()),
    "Adam_with_weight_decay_and_amsgrad": lambda: hat(gradtx.add_decayed_weights(1e-6), size=largest()),
    "Adagrad": adagrad,
    "Adagrad_with_weight_decay": lambda: coupled(1e-2, adagrad()),
    "Adagrad_with_weight_decay_and_lr_decay": lambda: coupled(1e-6, adagrad(gradtx.inverse_time_decay(1.0, 1, 1e-3))),
    "RMSprop": rmsprop,
    "RMSprop_with_weight_decay": lambda: coupled(1e-2, rmsprop()),
    "RMSprop_with_weight_decay_and_centered": lambda: coupled(1e-6, rmsprop(centered=True)),
    "RMSprop_with_weight_decay_and_centered_and_momentum": lambda: coupled(1e-6, rmsprop(centered=True, momentum=0.9)),
    "SGD": lambda: gradtx.sgd(0.1),
    "SGD_with_weight_decay": lambda: coupled(1e-2, gradtx.sgd(0.1)),
    "SGD_with_weight_decay_and_momentum": lambda: coupled(1e-2, gradtx.sgd(0.1, momentum=0.9)),
    "SGD_with_weight_decay_and_nesterov_momentum": lambda: coupled(1e-6, gradtx.sgd(0.1, momentum=0.9, nesterov=True)),
    "now:Adam": lambda: gradtx.adam(1.0),
    "now:Adam_with_weight_decay": lambda: coupled(1e-2, gradtx.adam(1.0)),
    "now:Adam_with_weight_decay_and_amsgrad": lambda: coupled(1e-6, gradtx.amsgrad(1.0, maximum="raw")),
    "now:AdamW": lambda: gradtx.adamw(1.0, weight_decay=1e-2),
}


def plain() -> Any:
    """The root of the raw average of squares."""
    return gradtx.scale_by_rms(bias_correction=False)


def largest() -> Any:
    """The root of the largest raw average so far."""
    return gradtx.scale_by_max_rms(bias_correction=False)


@functools.cache
def path(entry: str) -> np.ndarray:
    """The parameters after every step."""
    return path_of(MADE[entry](), jax.grad(loss), START, max(STEPS))


def printed() -> dict[tuple[str, int], str]:
    """The table: the numbers of an entry after a step, as printed."""
    text = (Path(__file__).parent / "data" / "pytorch.txt").read_text(encoding="utf-8")
    table, key = {}, ("", 0)
    for line in text.splitlines():
        if line[0].isalpha():
            entry, step = line.split()
            key = entry, int(step)
        elif line[0] != "#":
            table[key] = f"{table.get(key, '')} {line}".strip()
    return table


def name_of(entry: str, step: int) -> str:
    """What the row is called."""
    version, _, name = entry.rpartition(":")
    return f"{name.replace('_', ' ')}{', the later table' if version else ''}, step {step}"


SOURCE = Source(
    "pytorch",
    "PyTorch's table for its C++ optimizers",
    "test/cpp/api/optim_baseline.h of pytorch/pytorch at 58dd0f535a3d, and as it is since (BSD-3-Clause)",
    tuple(
        Row(
            name_of(entry, step),
            numbers,
            lambda entry=entry, step=step: path(entry)[step],
            within=LOOSE.get((entry, step), EXACT),
        )
        for (entry, step), numbers in printed().items()
    ),
)
