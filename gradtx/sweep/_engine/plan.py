"""What a sweep was asked for, and the rounds that selections divide its steps into."""

import math
from dataclasses import dataclass, replace
from typing import Any

from gradtx._training.batches import first_rows
from gradtx._training.chunks import Clock
from gradtx._training.feed import Feed
from gradtx._training.prepare import Prepared
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._choice.selection import Cut, Halving, Hyperband
from gradtx.sweep._engine.lanes import Program
from gradtx.sweep._population import Population

Tree = Any


def cuts_of(select: Any, steps: int, lanes: int) -> list[Cut]:
    """The cuts of a selection that drops lanes; none for others."""
    if not isinstance(select, Halving | Hyperband):
        return []
    return [cut for cut in select.cuts(steps, lanes) if cut.step < steps]


def ends_of(select: Any, steps: int, lanes: int) -> list[int]:
    """After which steps the rounds of a run end, the last step included."""
    turns = select.turns(steps) if isinstance(select, Evolution) else []
    return sorted({*(cut.step for cut in cuts_of(select, steps, lanes)), *turns, steps})


@dataclass(frozen=True)
class Plan:
    """All settings of a sweep. ``data`` are the shapes of a stride's batches where a ``feed`` draws them.

    ``final_loss``: whether a final loss was asked for; if not, that of the last record stands for it.
    """

    program: Program
    population: Population
    ready: Prepared
    data: Tree
    feed: Feed | None
    held_out: Tree
    final_loss: bool
    clock: Clock
    seed: int
    select: Halving | Hyperband | Evolution | None
    metric: str
    better: str
    devices: tuple[Any, ...]
    lanes_at_once: int | None
    memory: int | None
    save_every: float

    def program_of(self, group: int) -> Program:
        """The program of a group, which may have batches of its own size."""
        size = self.population.groups[group].batch_size
        return self.program if size is None else replace(self.program, batch_size=size)

    def batch(self, size: int | None) -> tuple[Tree, ...]:
        """The shapes of a batch, as an argument of the loss."""
        if self.feed is not None:
            return (self.feed.like,)
        return (None if self.data is None else first_rows(self.data, size),)

    @property
    def cuts(self) -> list[Cut]:
        """The cuts of a selection that drops lanes."""
        return cuts_of(self.select, self.clock.steps, self.population.size)

    @property
    def ends(self) -> list[int]:
        """After which steps a round ends, the last step included."""
        return ends_of(self.select, self.clock.steps, self.population.size)

    def most(self, group: int) -> int:
        """How many lanes of a group one device has."""
        return math.ceil(len(self.population.groups[group].lanes) / len(self.devices))

    @property
    def total(self) -> int:
        """How many steps all lanes will take together, if none stops by itself."""
        training, total, before = set(range(self.population.size)), 0, 0
        for end in self.ends:
            total, before = total + len(training) * (end - before), end
            for cut in self.cuts:
                if cut.step == end:
                    training -= set([lane for lane in cut.lanes if lane in training][cut.keep :])
        return total
