"""A sweep over two real processes, on loopback: the same table as in one, to the bit."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradtx import sweep

from .test_progress_on_disk import run

pytestmark = pytest.mark.slow

CHILD = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
port, number, folder, kill = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
jax.distributed.initialize(f"localhost:{port}", 2, number)
import os, signal
import numpy as np
from gradtx import sweep
from gradtx.sweep._disk import storage as _storage
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


def test_one_process_and_two_that_were_killed_give_the_same_to_the_bit(tmp_path):
    """Two processes of two devices each, killed after a few saves and run again to the end."""
    killed = two_processes(tmp_path, kill=3)
    assert killed[0].wait(timeout=300) == -signal.SIGKILL
    for process in killed:
        process.kill()
        process.communicate(timeout=60)
    assert (tmp_path / "none" / "progress" / "3.json").exists()
    ended = two_processes(tmp_path)
    errors = [process.communicate(timeout=300)[1] for process in ended]
    assert [process.returncode for process in ended] == [0, 0], errors
    selections = {"none": None, "halving": sweep.halving(2), "population": sweep.population_based(15)}
    for name, select in selections.items():
        whole = run(select=select)
        for number in range(2):  # both know everything
            found = np.load(tmp_path / f"{name}-{number}.npz")
            np.testing.assert_array_equal(found["w"], whole.params["w"])
            np.testing.assert_array_equal(found["loss"], whole.loss)
            np.testing.assert_array_equal(found["final"], whole.final_loss)
            np.testing.assert_array_equal(found["steps"], whole.steps)
            assert found["spent"] == whole.steps_spent
