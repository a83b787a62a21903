"""``python -m gradtx schedule`` and ``averages``: what a schedule and a moving average do, as pictures."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from gradtx import plot
from gradtx._cli.calls import read
from gradtx._cli.words import whole
from gradtx._schedules.schedule import Schedule
from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.folders import made_folder


@click.command(short_help="Learning-rate schedules as curves.")
@click.argument("schedules", nargs=-1, required=True)
@click.option("--steps", type=whole(), default=100, show_default=True, help="Steps of the run.")
@click.option("--out", type=click.Path(path_type=Path), default="gradtx-schedule", show_default=True, help="Folder.")
def schedule(schedules: tuple[str, ...], steps: int, out: Path) -> None:
    """Draw SCHEDULES over the steps of a run, and print where each begins, is highest and ends.

    Each is a call in quotes: "warmup_cosine_decay_schedule(0, 1, 10, 100)" "cosine_decay_schedule(1, 100)".
    """
    made = {text: _read(text) for text in schedules}
    at = np.arange(steps + 1)
    for text, own in made.items():
        values = np.array([float(own(step)) for step in at])
        top = int(np.argmax(values))
        click.echo(
            f"{text}  begins at {values[0]:.4g}, highest {values[top]:.4g} at step {top}, ends at {values[-1]:.4g}"
        )
    _write(plot.schedules(made, steps), out, "schedules.png")


@click.command(short_help="Moving averages of a noisy series, as they start and as they lag.")
@click.argument("decays", nargs=-1, type=float)
@click.option("--steps", type=whole(2), default=100, show_default=True, help="Length of the series.")
@click.option("--seed", type=whole(0), default=0, show_default=True, help="Of its noise.")
@click.option("--out", type=click.Path(path_type=Path), default="gradtx-averages", show_default=True, help="Folder.")
def averages(decays: tuple[float, ...], steps: int, seed: int, out: Path) -> None:
    """Draw moving averages of a noisy series with DECAYS (0.5 0.9 if none is given), also with their bias corrected."""
    wrong = next((decay for decay in decays if not 0 <= decay < 1), None)
    if wrong is not None:
        raise click.UsageError(f"a decay lies in [0, 1), found {wrong:g}")
    t = np.arange(steps)
    series = 1 + np.sin(2 * np.pi * t / steps) + 0.3 * np.random.default_rng(seed).standard_normal(steps)
    _write(plot.averages(series, decays or (0.5, 0.9)), out, "averages.png")


def _read(text: str) -> Schedule:
    made = read(text)
    if not isinstance(made, Schedule):
        raise TransformationError(
            f"{text}: expected a schedule, found {type(made).__name__}; `python -m gradtx list` has them"
        )
    return made


def _write(figure: Any, folder: Path, name: str) -> None:
    made_folder("--out", folder)
    figure.savefig(folder / name)
    click.echo(f"wrote {folder / name}")
