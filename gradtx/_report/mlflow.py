"""A sweep for MLflow: one run per lane, in a file of SQLite (mlflow, imported when used)."""

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

from gradtx._report.runs import TRAINING, runs

AT_ONCE = 1000  # metrics that MLflow takes in one call


def write(result: Any, folder: Path, experiment: str) -> Path:
    """Write one run per lane, such as ``lane-0007``, to ``mlflow.db``; return the folder.

    Runs of lanes that an earlier sweep left in the experiment are marked as deleted. Metrics: ``loss/training`` at the
    last step of each record; at the last step ``final_loss`` and the others. Numbers that are not finite are left out.
    """
    try:
        import alembic  # noqa: F401  # MLflow makes its tables by it
        import mlflow  # noqa: F401
    except ImportError:
        raise ImportError("runs for MLflow need mlflow and alembic: pip install 'gradtx[mlflow]'") from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow asks of SQLAlchemy is deprecated there
        _write(result, folder.absolute(), experiment)
    return folder


def _write(result: Any, folder: Path, experiment: str) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    place = (
        client.create_experiment(experiment, (folder / "artifacts").as_uri()) if found is None else found.experiment_id
    )
    for old in client.search_runs([place], max_results=50_000):
        client.delete_run(old.info.run_id)
    for own in runs(result):
        now = int(time.time() * 1000)
        run = client.create_run(place, run_name=own.name).info.run_id
        points = {TRAINING: own.losses, **own.curves, **{name: [(own.steps, x)] for name, x in own.ended.items()}}
        metrics = [
            Metric(name, x, now, step) for name, pairs in points.items() for step, x in pairs if math.isfinite(x)
        ]
        params = [Param(name, str(x)) for name, x in own.point.items()]
        client.log_batch(run, params=params, tags=[RunTag("status", own.status)])
        for first in range(0, len(metrics), AT_ONCE):
            client.log_batch(run, metrics=metrics[first : first + AT_ONCE])
        client.set_terminated(run)
