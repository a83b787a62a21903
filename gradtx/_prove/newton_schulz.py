"""Where the iterations of Muon take singular values: each schedule of coefficients, on two intervals."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import quickly

POINTS = 40_000
SCHEDULES = {
    "Jordan's, five times": ((3.4445, -4.7750, 2.0315),) * 5,
    "Cesista's quintic, five steps": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
    "Polar Express, the first five steps": (
        (8.2051, -22.9019, 16.4607),
        (4.0664, -2.8612, 0.5184),
        (3.9096, -2.8234, 0.5250),
        (3.2856, -2.4153, 0.4853),
        (2.2779, -1.6198, 0.3985),
    ),
    "CANS, five steps": (
        (8.4703, -25.1081, 18.6293),
        (4.1828, -3.1087, 0.5806),
        (3.9619, -2.9541, 0.5630),
        (3.2866, -2.4647, 0.5074),
        (2.2737, -1.6447, 0.4162),
    ),
}
COMPUTED = {
    ("Jordan's, five times", 1e-2): "0.6818 1.1344",
    ("Jordan's, five times", 1e-3): "0.4705 1.2024",
    ("Cesista's quintic, five steps", 1e-2): "0.9778 1.0318",
    ("Cesista's quintic, five steps", 1e-3): "0.4750 1.1450",
    ("Polar Express, the first five steps", 1e-2): "0.8704 1.1236",
    ("Polar Express, the first five steps", 1e-3): "0.8462 1.1236",
    ("CANS, five steps", 1e-2): "0.8844 1.1198",
    ("CANS, five steps", 1e-3): "0.8844 1.1198",
}


@functools.cache
def ends(schedule: str, least: float) -> np.ndarray:
    """The least and the largest that singular values from ``least`` to 1 become, in matrices of norm 1."""
    tx = gradtx.orthogonalize(SCHEDULES[schedule])

    @quickly
    def become(sigmas: Any) -> Any:
        def one(sigma: Any) -> Any:
            matrix = jnp.diag(jnp.stack([sigma, jnp.sqrt(1 - sigma**2)]))
            return tx.update(matrix, tx.init(matrix), matrix)[0][0, 0]

        return jax.vmap(one)(sigmas)

    sigmas = np.concatenate([np.geomspace(least, 1, POINTS), np.linspace(least, 1, POINTS)])
    found = np.asarray(become(np.minimum(sigmas, 1.0)))
    return np.array([found.min(), found.max()])


SOURCE = Source(
    "newton-schulz",
    "Newton-Schulz iterations: where singular values end",
    "one number, 2,000,000 points, in NumPy, not published before; coefficients of Jordan, Cesista, Amsel, Grishina",
    tuple(
        Row(f"{name}, from [{least:g}, 1]", published, lambda name=name, least=least: ends(name, least))
        for (name, least), published in COMPUTED.items()
    ),
)
