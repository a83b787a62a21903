"""All sources, in the order of the table."""

from collections.abc import Iterator

from gradtx._prove import (
    cs231n,
    d2l,
    deeplearning_ai,
    keras,
    lectures,
    mgh,
    newton_schulz,
    nist,
    pytorch,
    scikit_learn,
    scipy,
    searches,
    textbooks,
    theory,
)
from gradtx._prove.row import Outcome, Source

SOURCES = {
    source.name: source
    for source in (
        pytorch.SOURCE,
        keras.SOURCE,
        scikit_learn.SOURCE,
        scipy.SOURCE,
        nist.SOURCE,
        mgh.SOURCE,
        textbooks.NOCEDAL,
        textbooks.OPTIM,
        textbooks.GSL,
        d2l.SOURCE,
        cs231n.SOURCE,
        deeplearning_ai.SOURCE,
        lectures.SOURCE,
        newton_schulz.SOURCE,
        theory.GOH,
        theory.REDDI,
        theory.WILSON,
        theory.HINTON,
        searches.HYPERBAND,
        searches.JADERBERG,
    )
}


def outcomes(names: list[str] | None = None) -> Iterator[tuple[Source, list[Outcome]]]:
    """Compute the rows of these sources, of all if none are named: one source after the other."""
    for name in names or SOURCES:
        source = SOURCES[name]
        yield source, [row.outcome() for row in source.rows]
