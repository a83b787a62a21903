"""The options of ``python -m gradtx sweep``, typed, and which of them contradict each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click


@dataclass(frozen=True)
class Options:
    """The options after ``sweep``."""

    optimizers: tuple[str, ...]
    grid: tuple[str, ...]
    random: tuple[str, ...]
    draws: int | None
    seeds: int | None
    halving: float | None
    hyperband: float | None
    population: int | None
    patience: int | None
    stop_diverged: bool
    steps: int
    batch_size: int | None
    seed: int
    metric: str | None
    better: Literal["lower", "higher"] | None
    out: Path | None
    resume: bool
    fresh: bool
    save_every: float
    devices: int | Literal["all"] | None
    lanes_at_once: int | None
    trials: int | None
    study: str | None
    study_name: str
    final_loss: bool
    tensorboard: bool
    wandb: bool
    mlflow: bool

    def check(self) -> None:
        """Raise `click.UsageError` where two of them contradict each other."""
        ways = [f"--{name}" for name in ("halving", "hyperband", "population") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise click.UsageError(f"{' and '.join(ways)}: one of them")
        if self.resume and self.fresh:
            raise click.UsageError("--resume and --fresh: one of them")
        if self.draws and not self.random:
            raise click.UsageError(
                "--draws goes with --random: say what to draw, such as --random learning_rate=1e-4:1e-1:log"
            )
        if self.study and not self.trials:
            raise click.UsageError("--study goes with --trials: say how many")
        if not self.trials:
            return
        if not self.random:
            raise click.UsageError("--trials needs a space: such as --random learning_rate=1e-4:1e-1:log")
        others = ("grid", "draws", "population", "resume", "fresh")
        wrong = next((name for name in others if getattr(self, name)), None)
        if wrong is None and self.population is not None:
            wrong = "population"
        if wrong is None and len(self.optimizers) > 1:
            raise click.UsageError("--trials searches the space of one --optimizer")
        if wrong is not None:
            more = (
                ": a study goes on by itself, and --study-name begins another" if wrong in ("resume", "fresh") else ""
            )
            raise click.UsageError(f"--trials does not go with --{wrong}{more}")
