"""NIST's certified nonlinear regressions: all 27, from both starts, by one chain."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.nist_models import MODELS, three_exponentials
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import quickly

ILL = {"Bennett5": 1e-8}  # digits that its condition number leaves to float64: the bar of such tests is eight
ILL |= dict.fromkeys(("Lanczos1", "Lanczos2", "Lanczos3"), 1e-10)


@dataclass
class Regression:
    """A problem as NIST gives it: rows of ``b`` are two starts, the certified value and its standard deviation."""

    level: str
    squares: str
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
    now = Regression("", "")
    for line in (Path(__file__).parent / "data" / "nist.txt").read_text(encoding="utf-8").splitlines():
        key, *words = line.split()
        if key == "b":
            now.b.append(words)
        elif key in "yxz":
            now.columns.setdefault(key, []).extend(map(float, words))
        elif key != "#":
            now = found[key] = Regression(words[0], words[1])
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


@functools.partial(quickly, static_argnames=("model",))
def fit(model: Callable[..., Any], weights: Any, y: Any, x: Any, start: Any) -> Any:
    """The parameters found from a start, in units of which the search sees them."""

    def loss(scaled: Any) -> Any:
        return jnp.sum(weights * (y - model(scaled * start, *x)) ** 2)

    tx = gradtx.chain(
        gradtx.scale_by_lbfgs(memory_size=20),
        gradtx.clip_by_global_norm(0.1),  # no step longer than a tenth of where it began
        gradtx.scale(-1.0),
        gradtx.scale_by_zoom_linesearch(30, initial_guess_strategy="one"),
    )
    return gradtx.minimize(loss, jnp.ones_like(start), tx, steps=3000, tol=1e-17).params * start


@functools.cache
def solved(name: str, start: int) -> np.ndarray:
    """The parameters from a start; terms that may change places are put in NIST's order."""
    found = np.asarray(fit(MODELS[name], *data_of(name), problems()[name].starts()[start - 1]))
    if MODELS[name] is three_exponentials:
        pairs = found.reshape(3, 2)
        return pairs[np.argsort(pairs[:, 1])].ravel()
    return found


def squares(name: str) -> float:
    """The residual sum of squares at the parameters found from the nearer start."""
    columns = {key: jnp.array(numbers) for key, numbers in problems()[name].columns.items()}
    y = jnp.log(columns.pop("y")) if name == "Nelson" else columns.pop("y")
    return float(jnp.sum((y - MODELS[name](solved(name, 2), *columns.values())) ** 2))


ELSEWHERE = "from this start it settles in another minimum, where b₅ is 2, as many programs do"
SMALL = {
    "Lanczos1": "its residuals are 1e-13, all that float64 leaves of numbers near 1: their squares have three digits",
    "Lanczos2": "its residuals are 1e-6, of numbers near 1: in float64 their squares have ten digits",
}


def rows() -> Iterator[Row]:
    """A row for each start of each problem, and one for its sum of squares."""
    for name, problem in problems().items():
        for start in (1, 2):
            yield Row(
                f"{name} ({problem.level} difficulty) from start {start}",
                problem.certified(),
                lambda name=name, start=start: solved(name, start),
                within=ILL.get(name),
                reason=ELSEWHERE if (name, start) == ("MGH17", 1) else "",
            )
        yield Row(
            f"{name}, the residual sum of squares",
            problem.squares,
            lambda name=name: squares(name),
            reason=SMALL.get(name, ""),
        )


SOURCE = Source(
    "nist",
    "NIST, Statistical Reference Datasets: nonlinear regression, by L-BFGS with a clip",
    "itl.nist.gov/div898/strd (public domain); the files are in the source distribution of lmfit",
    tuple(rows()),
)
