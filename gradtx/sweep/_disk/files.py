"""Files that appear whole or not at all, and what a disk says when it takes no more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradtx._value.errors import TransformationError

REFUSALS = (  # what libraries that do not raise an OSError say inside their own errors
    "No space left on device", "Read-only file system", "Disk quota exceeded", "File too large", "Permission denied",
    "Input/output error", "Stale file handle",
)  # fmt: skip


def write_whole(file: Path, content: str | bytes) -> None:
    """The whole file or none of it."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with open(beside, "wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(beside, file)


def locked(file: Path, *, wait: bool = False) -> Any:
    """The file, open and locked until it is closed or the process ends; None if another process has it locked."""
    handle = open(file, "w")  # noqa: SIM115
    try:
        import fcntl
    except ImportError:  # no locks on this system
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        handle.close()
        return None
    return handle


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what a full, read-only or lost disk says inside the block into a `TransformationError`."""
    try:
        yield
    except TransformationError:
        raise
    except Exception as error:
        reason = _refusal(error)
        if reason is None:
            raise
        raise TransformationError(
            f"sweep.run: {folder} cannot be written: {reason}. What was saved there before is whole: make it writable, "
            "and the same call goes on from there"
        ) from error


def _refusal(error: BaseException) -> str | None:
    """Why a disk refused to write, or None if an error says something else."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next((said for said in REFUSALS if said.lower() in str(error).lower()), None)
