"""Workers as tasks of Ray."""

from dataclasses import dataclass, field
from typing import Any

from gradtx._value.whole import whole_number
from gradtx.sweep._engines.worker import work


@dataclass(frozen=True)
class Ray:
    """Workers that Ray starts: see `gradtx.sweep.engines.ray`."""

    workers: int
    options: dict[str, Any] = field(default_factory=dict)

    def start(self, folder: str) -> "Tasks":
        """Begin one task a worker; without a cluster, Ray is started on this machine, and ended with the sweep."""
        library = _library()
        ours = not library.is_initialized()
        if ours:
            library.init(include_dashboard=False, log_to_driver=False)
        task = library.remote(**{"max_retries": 3, **self.options})(work)
        return Tasks([task.remote(folder) for _ in range(self.workers)], ours=ours)


@dataclass(frozen=True)
class Tasks:
    """Tasks that were begun."""

    refs: list[Any]
    ours: bool

    def running(self) -> int:
        """How many have not ended."""
        return len(self._split()[1])

    def failures(self) -> list[str]:
        """What those that have failed said."""
        found, library = [], _library()
        for ref in self._split()[0]:
            try:
                library.get(ref)
            except library.exceptions.RayError as error:
                found.append(str(getattr(error, "cause", None) or error).strip())
        return found

    def stop(self) -> None:
        """Cancel those that are left; end Ray if it was started for them."""
        library = _library()
        for ref in self._split()[1]:
            library.cancel(ref, force=True)
        if self.ours:
            library.shutdown()

    def _split(self) -> tuple[list[Any], list[Any]]:
        """Those that have ended, and the others."""
        return _library().wait(self.refs, num_returns=len(self.refs), timeout=0)


def ray(workers: int, **options: Any) -> Ray:
    """Workers as tasks of Ray: of the cluster that ``ray.init`` joined, or of one that is started on this machine.

    ``options`` are those of ``ray.remote``: ``num_gpus=1``, ``num_cpus``, ``resources`` and so on. A task whose process
    is lost is begun again, three times unless ``max_retries`` says otherwise. Needs Ray.
    """
    _library()
    return Ray(whole_number("ray: workers", workers), options)


def _library() -> Any:
    try:
        import ray
    except ImportError:
        raise ImportError("this engine needs Ray: pip install 'gradtx[ray]'") from None
    return ray
