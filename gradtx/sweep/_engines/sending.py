"""A sweep on its way to the workers: pickled, with all that must be the same where it arrives."""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.differences import differences
from gradtx.sweep._disk.identity import identity
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engines.compiling import options
from gradtx.sweep._engines.meeting import Meeting
from gradtx.sweep._request import Request


def library() -> Any:
    """The library cloudpickle; or an `ImportError` that says where it comes from."""
    try:
        import cloudpickle
    except ImportError:
        raise ImportError("to send a sweep to workers needs cloudpickle: pip install 'gradtx[sweep]'") from None
    return cloudpickle


def sent(request: Request, plan: Plan, lanes: int) -> tuple[dict[str, Any], bytes]:
    """The settings of a meeting, and the pickled request. Raises `TransformationError` where it cannot be pickled."""
    goes = replace(request, folder=None, engine="local", lanes_at_once=None, progress=False)
    try:
        pickled = library().dumps(goes)
    except ImportError:
        raise
    except Exception as error:  # whatever an object says that cannot be pickled
        raise TransformationError(
            f"sweep.run: engine: the sweep cannot be sent to workers: {error}. What the loss refers to must be such as "
            "can be pickled: no open files, locks or connections"
        ) from error
    return {
        "identity": identity_of(plan),
        "versions": versions(),
        "options": options(),
        "lanes": lanes,
        "loss": _where_from(request.loss),
        "path": [str(Path(place).absolute()) for place in sys.path if not place.endswith(".zip")],
    }, pickled


def received(meeting: Meeting) -> tuple[Request, Plan]:
    """The sweep of a meeting and its plan here. Raises `TransformationError` where it would not be the same sweep."""
    settings, who = meeting.settings, f"worker: the sweep in {meeting.folder}"
    what = differences(settings["versions"], versions())
    if what:
        raise TransformationError(f"{who} was begun with other versions: {what}: install those of the sweep here")
    sys.path += [place for place in settings["path"] if place not in sys.path and Path(place).exists()]
    try:
        request = library().loads((meeting.place / "request").read_bytes())
    except ImportError as error:
        raise TransformationError(f"{who} cannot be loaded here: {error}: make that importable here") from error
    except Exception as error:  # whatever an object says that cannot be unpickled
        raise TransformationError(f"{who} cannot be loaded here: {type(error).__name__}: {error}") from error
    plan = request.plan()
    what = differences(settings["identity"], identity_of(plan))
    if what:
        loss = settings["loss"] and f"; the loss is {settings['loss']} there and {_where_from(request.loss)} here"
        raise TransformationError(
            f"{who} is another one here: {what}{loss}. Install here what the sweep was begun with"
        )
    return request, plan


def identity_of(plan: Plan) -> dict[str, Any]:
    """The identity of a sweep, worked out on the CPU, so that a caller without an accelerator gets the same."""
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to leave it out
        return json.loads(json.dumps(identity(plan)))
    with jax.default_device(device):
        return json.loads(json.dumps(identity(plan)))


def versions() -> dict[str, str]:
    """What must be of one version wherever a sweep is trained."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("jax", "jaxlib", "gradtx"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _where_from(loss: Callable[..., Any]) -> str:
    """The module, name and file of a loss that is loaded by its name; empty where it travels as a whole."""
    module = sys.modules.get(getattr(loss, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or "<" in getattr(loss, "__qualname__", "<"):
        return ""
    return f"{module.__name__}.{loss.__qualname__} of {getattr(module, '__file__', None)}"
