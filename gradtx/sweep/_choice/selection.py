"""Selection: which lanes go on. Lanes that lose are dropped, and the work falls accordingly."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number


class Cut(NamedTuple):
    """After ``step`` steps the ``keep`` best of these lanes go on."""

    step: int
    keep: int
    lanes: tuple[int, ...]


@dataclass(frozen=True)
class Halving:
    """Successive halving: see `halving`."""

    eta: float
    first: int | None

    def cuts(self, steps: int, lanes: int) -> list[Cut]:
        """All cuts of a run, in order of time."""
        return _rungs(self.eta, steps, range(lanes), self._rounds(steps, lanes))

    def _rounds(self, steps: int, lanes: int) -> int:
        if self.first is None:
            return min(_logarithm(lanes, self.eta), _logarithm(steps, self.eta))
        if self.first > steps:
            raise TransformationError(
                f"halving: first: expected at most {steps}, the steps of the run, found {self.first}"
            )
        return min(_logarithm(lanes, self.eta), _logarithm(steps / self.first, self.eta))


@dataclass(frozen=True)
class Hyperband:
    """Hyperband: see `hyperband`."""

    eta: float
    brackets: int | None

    def lanes(self, steps: int) -> int:
        """How many lanes the paper's brackets have together, in a run of so many steps."""
        return sum(self._sizes(steps))

    def cuts(self, steps: int, lanes: int) -> list[Cut]:
        """All cuts of a run, in order; the lanes are shared out among the brackets in the paper's proportions."""
        sizes = self._sizes(steps)
        if lanes < len(sizes):
            raise TransformationError(
                f"hyperband: expected at least {len(sizes)} lanes, one a bracket, found {lanes}; "
                f"the paper's brackets have {sum(sizes)}"
            )
        shares = _share(lanes, sizes)
        ends = np.cumsum(shares).tolist()
        found = []
        for n, (share, end) in enumerate(zip(shares, ends, strict=True)):
            found += _rungs(self.eta, steps, range(end - share, end), len(sizes) - 1 - n)
        return sorted(found)

    def _sizes(self, steps: int) -> list[int]:
        most = _logarithm(steps, self.eta)
        top = min(4, most) if self.brackets is None else self.brackets - 1
        if top > most:
            raise TransformationError(
                f"hyperband: brackets: at most {most + 1} fit into {steps} steps at eta {self.eta:g}, found {top + 1}"
            )
        return [math.ceil((top + 1) / (s + 1) * self.eta**s - 1e-9) for s in range(top, -1, -1)]


def halving(eta: float = 3, *, first: int | None = None) -> Halving:
    """Successive halving: again and again the best 1/η of the lanes go on, until one is left.

        rₖ = R·η^(k−K) steps, then ⌊n·η^(−k−1)⌋ lanes go on,   k = 0 ... K − 1

    for n lanes and R steps, with K = ⌊log_η n⌋ rounds, or as many as fit after the ``first`` steps. Lanes are compared
    by the ``metric`` of `gradtx.sweep.run`, measured at each cut; lanes that diverged lose. Where points have several
    seeds, the lanes of a point are ranked together, by the worse end of the interval of their mean. (Jamieson &
    Talwalkar 2016; Li et al. 2018, Algorithm 1, inner loop.)

    >>> [(cut.step, cut.keep) for cut in halving(2).cuts(80, 16)]
    [(5, 8), (10, 4), (20, 2), (40, 1)]
    """
    _check_eta("halving", eta)
    return Halving(float(eta), None if first is None else whole_number("halving: first", first))


def hyperband(eta: float = 3, *, brackets: int | None = None) -> Hyperband:
    """Hyperband: several successive halvings side by side, from many lanes with an early cut to few that all go on.

        bracket s = s_max ... 0:   n = ⌈(s_max + 1)/(s + 1) · η^s⌉ lanes, cuts from R·η^(−s) steps on

    There are ``brackets`` = s_max + 1 of them, five if not given (fewer in a short run). ``hyperband().lanes(steps)``
    is how many lanes the paper takes; another number is shared out in the same proportions. The first lanes are those
    of the first bracket. (Li et al. 2018, Algorithm 1.)

    >>> hyperband(3).lanes(81), [(c.step, c.keep, len(c.lanes)) for c in hyperband(3).cuts(81, 143)][:3]
    (143, [(1, 27, 81), (3, 9, 81), (3, 11, 34)])
    """
    _check_eta("hyperband", eta)
    return Hyperband(float(eta), None if brackets is None else whole_number("hyperband: brackets", brackets))


def _check_eta(who: str, eta: float) -> None:
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not 1 < eta < math.inf:
        raise TransformationError(f"{who}: eta: expected a number above 1, found {eta!r}")


def _logarithm(x: float, base: float) -> int:
    """⌊log_base x⌋, exact at powers."""
    n = 0
    while base ** (n + 1) <= x * (1 + 1e-12):
        n += 1
    return n


def _rungs(eta: float, steps: int, lanes: range, rounds: int) -> list[Cut]:
    """The cuts of one halving; a bracket with too few lanes has fewer."""
    found = []
    for k in range(rounds):
        keep = max(1, math.floor(len(lanes) * eta ** (-k - 1) + 1e-9))
        found.append(Cut(max(1, round(steps * eta ** (k - rounds))), keep, tuple(lanes)))
    return found


def _share(total: int, sizes: list[int]) -> list[int]:
    """``total`` in the proportions of ``sizes``, at least one each, the largest remainders rounded up."""
    free = total - len(sizes)
    exact = [free * size / sum(sizes) for size in sizes]
    shares = [math.floor(x) for x in exact]
    order = sorted(range(len(sizes)), key=lambda n: shares[n] - exact[n])
    for n in order[: free - sum(shares)]:
        shares[n] += 1
    return sizes if total == sum(sizes) else [1 + share for share in shares]
