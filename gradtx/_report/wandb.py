"""A sweep for Weights & Biases: one offline run per lane (wandb, imported when used)."""

from pathlib import Path
from typing import Any

from gradtx._report.runs import TRAINING, runs


def write(result: Any, folder: Path, project: str) -> Path:
    """Write one offline run per lane, such as ``lane-0007``; return the folder. No network, and nothing is sent.

    History: ``loss/training`` at the last step of each record. Summary: ``final_loss``, the metrics, ``status``.
    """
    try:
        import wandb
    except ImportError:
        raise ImportError("runs for Weights & Biases need wandb: pip install 'gradtx[wandb]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(
        silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True, x_disable_meta=True
    )
    for own in runs(result):
        run = wandb.init(
            mode="offline",
            dir=str(folder),
            project=project,
            name=own.name,
            config=own.point,
            reinit="create_new",
            settings=quiet,
        )
        rows: dict[int, dict[str, float]] = {}
        for tag, points in {TRAINING: own.losses, **own.curves}.items():
            for step, x in points:
                rows.setdefault(step, {})[tag] = x
        for step in sorted(rows):
            run.log(rows[step], step=step)
        run.summary.update({**own.ended, "status": own.status})
        run.finish()
    return folder
