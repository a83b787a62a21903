"""The commands together: they run what was typed, and say in one line what is wrong with it."""

import os
import shutil
import sys
import textwrap
from typing import Any

import click

from gradtx._cli import catalogue, encoding
from gradtx._cli.draw import averages, schedule
from gradtx._cli.explain import show
from gradtx._cli.prove import prove
from gradtx._cli.race import race
from gradtx._cli.sweep import sweep
from gradtx._cli.worker import worker
from gradtx._value.errors import TransformationError

COLUMN = 32  # where the summaries of the list begin
INTERRUPTED = 130  # what a shell calls a program that was ended by Ctrl-C


@click.group(help="Gradient transformations for JAX that are values.")
@click.version_option(package_name="gradtx")
def app() -> None:
    """The commands."""


@app.command("list", short_help="Every optimizer, link, combinator and schedule.")
def list_() -> None:
    """Every optimizer, link, combinator and schedule, with a line about each."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for kind, names in catalogue.catalogue().items():
        click.echo(f"\n{kind}")
        for name in names:
            click.echo(line_of(name, room))


def line_of(name: str, room: int) -> str:
    """A name and its summary in two columns; a long name stands on a line of its own.

    >>> print(line_of("sgd", 60))
      sgd                           Stochastic gradient descent,
                                    with optional momentum.
    """
    text = textwrap.wrap(catalogue.summary(name), max(room - COLUMN, 24))
    first = [] if len(name) > COLUMN - 4 else text[:1]
    lines = [f"  {name:<{COLUMN - 2}}{''.join(first)}", *(" " * COLUMN + line for line in text[len(first) :])]
    return "\n".join(line.rstrip() for line in lines)


for command in (show, sweep, worker, race, schedule, averages, prove):
    app.add_command(command)


def main(args: list[str] | None = None) -> None:
    """Run the command line, on the words of the process if none are given.

    What is wrong with an argument is one line, and exit status 2.
    """
    with encoding.spelled_out():
        status = _status(args)
    if status:
        sys.exit(status)


def _status(args: list[str] | None) -> Any:
    """Run a command, print what is wrong if anything is, and return the exit status."""
    try:
        words = sys.argv[1:] if args is None else args
        app(words, standalone_mode=False, prog_name="python -m gradtx", obj=words)
        sys.stdout.flush()
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            click.echo(f"gradtx: {error.format_message()}", err=True)
        return error.exit_code
    except BrokenPipeError:  # who reads has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (TransformationError, ImportError, OSError) as error:
        click.echo(f"gradtx: {error}", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt) as error:
        said = str(error.__cause__ or error).replace("the same call", "the same command")  # click wraps it
        click.echo(f"gradtx: {said or 'stopped'}", err=True)
        return INTERRUPTED
    return 0
