"""What a sweep was asked for, and the rounds that selections divide its steps into."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradtx._training.chunks import Clock
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
    """All settings of a sweep."""

    program: Program
    population: Population
    params: Tree
    make: Callable[..., Any] | None
    data: Tree
    clock: Clock
    seed: int
    select: Halving | Hyperband | Evolution | None
    metric: str
    better: str
    devices: tuple[Any, ...]
    lanes_at_once: int | None
    memory: int | None
    save_every: float
    final: Tree = None  # the rows of the final loss

    @property
    def cuts(self) -> list[Cut]:
        """The cuts of a selection that drops lanes."""
        return cuts_of(self.select, self.clock.steps, self.population.size)

    @property
    def ends(self) -> list[int]:
        """After which steps a round ends, the last step included."""
        return ends_of(self.select, self.clock.steps, self.population.size)

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
