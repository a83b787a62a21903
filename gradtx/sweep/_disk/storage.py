"""Progress of a sweep on disk: all that it needs to resume as if it had never stopped.

A folder holds the results (``sweep.json`` ...) and beside them ``progress/``, with

- ``settings.json``: which sweep it is. Another sweep is refused.
- ``<n>/``: a checkpoint (written by Orbax), and ``<n>.json``, written after it: where the sweep stands, and a digest of
  every file of the checkpoint. Without ``<n>.json`` a checkpoint does not count: it was not finished.
- ``before-<n>/`` and ``before-<n>.json``: a checkpoint with lanes that a later sweep in this folder did not have.
- ``lock``: held by the process that runs the sweep.

Every file appears whole or not at all (written beside, then renamed), so the process may be killed at any moment.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.compatible import refusal
from gradtx.sweep._disk.differences import changed
from gradtx.sweep._disk.files import locked, write_whole, writing
from gradtx.sweep._disk.folders import local_folder, made_folder

FORMAT = 2


class Storage:
    """The progress of one sweep in a folder. ``settings`` say which sweep it is; only ``writes`` writes files.

    Without ``locks`` no lock is taken: something else says who may write.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any], *, writes: bool = True, locks: bool = True):
        self.place = local_folder("sweep.run", folder).absolute() / "progress"
        self.settings, self.writes, self.locks = {"format": FORMAT, **settings}, writes, locks
        self.number, self.lock = 0, None
        self.other: dict[str, Any] | None = None  # settings of another sweep in the folder whose lanes can be used
        self._check()

    # Opening ----------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise unless the folder holds no progress, or progress of this sweep."""
        file = self.place / "settings.json"
        if not file.exists():
            others = sorted(path.name for path in self.place.iterdir()) if self.place.is_dir() else []
            if any(name.removesuffix(".json").isdigit() for name in others):
                raise _damaged(file, "it is gone, but there are checkpoints")
            return
        found = settings_of(self.place)
        why = refusal(found, self.settings)
        if why:
            raise TransformationError(
                f"sweep.run: {self.place.parent} holds another sweep: {why}. Nothing was changed: give another "
                f"folder, or delete {self.place} to start anew"
            )
        self.other = found if changed(found, self.settings) else None

    def open(self) -> None:
        """Lock the folder, and write down which sweep it is. Raises where another process holds the lock."""
        if not self.writes:
            return
        made_folder("sweep.run", self.place)
        with writing(self.place):
            if self.locks:
                self.lock = locked(self.place / "lock")
                if self.lock is None:
                    raise TransformationError(f"sweep.run: another process is running the sweep in {self.place.parent}")
            if not (self.place / "settings.json").exists():
                write_whole(self.place / "settings.json", json.dumps(self.settings, indent=1))

    def close(self) -> None:
        """Release the lock."""
        if self.lock is not None:
            self.lock.close()
            self.lock = None

    # Saving and loading -----------------------------------------------------------------------------------------------

    def save(self, where: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Write a checkpoint, then the file that says it is whole; then remove the checkpoint before it."""
        if not self.writes:
            return
        self.number += 1
        with writing(self.place):
            self._save(self.place / str(self.number), where, arrays)

    def _save(self, folder: Path, where: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed while saving
        with _checkpointer() as checkpointer:
            checkpointer.save(folder, args=_as_saved({name: _bytes(x) for name, x in arrays.items() if x.size}))
        digests = {str(file.relative_to(folder)): _digest(file) for file in _files(folder)}
        shapes = {name: [x.dtype.name, list(x.shape)] for name, x in arrays.items()}
        told = {"where": where, "arrays": shapes, "files": digests, "settings": self.settings}
        write_whole(self.place / f"{self.number}.json", json.dumps(told))
        for path in self.place.iterdir():
            name = path.name.partition(".")[0]
            if name.isdigit() and int(name) != self.number:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def set_aside(self) -> None:
        """Keep the checkpoint on disk, which has lanes that this sweep does not, as ``before-<n>``."""
        with writing(self.place):
            for path in (self.place / str(self.number), self.place / f"{self.number}.json"):
                if self.writes and path.exists():
                    target = path.with_name(f"before-{path.name}")
                    shutil.copytree(path, target, dirs_exist_ok=True) if path.is_dir() else shutil.copy2(path, target)

    def load(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Where the sweep stood at the newest whole checkpoint, and its arrays; None if there is none yet."""
        done = sorted((int(p.stem) for p in self.place.glob("*.json") if p.stem.isdigit()), reverse=True)
        if not done:
            return None
        self.number = done[0]
        marker, folder = self.place / f"{self.number}.json", self.place / str(self.number)
        found = _read(marker)
        digests = found.get("files")
        if not isinstance(digests, dict) or not isinstance(found.get("where"), dict) or "arrays" not in found:
            raise _damaged(marker, "it does not say what it should")
        for name, digest in digests.items():
            file = folder / name
            if not file.is_file():
                raise _damaged(file, "it is gone")
            if _digest(file) != digest:
                raise _damaged(file, "it is not as it was written")
        with _checkpointer() as checkpointer:
            arrays = checkpointer.restore(
                folder, args=_as_numpy(n for n, (_, shape) in found["arrays"].items() if 0 not in shape)
            )
        whole = {name: _array(arrays.get(name), *kind) for name, kind in found["arrays"].items()}
        return found["where"], whole


def settings_before(folder: Any) -> dict[str, Any] | None:
    """The settings of the sweep in a folder, None if there is none, or none that can be read."""
    try:
        return settings_of(local_folder("sweep.run", folder).absolute() / "progress")
    except TransformationError:
        return None


def settings_of(place: Path) -> dict[str, Any]:
    """The settings of the newest checkpoint; those of the folder where it has none of its own."""
    first = _read(place / "settings.json")
    newest = max((int(path.stem) for path in place.glob("*.json") if path.stem.isdigit()), default=None)
    own = None if newest is None else _read(place / f"{newest}.json").get("settings")
    return own if isinstance(own, dict) else first


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from None
    if not isinstance(found, dict):
        raise _damaged(file, "it is no mapping")
    return found


def _bytes(x: np.ndarray) -> np.ndarray:
    """An array that any checkpoint can hold: dtypes that NumPy does not know, such as 4-bit ones, as bytes."""
    return x if x.dtype.kind in "biufc" else np.frombuffer(x.tobytes(), np.uint8)


def _array(x: Any, dtype: str, shape: list[int]) -> np.ndarray:
    """The array that was saved."""
    if x is None:
        return np.zeros(shape, jnp.dtype(dtype))
    x = np.asarray(x)
    return x if x.dtype.name == dtype else np.frombuffer(x.tobytes(), jnp.dtype(dtype)).reshape(shape)


def _damaged(file: Path, what: str) -> TransformationError:
    return TransformationError(
        f"sweep.run: {file} is damaged: {what}. Nothing was changed: put back a copy of it, or delete {file.parent} to "
        "start anew"
    )


def _checkpointer() -> Any:
    try:
        import orbax.checkpoint as orbax
    except ImportError:
        raise ImportError(
            "to keep the progress of a sweep needs orbax-checkpoint: pip install 'gradtx[sweep]'"
        ) from None
    logging.getLogger("absl").setLevel(logging.ERROR)
    own = jax.process_index()  # one process reads or writes by itself, and waits for no other
    alone = orbax.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
    )
    handler = orbax.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return orbax.Checkpointer(handler, multiprocessing_options=alone)


def _as_saved(arrays: Mapping[str, np.ndarray]) -> Any:
    import orbax.checkpoint as orbax

    return orbax.args.PyTreeSave(dict(arrays))


def _as_numpy(names: Iterable[str]) -> Any:
    import orbax.checkpoint as orbax

    return orbax.args.PyTreeRestore(restore_args={name: orbax.RestoreArgs(restore_type=np.ndarray) for name in names})


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
