"""The files that a sweep is written to."""

import csv
import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx import tree as trees
from gradtx._training.model import Mixed, Opened, Variables, opened, opened_tree
from gradtx._value.plain import plain as without_arrays
from gradtx.sweep._disk.folders import made_folder
from gradtx.sweep._engine.rows import is_key

Tree = Any


def write(result: Any, folder: str | Path, *, report: bool, tensorboard: bool) -> list[Path]:
    """Write all files of `Sweep.save`; return what was written."""
    from gradtx import plot

    folder = made_folder("save", folder)
    rows = result.table()
    write_table(folder / "table.csv", rows)
    text = json.dumps(plain(summary(result, rows)), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "sweep.json").write_text(text + "\n", encoding="utf-8")
    losses = {"loss": result.loss, "final_loss": result.final_loss, "record_every": result.record_every}
    losses |= {f"curve.{name}": x for name, x in result.curves.items()} | {"evaluated": result.evaluated}
    np.savez_compressed(folder / "loss.npz", **losses)
    written = [folder / name for name in ("table.csv", "sweep.json", "loss.npz")]
    if result.params is not None:
        written += write_best(folder, result.best)
    written += plot.save_sweep(result, folder)
    (folder / "report.html").unlink(missing_ok=True)
    if report:
        from gradtx._report import page

        written.append(page.write(result, folder / "report.html"))
    if tensorboard:
        written.append(result.tensorboard(folder / "tensorboard"))
    return written


def write_table(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of equal columns as a file of comma-separated values."""
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def summary(result: Any, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``sweep.json`` holds."""
    best = result.best
    written_as = None if best.tx is None else repr(without_arrays(best.tx))
    return {
        **result.origin,
        "lanes": len(result.points),
        "steps": int(max(result.steps)),
        "steps_spent": result.steps_spent,
        "batch_size": result.batch_size,
        "seed": result.seed,
        "metric": result.metric,
        "better": result.better,
        "best": {"lane": int(best), "point": best.point, "transformation": written_as},
        "notes": result.notes(),
        "over_seeds": None if result.population.seeds is None else result.over_seeds(),
        "table": rows,
    }


def plain(x: Any) -> Any:
    """What JSON can hold: numbers that are not finite as null, anything else as text."""
    if isinstance(x, Mapping):
        return {str(name): plain(part) for name, part in x.items()}
    if isinstance(x, list | tuple):
        return [plain(part) for part in x]
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    return x if x is None or isinstance(x, bool | int | str) else getattr(x, "__name__", repr(x))


# The weights of the best lane -----------------------------------------------------------------------------------------


def write_best(folder: Path, lane: Any) -> list[Path]:
    """The arrays of the best lane: ``best.npz``, an array a path, and ``best/``, by Orbax where it is installed.

    Beside the parameters these are the arrays that a model carries, and the ``model_state``, if there are any.
    """
    tree = _arrays_of(lane)
    (folder / "best.npz").unlink(missing_ok=True)
    shutil.rmtree(folder / "best", ignore_errors=True)
    arrays = {path: _array(x) for path, x in _named(tree) if x is not None}
    np.savez(folder / "best.npz", **arrays)  # pyright: ignore[reportArgumentType]
    try:
        import orbax.checkpoint as orbax
    except ImportError:
        return [folder / "best.npz"]
    logging.getLogger("absl").setLevel(logging.ERROR)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "best").absolute(), tree)
    return [folder / "best.npz", folder / "best"]


def _arrays_of(lane: Any) -> Tree:
    """What there is to keep of a lane, as trees of arrays."""
    model, state = opened("save", lane.params), lane.model_state
    params, carried = (lane.params, None) if isinstance(model.form, Variables) else (_alone(model), model.carried)
    more = {"carried": carried, "model_state": None if state is None else _alone(opened_tree("save", state))}
    more = {name: x for name, x in more.items() if jax.tree.leaves(x)}
    return {"params": params, **more} if more or jax.tree_util.all_leaves([params]) else params


def _alone(model: Opened) -> Tree:
    """The arrays of a model without its static parts: of a tree that has some, under their paths."""
    if not isinstance(model.form, Mixed):
        return model.params
    return {path: x for path, x in _named(model.params) if x is not None}


def _named(tree: Tree) -> Iterator[tuple[str, Any]]:
    return zip(trees.paths(tree), trees.flatten(tree)[0], strict=True)


def _array(x: Any) -> np.ndarray:
    """An array that a file of NumPy holds: of keys their numbers, of other dtypes than NumPy's their float32."""
    x = np.asarray(jax.random.key_data(x) if is_key(x) else x)
    return x if x.dtype.kind in "biufc" else x.astype(np.float32)
