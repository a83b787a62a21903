"""GPUs: each belongs to one worker, unless workers were told to share its memory."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.folders import made_folder
from gradtx.sweep._engines.leases import Watch

SHARE = (("XLA_PYTHON_CLIENT_PREALLOCATE", ("false", "0")), ("XLA_PYTHON_CLIENT_ALLOCATOR", ("platform",)))
FRACTIONS = ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION")


def shares_memory(environment: Mapping[str, str]) -> bool:
    """Whether JAX was told to leave memory of a GPU to others.

    >>> shares_memory({"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}), shares_memory({})
    (True, False)
    """
    told = any(environment.get(name, "").lower() in words for name, words in SHARE)
    return told or any(environment.get(name) for name in FRACTIONS)


def names(devices: Sequence[Any], environment: Mapping[str, str]) -> list[str]:
    """The GPUs among the devices of this process, under names that every process of this machine gives them."""
    visible = [word.strip() for word in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if word.strip()]
    found = [device.local_hardware_id for device in devices if device.platform in ("gpu", "cuda", "rocm")]
    return [f"{socket.gethostname()}-{visible[n] if n < len(visible) else n}" for n in found]


@contextmanager
def held(place: Path, watch: Watch, devices: Sequence[Any], environment: Mapping[str, str]) -> Iterator[None]:
    """Hold the GPUs of this worker. Raises `TransformationError` where another worker has one of them."""
    with ExitStack() as stack:
        for name in names(devices, environment):
            made_folder("sweep.run", place / name)
            owner, shares = watch.owner_of(place / name), shares_memory(environment)
            lease = None if owner or shares else watch.claim(place / name)
            if lease is not None:
                stack.enter_context(lease.held())
            elif owner or not shares:
                raise TransformationError(
                    f"worker: GPU {name.rpartition('-')[2]} of {socket.gethostname()} belongs to another worker of "
                    f"this sweep, {owner or 'a process that has just begun'}: give each worker a GPU of its own "
                    "(CUDA_VISIBLE_DEVICES), or to all that share one a fraction of its memory, such as "
                    "XLA_PYTHON_CLIENT_MEM_FRACTION=0.45"
                )
        yield
