"""``python -m gradtx sweep``: many models are trained at once, and go on where they were stopped."""

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

import gradtx
from gradtx._cli import asked, own_problems, words
from gradtx._cli import resume as resuming
from gradtx._cli.asked import BATCH, DRAWS, ETA, LANES, Task
from gradtx._cli.help import EXAMPLES, HELP
from gradtx._cli.options import Options
from gradtx._cli.words import Real, many, whole
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number
from gradtx.sweep import Sweep
from gradtx.sweep._disk.folders import made_folder
from gradtx.sweep._files import write_table
from gradtx.sweep._request import Request
from gradtx.sweep._run import Standing, train

FIRST = "; name the problem before it, or say how many, as in --halving=3"


class Devices(click.ParamType):
    """A number of devices, or all."""

    name = "devices"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The number, or the word."""
        if value == "all" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            raise click.UsageError(f"--devices {value}: expected a number, 1 or more, or all")
        return int(value)


class Typed(click.Command):
    """The command whose options become one typed value."""

    def invoke(self, ctx: click.Context) -> None:
        """Hand over what was said."""
        said = dict(ctx.params)
        typed = shlex.join(["python", "-m", "gradtx", *(ctx.obj or [])])
        _begin(said.pop("problem"), said.pop("given"), Options(**said), typed)


@click.command("sweep", cls=Typed, help=HELP, short_help="Train many models at once and compare them.", epilog=EXAMPLES)
@click.argument("problem", required=False)
@click.option("--problem", "given", metavar="PROBLEM", help="The same as the argument.")
@click.option("--optimizer", "optimizers", multiple=True, metavar="NAME|CALL", help="What trains.  [default: adam]")
@click.option("--grid", multiple=True, metavar="NAME=SPEC", help="An axis: every value of it.")
@click.option("--random", multiple=True, metavar="NAME=SPEC", help="An axis to draw from.")
@click.option("--draws", type=whole(), help=f"How many draws of --random.  [default: {DRAWS}]")
@click.option("--seeds", type=whole(), help="Every point with so many seeds, of its weights and batches.")
@click.option(
    "--halving", is_flag=False, flag_value=ETA, type=Real(says=FIRST), metavar="[ETA]", help="Successive halving."
)
@click.option("--hyperband", is_flag=False, flag_value=ETA, type=Real(says=FIRST), metavar="[ETA]", help="Hyperband.")
@click.option(
    "--population", is_flag=False, flag_value=0, type=whole(0), metavar="[EVERY]", help="Population-based training."
)
@click.option("--patience", type=whole(), help="A lane stops after so many records of its loss without a new best.")
@click.option("--stop-diverged", is_flag=True, help="A lane stops where its loss is not finite.")
@click.option("--steps", type=whole(), default=500, show_default=True, help="Steps of every lane.")
@click.option("--batch-size", type=whole(), help=f"Rows of a mini-batch.  [default: {BATCH}, or all if fewer]")
@click.option("--seed", type=whole(0, 2**31), default=0, show_default=True, help="Of split, weights, batches.")
@click.option("--metric", metavar="COLUMN", help="What lanes are ranked by.  [default: the problem's]")
@click.option("--better", type=click.Choice(["lower", "higher"]), help="Which way.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to  [default: gradtx-sweep-PROBLEM]",
)
@click.option("--resume", is_flag=True, help="Insist that there is a sweep in the folder to go on with.")
@click.option("--fresh", is_flag=True, help="Delete the progress in the folder, and start anew.")
@click.option("--save-every", type=Real(0), default=30.0, show_default=True, help="Seconds.")
@click.option("--devices", type=Devices(), metavar="N|all", help="Spread the lanes over devices.")
@click.option("--lanes-at-once", type=whole(), help="Lanes in memory together.  [default: what fits]")
@click.option("--trials", type=whole(), help="Search by Optuna: so many trials of the --random space.")
@click.option("--study", metavar="FILE|URL", help="Where the trials are kept.  [default: FOLDER/study.db]")
@click.option("--study-name", default="gradtx", show_default=True, help="Its name there.")
@click.option(
    "--final-loss/--no-final-loss",
    default=True,
    help="Compute the final loss over all rows; if not, the last training loss stands for it.",
)
@click.option("--tensorboard", is_flag=True, help="Also write scalars for TensorBoard.")
@click.option("--wandb", is_flag=True, help="Also write runs for Weights & Biases, offline.")
@click.option("--mlflow", is_flag=True, help="Also write runs for MLflow, in a file.")
def sweep() -> None:
    """Train many models at once on a problem, and compare them."""


def _begin(problem: str | None, given: str | None, own: Options, typed: str) -> None:
    own.check()
    task = asked.task(problem, given, own)
    file = Path(task.text.rpartition(":")[0]) if ".py:" in task.text else None
    try:
        result = (_search if own.trials else _sweep)(task, own)
    except TransformationError:
        raise
    except Exception as error:
        told = None if file is None else own_problems.told(file, error)
        if told is None or ", line " not in told:
            raise
        raise TransformationError(told) from error
    if result is not None:
        origin = {"problem": task.problem.summary, **result.origin, "command": typed}
        _save(replace(result, origin=origin), task, own)


def _sweep(task: Task, options: Options) -> Sweep:
    """Run the sweep, or read it back, and say what came of it."""
    seeds, folder, space = task.seeds, task.folder, task.space
    population = space.population(options.draws or DRAWS, options.seed, seeds)
    console = words.console()
    plain = not options.optimizers and not options.grid and not options.random
    what = "Adam" if plain else "lane"
    of = "" if plain else f" of {', '.join(own.text for own in space.optimizers)}"
    console.print(task.problem.summary, markup=False)
    batches = f"{many(task.steps, 'step')} on batches of {task.training.get('batch_size')}"
    console.print(f"{many(population.size, what)}{of}, {batches}", markup=False)
    resuming.prepare(folder, resume=options.resume, fresh=options.fresh)
    made_folder("--out", folder)
    standings: list[Standing] = []

    def say(standing: Standing) -> None:
        standings.append(standing)
        told = resuming.told(standing, task.steps, selects=task.training.get("select") is not None)
        if told:
            console.print(told, markup=False)

    began = time.monotonic()
    request = Request(
        task.problem.loss,
        task.params,
        population,
        task.problem.data,
        steps=task.steps,
        folder=folder,
        save_every=options.save_every,
        lanes_at_once=options.lanes_at_once,
        progress=True,
        seed=task.seed,
        metric=task.metric,
        better=task.better,
        **task.training,
    )
    with resuming.hints(folder):
        result = train(request, say)
    seconds = time.monotonic() - began
    console.print(words.best_and_worst(result.table(), task.metric))
    if seeds is not None:
        console.print(words.best_and_worst(result.over_seeds(), f"{task.metric}, mean over {many(len(seeds), 'seed')}"))
    words_of = {name: result.status.count(name) for name in ("dropped", "stalled") if name in result.status}
    lost = int(np.sum(~np.isfinite(result.final_loss)))
    ends = ", ".join([f"{lost} diverged", *(f"{n} {name}" for name, n in words_of.items())])
    back = standings[0].measured and standings[0].steps == standings[0].total
    took = "read back" if back else f"in {seconds:.1f} s, compilation included"
    console.print(f"{many(population.size, 'lane')} {took}; {ends}; {result.steps_spent:,} steps computed")
    if lost == population.size:
        click.echo("gradtx: all lanes diverged: try lower learning rates", err=True)
    return result


def _save(result: Sweep, task: Task, options: Options) -> None:
    """Write all files, and say which."""
    folder = task.folder
    written = result.save(folder, tensorboard=options.tensorboard)
    if task.seeds is not None:
        write_table(folder / "over_seeds.csv", result.over_seeds())
        written.append(folder / "over_seeds.csv")
    for name in ("wandb", "mlflow"):
        if getattr(options, name):
            written.append(getattr(result, name)(folder / name))
    for line in result.notes():
        click.echo(f"note: {line}")
    for file in written:
        click.echo(f"wrote {file}")


def _search(task: Task, options: Options) -> Sweep | None:
    """Search by Optuna, and say what it found."""
    console, space = words.console(), task.space
    console.print(task.problem.summary, markup=False)
    folder = made_folder("--out", task.folder)
    found = gradtx.sweep.search(
        space.maker(),
        task.problem.loss,
        task.params,
        task.problem.data,
        trials=whole_number("--trials", options.trials),
        steps=task.steps,
        lanes=options.lanes_at_once or LANES,
        space={name: x for name, x in space.drawn.items() if name not in space.of_loss},
        numbers={space.of_loss[name]: x for name, x in space.drawn.items() if name in space.of_loss},
        seeds=task.seeds,
        storage=options.study,
        study=options.study_name,
        folder=folder,
        progress=True,
        seed=task.seed,
        metric=task.metric,
        better=task.better,
        **task.training,
    )
    rows = found.table()
    write_table(folder / "trials.csv", rows)
    console.print(words.best_and_worst(rows, task.metric))
    point = ", ".join(f"{name} = {words.cell(x)}" for name, x in found.best_point.items())
    best = f"the best {words.heading(task.metric)} is {found.best_value:.6g}, at {point}"
    console.print(f"{many(len(rows), 'trial')}; {best}", markup=False)
    click.echo(f"wrote {folder / 'trials.csv'}")
    return found.sweep()
