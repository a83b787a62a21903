"""``python -m gradtx worker``: help to train a sweep that was begun with an engine."""

from pathlib import Path

import click

from gradtx.sweep import engines


@click.command("worker", short_help="Help to train a sweep that another process runs.")
@click.argument("folder", type=click.Path(path_type=Path))
def worker(folder: Path) -> None:
    """Train chunks of the sweep in FOLDER until none are left.

    The sweep was begun by gradtx.sweep.run(..., engine=..., folder=FOLDER). Any number of workers may join, on any
    machines that see the folder and have the same versions of what the sweep uses.
    """
    done = engines.work(folder)
    click.echo(f"trained {done['chunks']} chunks, {done['lanes']} lanes, {done['steps']:,} steps: {done['worker']}")
