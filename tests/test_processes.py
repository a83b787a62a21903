"""A sweep over two real processes, on loopback: the same table as in one, to the bit."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradtx import sweep

from .test_progress_on_disk import run

CHILD = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
port, number, folder, kill = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
jax.distributed.initialize(f"localhost:{port}", 2, number)
import os, signal
import numpy as np
from gradtx import sweep
from gradtx.sweep import _storage
from tests.test_progress_on_disk import run
assert jax.process_count() == 2
SELECT = {"none": None, "halving": sweep.halving(2), "population": sweep.population_based(15)}
if kill:
    save = _storage.Storage.save
    def dying(self, *args):
        save(self, *args)
        if self.number >= kill:
            os.kill(os.getpid(), signal.SIGKILL)
    _storage.Storage.save = dying
for name, select in SELECT.items():
    result = run(f"{folder}/{name}", select=select, save_every=0.0 if kill else 3600.0)
    arrays = {"loss": result.loss, "final": result.final_loss, "w": result.params["w"], "steps": result.steps}
    np.savez(f"{folder}/{name}-{number}.npz", spent=result.steps_spent, **arrays)
"""


def two_processes(folder, kill=0):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    here = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(port), str(number), str(folder), str(kill)],
            cwd=Path(__file__).parent.parent,
            env=here,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two processes of two devices each that were killed after a few saves, and then run to the end."""
    folder = tmp_path_factory.mktemp("shared")
    killed = two_processes(folder, kill=3)
    assert killed[0].wait(timeout=300) == -9 or killed[0].stderr.read()
    for process in killed:
        process.kill()
        process.communicate(timeout=60)
    assert (folder / "none" / "progress" / "3.json").exists()
    ended = two_processes(folder)
    errors = [process.communicate(timeout=300)[1] for process in ended]
    assert [process.returncode for process in ended] == [0, 0], errors
    return folder


@pytest.mark.parametrize(
    ("name", "select"),
    [("none", None), ("halving", sweep.halving(2)), ("population", sweep.population_based(15))],
)
def test_one_process_and_two_give_the_same_to_the_bit(name, select, folder):
    whole = run(select=select)
    for number in range(2):  # both know everything
        found = np.load(folder / f"{name}-{number}.npz")
        np.testing.assert_array_equal(found["w"], whole.params["w"])
        np.testing.assert_array_equal(found["loss"], whole.loss)
        np.testing.assert_array_equal(found["final"], whole.final_loss)
        np.testing.assert_array_equal(found["steps"], whole.steps)
        assert found["spent"] == whole.steps_spent
