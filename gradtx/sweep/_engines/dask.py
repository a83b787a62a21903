"""Workers as tasks of a Dask cluster."""

from dataclasses import dataclass, field
from typing import Any

from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number
from gradtx.sweep._engines.worker import work


@dataclass(frozen=True)
class Dask:
    """Workers that a Dask cluster runs: see `gradtx.sweep.engines.dask`."""

    client: Any
    workers: int
    options: dict[str, Any] = field(default_factory=dict)

    def start(self, folder: str) -> "Futures":
        """Submit one task a worker."""
        return Futures([self.client.submit(work, folder, pure=False, **self.options) for _ in range(self.workers)])


@dataclass(frozen=True)
class Futures:
    """Tasks that were submitted."""

    futures: list[Any]

    def running(self) -> int:
        """How many have not ended."""
        return sum(not future.done() for future in self.futures)

    def failures(self) -> list[str]:
        """What those that have failed said."""
        return [str(future.exception()).strip() for future in self.futures if future.status == "error"]

    def stop(self) -> None:
        """Cancel those that have not begun. Dask ends none that runs: they go on to the end of the round."""
        for future in self.futures:
            if not future.done():
                future.cancel()


def dask(client: Any, workers: int, **options: Any) -> Dask:
    """Workers as tasks of the Dask cluster of a ``distributed.Client``.

    ``options`` are those of ``Client.submit``: ``resources={"GPU": 1}``, ``workers``, ``retries`` and so on. Dask
    begins a task again where its process is lost. Needs distributed.

    Raises `TransformationError`: ``client`` is no client.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("this engine needs Dask: pip install 'gradtx[dask]'") from None
    if not isinstance(client, Client):
        raise TransformationError(f"dask: client: expected a distributed.Client, found {client!r}")
    return Dask(client, whole_number("dask: workers", workers), options)
