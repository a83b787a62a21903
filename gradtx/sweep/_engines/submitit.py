"""Workers as jobs of SLURM, or as processes of this machine, by submitit."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradtx._value.whole import whole_number
from gradtx.sweep._engines.meeting import ROOM
from gradtx.sweep._engines.worker import work


@dataclass(frozen=True)
class Submitit:
    """Workers that submitit starts: see `gradtx.sweep.engines.submitit`."""

    workers: int
    cluster: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def start(self, folder: str) -> "Jobs":
        """Submit one job a worker; where SLURM has arrays, they are one."""
        executor = _library().AutoExecutor(folder=Path(folder) / ROOM / "jobs", cluster=self.cluster)
        executor.update_parameters(**self.parameters)
        with executor.batch():
            jobs = [executor.submit(Job(), folder) for _ in range(self.workers)]
        return Jobs(jobs)


class Job:
    """A worker as a job. If SLURM ends it early, it is submitted again, and goes on from what was saved."""

    def __call__(self, folder: str) -> Any:
        """Work."""
        return work(folder)

    def checkpoint(self, folder: str) -> Any:
        """What is submitted again: the same."""
        return _library().helpers.DelayedSubmission(self, folder)


@dataclass(frozen=True)
class Jobs:
    """Jobs that were submitted."""

    jobs: list[Any]

    def running(self) -> int:
        """How many are waiting or running."""
        return sum(not job.done() for job in self.jobs)

    def failures(self) -> list[str]:
        """What those that have failed said last."""
        return [said for said in map(_failure, self.jobs) if said]

    def stop(self) -> None:
        """Cancel those that are left."""
        for job in self.jobs:
            if not job.done():
                job.cancel()


def _failure(job: Any) -> str:
    """Why a job has failed; empty if it has not."""
    if not job.done():
        return ""
    if job.paths.result_pickle.exists():  # without one, submitit would wait for it
        return str(job.exception() or "").strip()
    lines = (job.stderr() or "").strip().splitlines()
    said = lines[-1] if lines else f"it said nothing, see {job.paths.stdout}"
    return f"job {job.job_id} was ended ({job.state}): {said}"


def submitit(workers: int, *, cluster: str | None = None, **parameters: Any) -> Submitit:
    """Workers as jobs of SLURM or another ``cluster`` that submitit knows; ``"local"``: processes of this machine.

    ``parameters`` are those of ``submitit.AutoExecutor.update_parameters``: ``timeout_min``, ``gpus_per_node``,
    ``slurm_partition`` and so on. A job that SLURM ends early is submitted again. The folder must be on a disk that the
    nodes share. Needs submitit.
    """
    _library()
    return Submitit(whole_number("submitit: workers", workers), cluster, parameters)


def _library() -> Any:
    try:
        import submitit
    except ImportError:
        raise ImportError("this engine needs submitit: pip install 'gradtx[submitit]'") from None
    return submitit
