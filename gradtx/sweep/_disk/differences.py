"""What differs between the settings of two sweeps, in words."""

from collections.abc import Mapping
from typing import Any


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first three differences between settings in a folder and settings here; empty if there are none.

    >>> differences({"steps": 3, "seed": 0}, {"steps": 4, "seed": 0})
    'steps is 3 there and 4 here'
    """
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)][:3]
    return "; ".join(f"{name} is {_short(there.get(name))} there and {_short(here.get(name))} here" for name in names)


def _short(x: Any) -> str:
    return f"{str(x)[:60]}..." if len(str(x)) > 60 else str(x)
