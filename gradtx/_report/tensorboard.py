"""A sweep for TensorBoard: one run per lane (tensorboardX, imported when used)."""

import math
import shutil
from pathlib import Path
from typing import Any

from gradtx._report.axes import word_of


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
    width = max(4, len(str(len(result.points) - 1)))
    columns = {"final_loss": result.final_loss, **result.metrics}
    with SummaryWriter(str(folder), write_to_disk=False) as writer:
        for n, point in enumerate(result.points):
            name, steps = f"lane-{n:0{width}}", int(result.steps[n])
            with SummaryWriter(str(folder / name), filename_suffix=".loss") as run:  # beside the hyperparameters' file
                for k, loss in enumerate(result.loss[n]):
                    end = min((k + 1) * result.record_every, steps)
                    if not math.isnan(loss) or end > k * result.record_every:
                        run.add_scalar("loss/training", float(loss), end)
            ended = {key: float(column[n]) for key, column in columns.items()}
            writer.add_hparams({key: _plain(x) for key, x in point.items()}, ended, name=name, global_step=steps)
    return folder


def _plain(x: Any) -> Any:
    """What a table of hyperparameters holds: numbers, bools and words."""
    return x if isinstance(x, bool | int | float | str) else word_of(x)
