"""``python -m gradtx sweep``: the options, what they mean, and a run that goes on where it was stopped."""

import csv
import time
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np

import gradtx
from gradtx._cli import own_problems
from gradtx._cli.problems import PROBLEMS, Problem
from gradtx._commands import resume as resuming
from gradtx._commands import specs, words
from gradtx._value.errors import TransformationError, suggest

RATES = [float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 1e-1, 16)]
B1 = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]
BATCH, DRAWS, LANES, ETA = 64, 64, 16, 3.0

HELP = """Train many models at once on PROBLEM, in one compiled program, and compare them.

Prints the best and the worst, and writes the table, the curves and a report. A sweep that is killed goes on when
the same command is given again, and ends as if nothing had happened; one that is finished is read back.

\b
PROBLEM is one of
  digits, iris, wine, breast_cancer, mnist1d
  data.npz          arrays x and y, and x_test and y_test or a fifth is held out;
                    whole numbers or words in y: classes; else regression
  file.py:function  a function that returns loss, params, data, and if it likes
                    evaluate: loss(params, batch) or loss(params, batch, l2=0.0),
                    params a tree of arrays or a function of a key,
                    evaluate(params) -> {"accuracy": ...}

\b
--optimizer adam    with the learning rates of --grid or --random; or a call:
--optimizer "chain(clip(1.0), sgd(0.1, momentum=0.9))"
                    Give it again for another one: all are in one table.

\b
--grid learning_rate=1e-4:1e-1:log:16    low:high:log|lin:count
--grid momentum=0,0.5,0.9                a list
--grid b1=1-1e-3:1e-1:log:4              1 - x, for decays: 0.999 ... 0.9
--grid learning_rate.peak_value=0.1,1    an argument of a schedule
--grid l2=0,1e-4                         a number that the loss takes

\b
--random learning_rate=1e-4:1e-1:log     low:high:log|lin|int
--random momentum=0,0.5,0.9              one of a list
--random b1=1-1e-3:1e-1:log              1 - x, for decays
                    With --grid: the whole grid at every draw.

\b
--halving [ETA]     again and again the best 1/ETA of the lanes go on (3 if not given)
--hyperband [ETA]   several halvings side by side
--population [EVERY]  the worst copy the best and change their numbers, every EVERY steps
"""

EXAMPLES = """\b
Examples:
  python -m gradtx sweep digits
      128 Adams, 16 learning rates by 8 of b1
  python -m gradtx sweep wine --optimizer adam --optimizer "sgd(0.1, momentum=0.9)" \\
      --grid learning_rate=1e-3:1:log:16 --seeds 3
      two optimizers, each with 16 rates, every point with three seeds
  python -m gradtx sweep data.npz --random learning_rate=1e-4:1e-1:log \\
      --random b1=1-1e-3:1e-1:log --draws 81 --halving
      81 draws; after every rung a third of them goes on
  python -m gradtx sweep problem.py:make --optimizer "adam(1e-3)" --grid l2=0,1e-4,1e-3
      your own loss, and a number that it takes
  python -m gradtx sweep digits --random learning_rate=1e-4:1:log --trials 200 --study digits.db
      Optuna proposes; start it in several terminals and they share the trials
"""


class Devices(click.ParamType):
    """A number of devices, or all."""

    name = "devices"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The number, or the word."""
        if value == "all" or isinstance(value, int):
            return value
        if not str(value).isdigit() or int(value) < 1:
            raise click.UsageError(f"--devices {value}: expected a number, 1 or more, or all")
        return int(value)


def _above_0(least: int = 1) -> click.IntRange:
    return click.IntRange(min=least)


@click.command("sweep", help=HELP, short_help="Train many models at once and compare them.", epilog=EXAMPLES)
@click.argument("problem", required=False)
@click.option("--problem", "given", metavar="PROBLEM", help="The same as the argument.")
@click.option("--optimizer", "optimizers", multiple=True, metavar="NAME|CALL", help="What trains.  [default: adam]")
@click.option("--grid", multiple=True, metavar="NAME=SPEC", help="An axis: every value of it.")
@click.option("--random", multiple=True, metavar="NAME=SPEC", help="An axis to draw from.")
@click.option("--draws", type=_above_0(), help=f"How many draws of --random.  [default: {DRAWS}]")
@click.option("--seeds", type=_above_0(), help="Every point with so many seeds, of its weights and batches.")
@click.option("--halving", is_flag=False, flag_value=ETA, type=float, metavar="[ETA]", help="Successive halving.")
@click.option("--hyperband", is_flag=False, flag_value=ETA, type=float, metavar="[ETA]", help="Hyperband.")
@click.option(
    "--population", is_flag=False, flag_value=0, type=_above_0(0), metavar="[EVERY]", help="Population-based training."
)
@click.option("--patience", type=_above_0(), help="A lane stops after so many records of its loss without a new best.")
@click.option("--stop-diverged", is_flag=True, help="A lane stops where its loss is not finite.")
@click.option("--steps", type=_above_0(), default=500, show_default=True, help="Steps of every lane.")
@click.option("--batch-size", type=_above_0(), help=f"Rows of a mini-batch.  [default: {BATCH}, or all if fewer]")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of split, weights, batches.")
@click.option("--metric", metavar="COLUMN", help="What lanes are ranked by.  [default: the problem's]")
@click.option("--better", type=click.Choice(["lower", "higher"]), help="Which way.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to  [default: gradtx-sweep-PROBLEM]",
)
@click.option("--resume", is_flag=True, help="Insist that there is a sweep in the folder to go on with.")
@click.option("--fresh", is_flag=True, help="Delete the progress in the folder, and start anew.")
@click.option("--save-every", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds.")
@click.option("--devices", type=Devices(), metavar="N|all", help="Spread the lanes over devices.")
@click.option("--lanes-at-once", type=_above_0(), help="Lanes in memory together.  [default: what fits]")
@click.option("--trials", type=_above_0(), help="Search by Optuna: so many trials of the --random space.")
@click.option("--study", metavar="FILE|URL", help="Where the trials are kept.  [default: FOLDER/study.db]")
@click.option("--study-name", default="gradtx", show_default=True, help="Its name there.")
@click.option("--tensorboard", is_flag=True, help="Also write scalars for TensorBoard.")
def sweep(problem: str | None, given: str | None, **options: Any) -> None:
    """Train many models at once on a problem, and compare them."""
    _check_words(options)
    text = _one_of(problem, given)
    task, folder = _problem(text, options["seed"]), options["out"] or Path(f"gradtx-sweep-{_title(text)}")
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"--out {folder} is a file")
    metric, better = _ranking(task, options["metric"], options["better"])
    space = _space(task, options)
    size = min(BATCH, task.rows) if options["batch_size"] is None else options["batch_size"]
    if size > task.rows:
        raise click.UsageError(f"--batch-size {size}: {text} has {task.rows} rows to train on")
    run: dict[str, Any] = {"steps": options["steps"], "batch_size": size, "metric": metric, "better": better}
    run |= {"evaluate": task.evaluate, "seed": options["seed"], "select": _selection(options, space)}
    run |= {name: options[name] for name in ("patience", "stop_diverged", "devices")}
    go = _search if options["trials"] else _sweep
    file = Path(text.rpartition(":")[0]) if ".py:" in text else None
    try:
        go(task, space, folder, run, options)
    except TransformationError:
        raise
    except Exception as error:
        told = None if file is None else own_problems.told(file, error)
        if told is None or ", line " not in told:
            raise
        raise TransformationError(told) from error


# What was asked for ---------------------------------------------------------------------------------------------------


def _check_words(options: dict[str, Any]) -> None:
    """What does not go together."""
    ways = [f"--{name}" for name in ("halving", "hyperband", "population") if options[name] is not None]
    if len(ways) > 1:
        raise click.UsageError(f"{' and '.join(ways)}: one of them")
    if options["resume"] and options["fresh"]:
        raise click.UsageError("--resume and --fresh: one of them")
    if options["draws"] and not options["random"]:
        raise click.UsageError(
            "--draws goes with --random: say what to draw, such as --random learning_rate=1e-4:1e-1:log"
        )
    if options["study"] and not options["trials"]:
        raise click.UsageError("--study goes with --trials: say how many")
    if not options["trials"]:
        return
    if not options["random"]:
        raise click.UsageError("--trials needs a space: such as --random learning_rate=1e-4:1e-1:log")
    others = ("grid", "draws", "population", "resume", "fresh", "tensorboard")
    wrong = next((name for name in others if options[name]), None)
    if wrong is None and options["population"] is not None:
        wrong = "population"
    if wrong is None and len(options["optimizers"]) > 1:
        raise click.UsageError("--trials searches the space of one --optimizer")
    if wrong is not None:
        more = ": a study goes on by itself, and --study-name begins another" if wrong in ("resume", "fresh") else ""
        raise click.UsageError(f"--trials does not go with --{wrong}{more}")


def _one_of(problem: str | None, given: str | None) -> str:
    if problem and given and problem != given:
        raise click.UsageError(f"two problems, {problem} and {given}: one of them")
    text = problem or given
    if not text:
        raise click.UsageError(f"which problem? one of {', '.join(PROBLEMS)}, data.npz or file.py:function")
    return text


def _problem(text: str, seed: int) -> Problem:
    if own_problems.is_own(text):
        return own_problems.own_problem(text, seed)
    if text not in PROBLEMS:
        raise words.unknown("problem", text, list(PROBLEMS))
    return PROBLEMS[text](seed)


def _title(text: str) -> str:
    return own_problems.title(text) if own_problems.is_own(text) else text


def _ranking(task: Problem, metric: str | None, better: Any) -> tuple[str, Any]:
    """By which column lanes are ranked, and which way."""
    made = {} if task.evaluate is None else jax.eval_shape(task.evaluate, task.params)
    known = ["final_loss", *made]
    if metric is not None and metric not in known:
        raise click.UsageError(
            f"--metric {metric}: there is no such column{suggest(metric, known)}; {', '.join(known)}"
        )
    metric = metric or task.metric
    if better is None and metric == task.metric:
        return metric, task.better
    if better is None and any(word in metric for word in ("loss", "error", "accuracy")):
        return metric, "higher" if "accuracy" in metric else "lower"
    if better is None:
        raise click.UsageError(f"--metric {metric}: also say --better lower or --better higher")
    return metric, better


def _space(task: Problem, options: dict[str, Any]) -> specs.Space:
    """Optimizers and axes; where nothing is said, Adams over learning rate and b1."""
    optimizers = [specs.optimizer(text) for text in options["optimizers"] or ("adam",)]
    axes: dict[str, list[Any]] = {}
    drawn: dict[str, gradtx.sweep.Distribution] = {}
    for option, read, found in (("grid", specs.axis, axes), ("random", specs.distribution, drawn)):
        for text in options[option]:
            name, made = read(text)
            if name in found:
                raise click.UsageError(f"--{option} {name}: given twice")
            found[name] = made  # pyright: ignore[reportArgumentType]
    if not axes and not drawn:
        if not options["optimizers"]:
            axes = {"learning_rate": RATES, "b1": B1}
        elif any("learning_rate" in own.needed for own in optimizers):
            axes = {"learning_rate": RATES}
    return specs.space(optimizers, axes, drawn, task.loss)


def _selection(options: dict[str, Any], space: specs.Space) -> Any:
    if options["halving"] is not None:
        return gradtx.sweep.halving(options["halving"])
    if options["hyperband"] is not None:
        return gradtx.sweep.hyperband(options["hyperband"])
    if options["population"] is None:
        return None
    every = options["population"] or max(1, options["steps"] // 10)
    return gradtx.sweep.population_based(every, space=None if space.several else space.redrawn())


# Running --------------------------------------------------------------------------------------------------------------


def _sweep(task: Problem, space: specs.Space, folder: Path, run: dict[str, Any], options: dict[str, Any]) -> None:
    seeds = range(run["seed"], run["seed"] + options["seeds"]) if options["seeds"] else None
    population = space.population(options["draws"] or DRAWS, run["seed"], seeds)
    console = words.console()
    plain = not options["optimizers"] and not options["grid"] and not options["random"]
    what = "Adams" if plain else f"lanes of {', '.join(own.text for own in space.optimizers)}"
    console.print(task.summary, markup=False)
    batches = f"{run['steps']} steps on batches of {run['batch_size']}"
    console.print(f"{population.size} {what}, {batches}", markup=False)
    finished = resuming.prepare(folder, population, run, console, resume=options["resume"], fresh=options["fresh"])
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    params = task.init if seeds is not None and task.init is not None else task.params
    with resuming.hints(folder):
        result = gradtx.sweep.run(
            task.loss,
            params,
            population,
            task.data,
            folder=folder,
            save_every=options["save_every"],
            lanes_at_once=options["lanes_at_once"],
            progress=not finished,
            **run,
        )
    seconds = time.monotonic() - began
    written = result.save(folder, tensorboard=options["tensorboard"])
    console.print(words.best_and_worst(result.table(), run["metric"]))
    if seeds is not None:
        rows = result.over_seeds()
        _write(folder / "over_seeds.csv", rows)
        written.append(folder / "over_seeds.csv")
        console.print(words.best_and_worst(rows, f"{run['metric']}, mean over {len(seeds)} seeds"))
    words_of = {name: result.status.count(name) for name in ("dropped", "stalled") if name in result.status}
    lost = int(np.sum(~np.isfinite(result.final_loss)))
    ends = ", ".join([f"{lost} diverged", *(f"{n} {name}" for name, n in words_of.items())])
    took = "read back" if finished else f"in {seconds:.1f} s, compilation included"
    console.print(f"{population.size} lanes {took}; {ends}; {result.steps_spent:,} steps computed")
    _say_written(written)


def _search(task: Problem, space: specs.Space, folder: Path, run: dict[str, Any], options: dict[str, Any]) -> None:
    console = words.console()
    console.print(task.summary, markup=False)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(run["seed"], run["seed"] + options["seeds"]) if options["seeds"] else None
    found = gradtx.sweep.search(
        space.maker(),
        task.loss,
        task.init if seeds is not None and task.init is not None else task.params,
        task.data,
        trials=options["trials"],
        lanes=options["lanes_at_once"] or LANES,
        space={name: x for name, x in space.drawn.items() if name not in space.of_loss},
        numbers={space.of_loss[name]: x for name, x in space.drawn.items() if name in space.of_loss},
        seeds=seeds,
        storage=options["study"],
        study=options["study_name"],
        folder=folder,
        progress=True,
        **run,
    )
    rows = found.table()
    _write(folder / "table.csv", rows)
    console.print(words.best_and_worst(rows, run["metric"]))
    point = ", ".join(f"{name} = {words.cell(x)}" for name, x in found.best_point.items())
    console.print(f"{len(rows)} trials; the best {run['metric']} is {found.best_value:.6g}, at {point}", markup=False)
    _say_written([folder / "table.csv"])


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _say_written(files: list[Path]) -> None:
    for file in files:
        click.echo(f"wrote {file}")
