"""A sweep for TensorBoard: one run per lane (tensorboardX, imported when used)."""

import shutil
from pathlib import Path
from typing import Any

from gradtx._report.runs import TRAINING, runs


def write(result: Any, folder: Path) -> Path:
    """Write one run per lane, such as ``lane-0007``; return the folder.

    Scalars: ``loss/training`` at the last step of each record, as far as the lane went; at its last step ``final_loss``
    and the metrics, which stand in the table of hyperparameters too. Hyperparameters: those of the point.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError("runs for TensorBoard need tensorboardX: pip install 'gradtx[tensorboard]'") from None
    for old in folder.glob("lane-*"):
        shutil.rmtree(old)
    with SummaryWriter(str(folder), write_to_disk=False) as writer:
        for own in runs(result):
            with SummaryWriter(str(folder / own.name), filename_suffix=".loss") as run:  # beside the hyperparameters'
                for tag, points in {TRAINING: own.losses, **own.curves}.items():
                    for step, x in points:
                        run.add_scalar(tag, x, step)
            writer.add_hparams(own.point, own.ended, name=own.name, global_step=own.steps)
    return folder
