"""``python -m gradtx prove``: published numbers, and what gradtx makes of them."""

import sys
from pathlib import Path

import click

from gradtx._cli.words import OneOf
from gradtx._prove import table
from gradtx._prove.sources import SOURCES, outcomes


@click.command(short_help="Published numbers, and what gradtx makes of them.")
@click.option(
    "--source", "names", type=OneOf("source", list(SOURCES)), multiple=True, help=f"Only this; {', '.join(SOURCES)}."
)
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the table as a page.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all numbers as JSON.")
def prove(names: tuple[str, ...], markdown: Path | None, file: Path | None) -> None:
    """Compute what others have published, and print both with the difference and a verdict.

    A number agrees if ours, rounded as theirs, has the published digits. One that does not says why. It takes about a
    minute, and needs the data of scikit-learn for one of its sources.
    """
    for option, path in (("--markdown", markdown), ("--json", file)):
        if path is not None and not path.parent.is_dir():
            raise click.UsageError(f"{option}: there is no folder {path.parent}")
    all_found = []
    for source, found in outcomes(list(names)):
        click.echo(table.text(source, found) + "\n")
        sys.stdout.flush()
        all_found.append((source, found))
    click.echo(table.summary(all_found))
    for path, write in ((markdown, table.markdown), (file, table.as_json)):
        if path is not None:
            path.write_text(write(all_found) + "\n", encoding="utf-8")
            click.echo(f"wrote {path}")
