"""What an engine is: something that starts workers, and knows which of them still run."""

from typing import Any, Protocol, runtime_checkable

import jax

from gradtx._value.errors import TransformationError


class Crew(Protocol):
    """Workers that were started."""

    def running(self) -> int:
        """How many have not ended, those that wait for a machine included."""
        ...

    def failures(self) -> list[str]:
        """For each that ended with an error, what it said."""
        ...

    def stop(self) -> None:
        """End those that still run."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Starts ``workers`` workers, each of which calls `gradtx.sweep.engines.work` with the folder."""

    workers: int

    def start(self, folder: str) -> Crew:
        """Start the workers."""
        ...


def check_engine(engine: Any, folder: Any, devices: Any, *, fed: bool, callback: Any) -> None:
    """Raise `TransformationError` for what is no engine, or cannot be used with one."""
    if isinstance(engine, str) and engine == "local":
        return
    if not isinstance(engine, Engine) and not (isinstance(engine, str) and engine == "folder"):
        raise TransformationError(
            "sweep.run: engine: expected 'local', 'folder', or one of gradtx.sweep.engines: submitit(...), ray(...), "
            f"dask(...); found {engine!r}"
        )
    if fed:
        raise TransformationError(
            "sweep.run: engine: workers train chunks at times of their own, and batches from the host come once: give "
            "data as arrays, or leave the engine out"
        )
    if callback is not None:
        raise TransformationError("sweep.run: engine: lanes train elsewhere: a callback is for engine='local'")
    if folder is None:
        raise TransformationError("sweep.run: engine: workers meet in a folder that all of them see: give folder=...")
    if jax.process_count() > 1:
        raise TransformationError(
            "sweep.run: engine: under jax.distributed the processes themselves share the lanes: leave it out"
        )
    if devices is not None and not isinstance(devices, int | str):
        raise TransformationError(
            f"sweep.run: devices: with an engine it is how many each worker takes, or 'all', found {devices!r}"
        )
