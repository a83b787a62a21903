"""What a sweep says beyond its ranking: the best at an edge, lanes that diverged, noise, numbers that do not matter."""

import importlib.util
import math
from typing import Any

import numpy as np

from gradtx.sweep._studies.axes import Axis, axes_of
from gradtx.sweep._studies.comparison import NOISE, of_lanes
from gradtx.sweep._studies.importance import importance, is_full_grid
from gradtx.sweep._studies.ranking import ranked_points

DECAYS = ("b1", "b2", "b3", "beta1", "beta2", "beta3", "decay", "momentum", "decay_rate")  # what counts is 1 − x
HARDLY = 0.02  # a share of the variance below which a number hardly matters
FEW, MANY = 32, 4096  # between so many drawn points a forest is asked for their importance
RIVALS = 200  # so many points are compared with the best


def notes(result: Any) -> list[str]:
    """Plain sentences about a sweep; see `Sweep.notes`."""
    if result.history is not None:
        return _diverged(result, [])
    axes, lanes = axes_of(result)
    ranked = ranked_points(result)
    if not np.isfinite(result.score[ranked[0][0]]):
        return _diverged(result, axes)
    idle, said = _idle(result, axes, lanes)
    return _edges(axes, lanes, ranked, idle) + _diverged(result, axes) + _noise(result, ranked) + said


# The best at the edge of an axis --------------------------------------------------------------------------------------


def _edges(axes: list[Axis], lanes: list[list[int]], ranked: list[list[int]], idle: list[str]) -> list[str]:
    place = {min(own): n for n, own in enumerate(lanes)}
    best = [place[min(own)] for own in ranked]
    found = []
    for axis in axes:
        if not axis.numeric or len(axis.values) < 3 or axis.name in idle:
            continue
        drawn = len(axes) > 1 and 2 * len(axis.values) > len(lanes) and not is_full_grid(axes, len(lanes))
        up = _end_of_draws(axis, best) if drawn else _end(axis, best[0])
        if up is None or (not up and axis.values[0] == 0):
            continue
        last, word, side = axis.values[-1 if up else 0], "larger" if up else "smaller", "upper" if up else "lower"
        where = (
            f"the best draws are at the {side} end of {axis.name}, {_short(axis.values[axis.index[best[0]]])} the best"
            if drawn
            else f"the best has {axis.name} = {_short(last)}, the {'largest' if up else 'smallest'} of "
            f"{len(axis.values)} values"
        )
        found.append(f"{where}: try {word} ones, such as {_short(_beyond(axis, up, drawn))}")
    return found


def _end(axis: Axis, best: int) -> bool | None:
    """Whether the best is at the upper end of an axis, or the lower (False), or at neither (None)."""
    at = int(axis.index[best])
    return None if 0 < at < len(axis.values) - 1 else at > 0


def _end_of_draws(axis: Axis, best: list[int]) -> bool | None:
    """The same for draws: whether the best twentieth, three at least, are all in the outer fifth of the draws."""
    if len(best) < 20:
        return None
    share = axis.index[best[: max(3, len(best) // 20)]] / (len(axis.values) - 1)
    return True if share.min() > 0.8 else False if share.max() < 0.2 else None


def _beyond(axis: Axis, up: bool, drawn: bool) -> float:
    """The value that would follow: by the same factor, the same difference, or the same factor of 1 − x."""
    values = [float(x) for x in axis.values]
    ordered = values if up else values[::-1]
    near, last = (ordered[len(ordered) // 2] if drawn else ordered[-2]), ordered[-1]
    if axis.name.rpartition(".")[2] in DECAYS and min(values) >= 0 and max(values) < 1:
        return 1 - (1 - last) ** 2 / (1 - near) if up else max(0.0, 1 - (1 - last) ** 2 / (1 - near))
    if min(values) > 0 and _spread(np.diff(np.log(values))) <= _spread(np.diff(values)):
        return last * last / near
    following = last + (last - near)
    return last / 2 if following <= 0 < last else following


def _spread(gaps: np.ndarray) -> float:
    return float(np.std(gaps) / np.mean(gaps))


# Lanes that diverged --------------------------------------------------------------------------------------------------


def _diverged(result: Any, axes: list[Axis]) -> list[str]:
    lost = ~np.isfinite(result.final_loss) | np.asarray([status == "diverged" for status in result.status])
    many, count = len(lost), int(lost.sum())
    if not count:
        return []
    said = f"{count} of {many} lanes diverged ({count / many:.0%})".replace("%", " %")
    if count == many:
        rates = [axis for axis in axes if axis.numeric and "learning_rate" in axis.name]
        hint = f": try {rates[0].name} below {_short(rates[0].values[0])}" if rates else ""
        return [f"{'the lane' if many == 1 else f'all {many} lanes'} diverged{hint}"]
    words = [(explained, word) for axis in axes for explained, word in _threshold(result, axis, lost)]
    explained, word = max(words, default=(0, ""), key=lambda one: one[0])
    return [said + (f": {word}" if 2 * explained > count else "")]


def _threshold(result: Any, axis: Axis, lost: np.ndarray) -> list[tuple[int, str]]:
    """From which value of an axis on every lane diverged, and how many of them that explains."""
    if not axis.numeric:
        return []
    column = np.asarray([result.points[n].get(axis.name) for n in range(len(lost))], float)
    found = []
    for word, sign in (("on", 1.0), ("down", -1.0)):
        safe = np.max(sign * column[~lost])
        beyond = column[lost & (sign * column > safe)]
        if len(beyond):
            start = sign * np.min(sign * beyond)
            other = "" if len(beyond) == lost.sum() else f", and {int(lost.sum()) - len(beyond)} elsewhere"
            found.append((len(beyond), f"all from {axis.name} = {_short(float(start))} {word}{other}"))
    return found


# What is noise, and what does not matter ------------------------------------------------------------------------------


def _noise(result: Any, ranked: list[list[int]]) -> list[str]:
    best, *others = ranked
    others = [own for own in others if len(own) > 1 and np.isfinite(result.score[own]).all()]
    if len(best) < 2 or not others or not np.isfinite(result.score[best]).all():
        return []
    compared = [of_lanes(result, sorted(best), sorted(own), level=0.05) for own in others[:RIVALS]]
    alike = [one for one in compared if one.verdict == NOISE]
    if not alike:
        return []
    first = ", ".join(f"{name} = {_short(x)}" for name, x in alike[0].b.items())
    which = f"{first} (p = {alike[0].p:.2g})" if len(alike) == 1 else f"such as {first} (p = {alike[0].p:.2g})"
    points = f"{len(alike)} of {len(compared)} other points" if len(compared) > 1 else "the other point"
    return [f"{points} cannot be told from the best over {len(best)} seeds: {which}"]


def _idle(result: Any, axes: list[Axis], lanes: list[list[int]]) -> tuple[list[str], list[str]]:
    """Axes that hardly matter, and the sentences that say so."""
    full = is_full_grid(axes, len(lanes))
    forest = FEW <= len(lanes) <= MANY and importlib.util.find_spec("sklearn") is not None
    if len(axes) < 2 or len(lanes) < 8 or not (full or forest):
        return [], []
    found = importance(result, scale="capped", trees=16)
    sure = {name: total if math.isnan(found.high[name]) else found.high[name] for name, total in found.totals.items()}
    names = [name for name, total in sure.items() if total < HARDLY]
    if len(names) == len(axes):
        return [], []
    said = [
        f"{name} hardly matters here: {100 * found.totals[name]:.2g} % of the variance of {found.metric}, with "
        "what is worse than its median cut off"
        for name in names
    ]
    return names, said


def _short(x: Any) -> str:
    return f"{x:.3g}" if isinstance(x, float) else str(x)
