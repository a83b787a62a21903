"""What tuning by gradient returns."""

from dataclasses import dataclass
from typing import Any

from gradtx._rules.transformation import GradientTransformation

Row = dict[str, Any]


@dataclass(frozen=True)
class Tuned:
    """The best transformation that `tune` has seen.

    ``tx``: that transformation. ``best``: its numbers by name, those of the loss among them. ``loss``: the loss at the
    end of its training. ``history``: one row for each training, with ``step``, ``loss``, ``status`` and the numbers.
    ``status`` is accepted, clipped (accepted; its gradient was far longer than those before, and was shortened), or
    rejected (not finite, or worse than the last five: the next step starts from the best so far, and is half as long).
    """

    tx: GradientTransformation
    best: dict[str, float]
    loss: float
    history: list[Row]

    def plot(self) -> Any:
        """The course as a matplotlib figure: the loss of each training, and every number relative to its start."""
        from gradtx._report.tuning import course

        return course(self)

    def __repr__(self) -> str:
        rejected = sum(row["status"] == "rejected" for row in self.history)
        first = self.history[0]["loss"]
        return f"<Tuned: loss {first:.4g} to {self.loss:.4g} in {len(self.history)} trainings, {rejected} rejected>"
