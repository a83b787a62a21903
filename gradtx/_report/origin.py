"""Where a sweep comes from, as a reader wants it told: the command, the machine, the versions, what it cost."""

from typing import Any

from gradtx._report.axes import short
from gradtx.sweep._engine.room import short as size


def facts(result: Any) -> dict[str, str]:
    """What is known, under the names that the report has for it."""
    origin = result.origin
    seconds = origin.get("seconds")
    found = {
        "problem": origin.get("problem"),
        "command": origin.get("command"),
        "date": origin.get("date"),
        "engine": origin.get("engine"),
        "platform": origin.get("platform"),
        "devices": ", ".join(f"{many} × {kind}" for kind, many in origin.get("devices", {}).items()),
        "processes": origin.get("processes"),
        "versions": ", ".join(f"{name} {x}" for name, x in origin.get("versions", {}).items()),
        "time": f"{seconds:.1f} s, compilation included" if seconds else None,
        "speed": _speed(result, seconds) if seconds else None,
        "memory": size(origin["memory"]) if origin.get("memory") else None,
        "batches": None if result.batch_size is None else f"{result.batch_size} rows",
        "seed": result.seed,
    }
    return {name: str(x) for name, x in found.items() if x is not None and x != ""}


def _speed(result: Any, seconds: float) -> str:
    """Steps of the whole sweep, and of all its lanes together."""
    return (
        f"{short(float(max(result.steps)) / seconds)} steps a second, "
        f"{short(result.steps_spent / seconds)} lane-steps a second"
    )
