"""NIST's certified nonlinear regressions: all 27, from both starts, by Newton's method or L-BFGS."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.nist_models import MODELS, three_exponentials
from gradtx._prove.row import Row, Source

ILL = ("Lanczos1", "Lanczos2", "Lanczos3", "Bennett5")  # conjugate gradients do not see their flattest direction
TEN = 1e-10  # digits that the sum of three exponentials leaves to float64: its condition number is 1e10


@dataclass
class Regression:
    """A problem as NIST gives it: rows of ``b`` are two starts, the certified value and its standard deviation."""

    level: str
    b: list[list[str]] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)

    def starts(self) -> np.ndarray:
        """The two starts, 2 × parameters."""
        return np.array([[float(word) for word in row[:2]] for row in self.b]).T

    def certified(self) -> str:
        """The certified values, as printed."""
        return " ".join(row[2] for row in self.b)


@functools.cache
def problems() -> dict[str, Regression]:
    """All problems, by name."""
    found: dict[str, Regression] = {}
    now = Regression("")
    for line in (Path(__file__).parent / "data" / "nist.txt").read_text(encoding="utf-8").splitlines():
        key, *words = line.split()
        if key == "b":
            now.b.append(words)
        elif key in "yxz":
            now.columns.setdefault(key, []).extend(map(float, words))
        elif key != "#":
            now = found[key] = Regression(words[0])
    return found


def data_of(name: str) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Weights, observations and predictors, as long as the longest of that model: one program serves them all."""
    of_model = [problems()[other].columns for other, model in MODELS.items() if model is MODELS[name]]
    longest = max(len(columns["y"]) for columns in of_model)
    columns = problems()[name].columns
    count = len(columns["y"])
    y, *x = (np.pad(columns[key], (0, longest - count), mode="edge") for key in "yxz" if key in columns)
    y = np.log(y) if name == "Nelson" else y
    weights = np.append(np.ones(count), np.zeros(longest - count))
    return weights / np.sum(weights * y**2), y, tuple(x)


@functools.partial(jax.jit, static_argnames=("model", "ill"))
def fits(model: Callable[..., Any], weights: Any, y: Any, x: Any, starts: Any, ill: bool) -> Any:
    """The parameters found from each start, in units of which the search sees them."""
    search = gradtx.scale_by_backtracking_linesearch(40, decrease_factor=0.5, increase_factor=jnp.inf, rtol=1e-13)

    def fit(start: Any) -> Any:
        def loss(scaled: Any) -> Any:
            return jnp.sum(weights * (y - model(scaled * start, *x)) ** 2)

        newton = gradtx.chain(gradtx.newton_cg(tol=1e-8, max_iterations=3 * len(start)), search)
        tx, steps = (gradtx.lbfgs(memory_size=20), 3000) if ill else (newton, 400)
        found = gradtx.minimize(loss, jnp.ones_like(start), tx, steps=steps, tol=1e-13).params
        return found * start

    return jax.vmap(fit)(starts)


@functools.cache
def solved(name: str) -> np.ndarray:
    """The parameters from both starts; terms that may change places are put in NIST's order."""
    found = fits(MODELS[name], *data_of(name), problems()[name].starts(), name in ILL)
    terms = np.asarray(found)
    if MODELS[name] is three_exponentials:
        pairs = terms.reshape(2, 3, 2)
        return np.array([pair[np.argsort(pair[:, 1])].ravel() for pair in pairs])
    return terms


AWAY = {  # from the farther start, where other programs fail too
    "MGH17": "from this start it runs along a valley in which two exponentials cancel",
    "ENSO": "from this start it settles in another minimum, with other periods",
    "BoxBOD": "from this start the first step leaves for b₂ → ∞, where the model is a constant",
    "MGH10": "from this start it stops in a valley 1e-5 wide, far from the minimum",
    "Eckerle4": "from this start the bell has run away from the observations, and no gradient is left",
}
MERGED = "from this start two of the three exponentials become one, and no line search finds a way out"


def reason(name: str, start: int) -> str:
    """Why a row differs; nothing for most."""
    return (AWAY | dict.fromkeys(ILL[:3], MERGED)).get(name, "") if start == 1 else ""


SOURCE = Source(
    "nist",
    "NIST, Statistical Reference Datasets: nonlinear regression",
    "itl.nist.gov/div898/strd (public domain); the files are in the source distribution of lmfit",
    tuple(
        Row(
            f"{name} ({problem.level} difficulty) from start {start}, {'lbfgs' if name in ILL else 'newton_cg'}",
            problem.certified(),
            lambda name=name, start=start: solved(name)[start - 1],
            within=TEN if name in ILL[:3] else None,
            reason=reason(name, start),
        )
        for name, problem in problems().items()
        for start in (1, 2)
    ),
)
