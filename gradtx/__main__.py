"""The command line: ``python -m gradtx list``, ``show NAME``, ``sweep PROBLEM``, ``race OPTIMIZERS``."""

import sys
import time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

try:
    import click
    from rich.console import Console
    from rich.table import Table
except ImportError:
    sys.exit("the command line needs click and rich: pip install 'gradtx[cli]'")

import numpy as np

import gradtx
from gradtx import _catalogue as catalogue
from gradtx import plot
from gradtx._problems import PROBLEMS
from gradtx._race import contestants, read
from gradtx._race import race as run_race
from gradtx._surfaces import SURFACES

B1 = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]


@click.group(help="Gradient transformations for JAX that are values.")
@click.version_option(package_name="gradtx")
def app() -> None:
    """The commands."""


class OneOf(click.ParamType):
    """A name out of a list; a wrong one is answered with the nearest right one."""

    name = "name"

    def __init__(self, what: str, known: list[str]):
        self.what, self.known = what, known

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The name itself, or what would have been right."""
        if value in self.known:
            return value
        close = get_close_matches(value, self.known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(self.known)}"
        raise click.UsageError(f"no {self.what} {value!r}; {hint}")


NAMES = [name for kind in catalogue.catalogue().values() for name in kind]


@app.command("list", short_help="Every optimizer, link, combinator and schedule.")
def list_() -> None:
    """Every optimizer, link, combinator and schedule, with a line about each."""
    for kind, names in catalogue.catalogue().items():
        click.echo(f"\n{kind}")
        for name in names:
            click.echo(f"  {name:<30} {catalogue.summary(name)}")


@app.command(short_help="What one of them computes: its formula and its links.")
@click.argument("name", type=OneOf("transformation or schedule", NAMES))
def show(name: str) -> None:
    """What NAME computes: its call, its formula, its links and theirs."""
    click.echo(catalogue.explain(name))


@app.command(short_help="Train 128 Adams at once on real data and compare them.")
@click.argument("problem", type=OneOf("problem", list(PROBLEMS)))
@click.option("--steps", type=click.IntRange(min=1), default=500, show_default=True, help="Steps of every lane.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Rows of a mini-batch.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of split, weights and batches.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to  [default: gradtx-sweep-PROBLEM]",
)
def sweep(problem: str, steps: int, batch_size: int, seed: int, out: Path | None) -> None:
    """Train 128 Adams at once on PROBLEM (digits), a grid over learning rate and b1.

    Prints the best and the worst by accuracy on held-out data, and writes the table, the curves and a heat map.
    """
    task, folder = PROBLEMS[problem](seed), out or Path(f"gradtx-sweep-{problem}")
    if batch_size > len(task.data["y"]):
        raise click.UsageError(f"--batch-size {batch_size}: {problem} has {len(task.data['y'])} rows to train on")
    folder.mkdir(parents=True, exist_ok=True)
    rates = [float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 1e-1, 16)]
    population = gradtx.sweep.grid(gradtx.adam, learning_rate=rates, b1=B1)
    console = Console(highlight=False)
    console.print(f"{task.summary}\n{population.size} Adams, {steps} steps on batches of {batch_size}")
    began = time.monotonic()
    result = gradtx.sweep.run(
        task.loss,
        task.params,
        population,
        task.data,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        evaluate=task.evaluate,
        progress=True,
    )
    seconds = time.monotonic() - began
    written = result.save(folder, metric="held_out_accuracy", better="higher")
    lost = int(np.sum(~np.isfinite(result.final_loss)))
    console.print(_table(sorted(result.table(), key=lambda row: (-row["held_out_accuracy"], row["final_loss"]))))
    console.print(f"{population.size} lanes in {seconds:.1f} s, compilation included; {lost} diverged")
    for file in written:
        console.print(f"wrote {file}", soft_wrap=True)


@app.command(short_help="Optimizers on a loss surface: a figure and an animation.")
@click.argument("optimizers", nargs=-1)
@click.option(
    "--surface", type=OneOf("surface", list(SURFACES)), default="beale", show_default=True, help=" ".join(SURFACES)
)
@click.option("--steps", type=click.IntRange(min=1), default=200, show_default=True, help="Steps of every optimizer.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to  [default: gradtx-race]"
)
def race(optimizers: tuple[str, ...], surface: str, steps: int, out: Path | None) -> None:
    """Race OPTIMIZERS on a surface, in one compiled program, and draw their paths and losses.

    Each is a call in quotes: "adam(0.1)" "chain(clip(1.0), sgd(0.01, momentum=0.9))". Without any, six of them run.
    """
    ground, folder = SURFACES[surface], out or Path("gradtx-race")
    runners = {text: read(text) for text in optimizers} or contestants(ground)
    paths, losses = run_race(ground, runners, steps)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{surface}: {ground.formula.rstrip('.')}"
    plot.race(ground, paths, losses, title=title).savefig(folder / f"{surface}.png", dpi=130)
    plot.animate_race(ground, paths, losses, folder / f"{surface}.gif", title=title)
    width = max(map(len, runners))
    for name, loss in sorted(losses.items(), key=lambda item: np.nan_to_num(item[1][-1], nan=np.inf)):
        end = ", ".join(f"{x:.4g}" for x in paths[name][-1])
        click.echo(f"{name:<{width}}  loss {loss[-1]:>10.4g}  at ({end})")
    for file in sorted(folder.glob(f"{surface}.*")):
        click.echo(f"wrote {file}")


def _table(rows: list[dict[str, Any]], ends: int = 5) -> Table:
    """The best and the worst rows."""
    title = f"the best {ends} and the worst {ends} of {len(rows)} by held-out accuracy"
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name.replace("_", " ").replace("held out", "held-out"), justify="right")
    for n, row in enumerate(rows):
        if n < ends or n >= len(rows) - ends:
            table.add_row(
                *(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row.values()), end_section=n == ends - 1
            )
    return table


def main() -> None:
    """Run the command line. What is wrong with an argument is one line, and exit status 2."""
    try:
        app(standalone_mode=False, prog_name="python -m gradtx")
    except click.ClickException as error:
        if getattr(error, "ctx", None) is not None and type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            click.echo(f"gradtx: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except (gradtx.TransformationError, ImportError, OSError) as error:
        click.echo(f"gradtx: {error}", err=True)
        sys.exit(2)
    except click.Abort:
        sys.exit(130)


if __name__ == "__main__":
    main()
