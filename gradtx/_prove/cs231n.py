"""CS231n: its second assignment checks one update of each rule, from a given state, on a 4 × 5 array."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.row import Row, Source


def line(first: float, last: float) -> Any:
    """Twenty numbers, evenly apart."""
    return jnp.linspace(first, last, 20)


@functools.cache
def step_of(rule: str) -> dict[str, np.ndarray]:
    """The weights ``w`` after the update, and the state, from what the assignment gives."""
    form_1 = gradtx.chain(gradtx.scale_by_learning_rate(1e-3), gradtx.trace(0.9))
    rms, first = {"nu": line(0.6, 0.9)}, {"mu": line(0.6, 0.9)}
    sizes = {"nu": line(0.7, 0.5)}
    tx, state = {
        "momentum": (form_1, {"trace": line(0.6, 0.9)}),
        "rmsprop": (gradtx.rmsprop(1e-2, 0.99, eps_in_sqrt=False), {"scale_by_rms": rms}),
        "adam": (
            gradtx.adam(1e-2),
            {"count": jnp.array(5, jnp.int32), "scale_by_ewma": first, "scale_by_rms": sizes},
        ),
    }[rule]
    w = line(-0.4, 0.6)
    u, state = tx.update(line(-0.6, 0.4), state, w)
    fields = state.get("scale_by_ewma", {}) | state.get("scale_by_rms", {}) | {"trace": state.get("trace", w)}
    return {"w": np.asarray(w + u)} | {name: np.asarray(x) for name, x in fields.items()}


def row(rule: str, name: str, published: str) -> Row:
    """A row of the table; the assignment prints eight decimals, less where they are zeros."""
    what = {"w": "weights", "trace": "velocity", "mu": "first moment", "nu": "second moment"}[name]
    return Row(f"{rule}, {what}", published, lambda: step_of(rule)[name], decimals=8)


SOURCE = Source(
    "cs231n",
    "CS231n, Stanford: assignment 2, FullyConnectedNets",
    "cs231n.github.io, assignment2: the expected values of sgd_momentum, rmsprop and adam",
    (
        row(
            "momentum", "w",
            "0.1406 0.20738947 0.27417895 0.34096842 0.40775789 0.47454737 0.54133684 0.60812632 0.67491579 0.74170526 "
            "0.80849474 0.87528421 0.94207368 1.00886316 1.07565263 1.14244211 1.20923158 1.27602105 1.34281053 1.4096",
        ),
        row(
            "momentum", "trace",
            "0.5406 0.55475789 0.56891579 0.58307368 0.59723158 0.61138947 0.62554737 0.63970526 0.65386316 0.66802105 "
            "0.68217895 0.69633684 0.71049474 0.72465263 0.73881053 0.75296842 0.76712632 0.78128421 0.79544211 0.8096",
        ),
        row(
            "rmsprop", "w",
            "-0.39223849 -0.34037513 -0.28849239 -0.23659121 -0.18467247 -0.132737 -0.08078555 -0.02881884 0.02316247 "
            "0.07515774 0.12716641 0.17918792 0.23122175 0.28326742 0.33532447 0.38739248 0.43947102 0.49155973 "
            "0.54365823 0.59576619",
        ),
        row(
            "rmsprop", "nu",
            "0.5976 0.6126277 0.6277108 0.64284931 0.65804321 0.67329252 0.68859723 0.70395734 0.71937285 0.73484377 "
            "0.75037008 0.7659518 0.78158892 0.79728144 0.81302936 0.82883269 0.84469141 0.86060554 0.87657507 0.8926",
        ),
        row(
            "adam", "w",
            "-0.40094747 -0.34836187 -0.29577703 -0.24319299 -0.19060977 -0.1380274 -0.08544591 -0.03286534 0.01971428 "
            "0.0722929 0.1248705 0.17744702 0.23002243 0.28259667 0.33516969 0.38774145 0.44031188 0.49288093 "
            "0.54544852 0.59801459",
        ),
        row(
            "adam", "mu",
            "0.48 0.49947368 0.51894737 0.53842105 0.55789474 0.57736842 0.59684211 0.61631579 0.63578947 0.65526316 "
            "0.67473684 0.69421053 0.71368421 0.73315789 0.75263158 0.77210526 0.79157895 0.81105263 0.83052632 0.85",
        ),
        row(
            "adam", "nu",
            "0.69966 0.68908382 0.67851319 0.66794809 0.65738853 0.64683452 0.63628604 0.6257431 0.61520571 0.60467385 "
            "0.59414753 0.58362676 0.57311152 0.56260183 0.55209767 0.54159906 0.53110598 0.52061845 0.51013645 "
            "0.49966",
        ),
    ),
)  # fmt: skip
