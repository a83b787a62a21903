"""PyTorch and Keras, as they are installed and as they were when they were last recorded.

python -m tests.conventions.peers      # records both again; needs pip install '.[test,peers]'
"""

import importlib.util
import inspect
import json
import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tests.conventions.tables import code, with_columns

FOLDER = Path(__file__).parents[1] / "oracles"
STEPS, RATES = 8, 11  # updates of an optimizer, rates of a schedule that are compared
REQUIRED = "required"
LOSSES = [5.0, 4.0, 4.0, 4.0, 3.0, 3.5, 3.5, 3.5, 3.5, 3.5, 3.5]  # what a schedule that waits for the loss is told


def problem(call: str) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """Parameters and gradients; for Muon, which takes nothing else, a matrix alone."""
    rng = np.random.default_rng(0)
    shapes = {"w": (2, 3)} if call.startswith("Muon") else {"w": (2, 3), "b": (3,)}
    drawn = [{name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(STEPS + 1)]
    return drawn[0], drawn[1:]


class Peer(NamedTuple):
    """A library: its signatures, what its optimizers do to parameters, and its schedules to rates."""

    name: str
    version: Callable[[], str]
    signatures: Callable[[], dict[str, dict[str, str]]]
    updates: Callable[[str], list[dict[str, list]]]
    rates: Callable[[str], list[float]]

    @property
    def page(self) -> str:
        """The page of the manual that is about it."""
        return f"coming/{self.name.lower()}.md"

    @property
    def file(self) -> Path:
        """Where it is recorded."""
        return FOLDER / f"{self.name.lower()}_signatures.json"

    def installed(self) -> bool:
        """Whether it can be asked here."""
        return importlib.util.find_spec({"PyTorch": "torch"}.get(self.name, self.name.lower())) is not None

    def calls(self, column: str = "gradtx") -> list[tuple[str, str]]:
        """The rows of its page: a call of its own, and what is the same in gradtx."""
        found = with_columns(self.page, self.name, column)
        return [(code(row[0]), code(row[1])) for table in found for row in table.rows]

    def ask(self) -> dict[str, Any]:
        """What is recorded, from the library itself."""
        return {
            "version": self.version(),
            "signatures": self.signatures(),
            "updates": {call: self.updates(call) for call, _ in self.calls()},
            "rates": {call: self.rates(call) for call, _ in self.calls("gradtx, of the step")},
        }

    def recorded(self) -> dict[str, Any]:
        """What was recorded."""
        return json.loads(self.file.read_text(encoding="utf-8"))


def signature(found: Any) -> dict[str, str]:
    """The arguments of a call and their defaults, as they print."""
    named = [p for p in inspect.signature(found).parameters.values() if p.kind != p.VAR_KEYWORD]
    return {p.name: REQUIRED if p.default is p.empty else repr(p.default) for p in named}


def classes(place: Any, base: type, *but: str) -> dict[str, Any]:
    """The public classes of a module that are of a kind."""
    found = {name: getattr(place, name) for name in sorted(dir(place)) if name[0].isupper() and name not in but}
    return {name: each for name, each in found.items() if inspect.isclass(each) and issubclass(each, base)}


# PyTorch --------------------------------------------------------------------------------------------------------------


@cache
def _torch() -> SimpleNamespace:
    import torch
    from torch.optim import lr_scheduler

    torch.set_default_dtype(torch.float64)  # or the numbers that NAdam and ASGD keep have seven digits

    return SimpleNamespace(
        torch=torch,
        optimizers=classes(torch.optim, torch.optim.Optimizer, "Optimizer"),
        schedules=classes(lr_scheduler, lr_scheduler.LRScheduler, "LRScheduler"),
    )


def _torch_signatures() -> dict[str, dict[str, str]]:
    return {name: signature(each) for name, each in (_torch().optimizers | _torch().schedules).items()}


def _torch_updates(call: str) -> list[dict[str, list]]:
    torch, (start, gradients) = _torch().torch, problem(call)
    params = {name: torch.tensor(x, requires_grad=True) for name, x in start.items()}
    given = {name: partial(each, params.values()) for name, each in _torch().optimizers.items()}
    optimizer, path = eval(call, given), []
    for row in gradients:
        for name, x in row.items():
            params[name].grad = torch.tensor(x)
        optimizer.step()
        path.append({name: x.tolist() for name, x in params.items()})
    return path


def _torch_rates(call: str) -> list[float]:
    torch = _torch().torch
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    given: dict[str, Any] = {name: partial(each, optimizer) for name, each in _torch().schedules.items()}
    given["ChainedScheduler"] = _torch().schedules["ChainedScheduler"]
    schedule, rates = eval(call, given), []
    for loss in LOSSES[:RATES]:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*[loss] if call.startswith("ReduceLROnPlateau") else [])
    return rates


# Keras ----------------------------------------------------------------------------------------------------------------


@cache
def _keras() -> SimpleNamespace:
    os.environ.setdefault("KERAS_BACKEND", "numpy")  # where float64 is float64, whatever JAX is told
    import keras

    return SimpleNamespace(
        keras=keras,
        optimizers=classes(keras.optimizers, keras.optimizers.Optimizer, "Optimizer", "LegacyOptimizerWarning"),
        schedules=classes(
            keras.optimizers.schedules, keras.optimizers.schedules.LearningRateSchedule, "LearningRateSchedule"
        ),
    )


def _keras_signatures() -> dict[str, dict[str, str]]:
    return {name: signature(each) for name, each in (_keras().optimizers | _keras().schedules).items()}


def _in_float64(run: Callable[[], Any]) -> Any:
    """Keras rounds all results to 32 bits, but with TensorFlow; here it does not."""
    config = _keras().keras.config
    dtypes = importlib.import_module("keras.src.backend.common.dtypes")
    before, rounded = config.floatx(), dict(dtypes.BIT64_TO_BIT32_DTYPE)
    config.set_floatx("float64")
    dtypes.BIT64_TO_BIT32_DTYPE.pop("float64")
    try:
        return run()
    finally:
        config.set_floatx(before)
        dtypes.BIT64_TO_BIT32_DTYPE.update(rounded)


def _keras_updates(call: str) -> list[dict[str, list]]:
    def run() -> list[dict[str, list]]:
        start, gradients = problem(call)
        params = {name: _keras().keras.Variable(x, dtype="float64", name=name) for name, x in start.items()}
        optimizer, path = eval(call, dict(_keras().optimizers)), []
        for row in gradients:
            optimizer.apply([np.asarray(x) for x in row.values()], list(params.values()))
            path.append({name: np.asarray(x.numpy()).tolist() for name, x in params.items()})
        return path

    return _in_float64(run)


def _keras_rates(call: str) -> list[float]:
    return _in_float64(lambda: [float(eval(call, dict(_keras().schedules))(np.asarray(n))) for n in range(RATES)])


PEERS = [
    Peer("PyTorch", lambda: _torch().torch.__version__, _torch_signatures, _torch_updates, _torch_rates),
    Peer("Keras", lambda: _keras().keras.__version__, _keras_signatures, _keras_updates, _keras_rates),
]

if __name__ == "__main__":
    for peer in PEERS:
        peer.file.write_text(json.dumps(peer.ask(), indent=None) + "\n", encoding="utf-8")
        print(f"recorded {peer.name} in {peer.file}")
