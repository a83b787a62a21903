"""Whether a folder's progress is that of a sweep, or of another one whose lanes can be used, and why not if not."""

from collections.abc import Mapping
from typing import Any

from gradtx.sweep._disk.differences import changed, difference

# What may differ between two sweeps of one folder, if nothing selects among their lanes.
FREE = (
    "steps",
    "record_every",
    "lanes",
    "width",
    "transformations",
    "numbers",
    "seeds",
    "batch_sizes",
    "update",
    "points",
    "measured",
)
DIGESTS = {
    "loss": "the loss computes something else",
    "data": "the data are others",
    "params": "the initial parameters are others",
    "evaluate": "evaluate computes something else",
    "final_loss": "the final loss is of other rows",
}


def refusal(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Why the progress in a folder cannot be used here, in words; empty if it can.

    >>> sweep = {"select": "None", "steps": 5, "record_every": 1, "points": ["a", "b"], "seed": 0}
    >>> refusal(sweep, sweep), refusal(sweep, sweep | {"steps": 9, "points": ["b", "c"]})
    ('', '')
    >>> refusal(sweep, sweep | {"steps": 4})
    'its lanes have up to 5 steps, and can take more, not 4'
    >>> refusal(sweep, sweep | {"seed": 1})
    'seed is 0 there and 1 here'
    """
    names = changed(there, here)
    strict, why = [name for name in names if name not in FREE], _bound(here)
    if strict or (why and names):
        told = strict or [name for name in names if name in ("steps", "lanes")] or names
        words = "; ".join(_told(name, there, here) for name in told[:3])
        more = not strict and {"steps", "points"} & set(names)
        return f"{words}; {why}, so that none can be added or go on longer" if more else words
    if not names:
        return ""
    if not set(there["points"]) & set(here["points"]):
        first = [settings["transformations"][0][0] for settings in (there, here)]
        words = f"such as {first[0]} there and {first[1]} here"
        if first[0] == first[1]:  # what they compute differs all the same
            words = _told("update", there, here)
        return f"none of its {len(there['points'])} lanes is in this sweep: {words}"
    if here["steps"] < there["steps"]:
        return f"its lanes have up to {there['steps']} steps, and can take more, not {here['steps']}"
    if here["record_every"] % there["record_every"]:
        return _told("record_every", there, here) + ": a multiple can go on"
    return ""


def _bound(here: Mapping[str, Any]) -> str:
    """Why lanes of a sweep belong together; empty where none depends on which others there are."""
    if here.get("select") != "None":
        return f"{here.get('select')} compares lanes"
    if here.get("evaluate_every") is not None:
        return "lanes are evaluated at the same steps"
    return "lanes train on the same batches from the host" if str(here.get("data")).startswith("batches of") else ""


def _told(name: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    if name in DIGESTS and " " not in f"{there.get(name)}{here.get(name)}":
        return DIGESTS[name]
    return difference(name, there, here)
