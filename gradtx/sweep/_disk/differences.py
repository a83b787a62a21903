"""What differs between the settings of two sweeps, in words."""

from collections.abc import Mapping
from typing import Any


def changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The names of settings that differ."""
    return [name for name in {**here, **there} if there.get(name) != here.get(name)]


def difference(name: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """How one setting differs."""
    return f"{name} is {_short(there.get(name))} there and {_short(here.get(name))} here"


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first three differences between settings in a folder and settings here; empty if there are none.

    >>> differences({"steps": 3, "seed": 0}, {"steps": 4, "seed": 0})
    'steps is 3 there and 4 here'
    """
    return "; ".join(difference(name, there, here) for name in changed(there, here)[:3])


def _short(x: Any) -> str:
    return f"{str(x)[:60]}..." if len(str(x)) > 60 else str(x)
