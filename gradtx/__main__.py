"""The command line: ``python -m gradtx`` with ``list``, ``show``, ``sweep``, ``race``, ``schedule``, ``averages``."""

import sys
from pathlib import Path

try:
    import click
    import rich  # noqa: F401  # the sweep prints by it
except ImportError:
    sys.exit("the command line needs click and rich: pip install 'gradtx[cli]'")

import numpy as np

import gradtx
from gradtx import plot
from gradtx._cli import catalogue
from gradtx._cli.draw import averages, schedule
from gradtx._cli.race import contestants, read
from gradtx._cli.race import race as run_race
from gradtx._cli.surfaces import SURFACES
from gradtx._cli.sweep import sweep
from gradtx._cli.words import OneOf


@click.group(help="Gradient transformations for JAX that are values.")
@click.version_option(package_name="gradtx")
def app() -> None:
    """The commands."""


for command in (sweep, schedule, averages):
    app.add_command(command)

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


def main(args: list[str] | None = None) -> None:
    """Run the command line, on the words of the process if none are given.

    What is wrong with an argument is one line, and exit status 2.
    """
    try:
        app(args, standalone_mode=False, prog_name="python -m gradtx")
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
