"""Random transformations against an interpreter in float64: ``python -m tests.fuzz --minutes 60``.

`Case` describes one (`case`), `cases` draws it (`draw`), the interpreter is NumPy and loops (`machine`, `wrappers`,
`links`, `recipes`, `schedules`; it imports nothing of gradtx), `build` makes the gradtx value, `check` compares them
and holds the contracts, `run` counts, shrinks and prints. `replay` runs one case that was printed.
"""

from tests.fuzz.case import C, Case, Leaf

__all__ = ["C", "Case", "Leaf", "replay"]


def replay(case: Case) -> int:
    """Run one case, compiled too; raises where it fails."""
    from tests.fuzz.check import check

    return check(case, compiled=True)
