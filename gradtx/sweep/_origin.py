"""Where the result of a sweep comes from: the command, the machine, the versions, and what it cost."""

import importlib.metadata
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax

try:
    import resource
except ImportError:  # no such module on this system
    resource = None


def origin_of(devices: Sequence[Any], seconds: float, engine: str = "local") -> dict[str, Any]:
    """What can be said of this process and its machine, in values that JSON holds; what is unknown is left out."""
    found = {
        "command": command(),
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "seconds": round(seconds, 3),
        "engine": engine,
        "platform": platform.platform(),
        "devices": dict(Counter(str(device.device_kind) for device in devices)),
        "processes": jax.process_count(),
        "versions": {"gradtx": _version("gradtx"), "jax": jax.__version__, "Python": platform.python_version()},
        "memory": _peak(devices),
    }
    return {name: x for name, x in found.items() if x is not None}


def command() -> str | None:
    """What was typed to start this program; None in a notebook or an interpreter."""
    words = sys.orig_argv[1:]
    if not words or any("ipykernel" in word for word in words) or words[0] == "-c":
        return None
    return shlex.join(["python", *words])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        return "from source"


def _peak(devices: Sequence[Any]) -> int | None:
    """The most memory that was in use at once: on a device, or of this process where devices do not say."""
    own = [device for device in devices if device.process_index == jax.process_index()]
    found = [(device.memory_stats() or {}).get("peak_bytes_in_use", 0) for device in own]
    if any(found):
        return max(found)
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
