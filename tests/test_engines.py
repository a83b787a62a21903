"""Workers: chunks that any of them may train, leases that say which of them does, and the bits of one machine."""

import errno
import importlib.metadata
import os
import resource
import subprocess
import sys
import threading
import time
import types
from contextlib import contextmanager

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from benchmarks.engines import kill_one, two_workers
from gradtx import sweep
from gradtx.sweep._disk import files, owners
from gradtx.sweep._disk.storage import Storage
from gradtx.sweep._engines import caller, gpus, leases, worker
from gradtx.sweep._engines.chunks import ChunkCourse, Whole, beginning, divided, joined, part_state
from gradtx.sweep._engines.leases import Lost, Watch
from gradtx.sweep._engines.meeting import Meeting
from gradtx.sweep._request import Request

from . import chunked
from .chunked import run
from .test_lanes import assert_same_bits

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:orbax.*"), pytest.mark.slow]
HALVING, POPULATION = sweep.halving(2), sweep.population_based(15)


def gone():
    """The owner of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return owners.new_owner().replace(f" {os.getpid()} ", f" {ended.pid} ")


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


# Leases ---------------------------------------------------------------------------------------------------------------


def test_a_lease_is_held_until_its_owner_ends_it(tmp_path):
    mine, other = Watch(), Watch()
    lease = mine.claim(tmp_path)
    with lease.held():
        assert other.claim(tmp_path) is None
        assert other.owner_of(tmp_path).startswith(f"process {os.getpid()} on ")
    assert other.owner_of(tmp_path) is None
    assert other.claim(tmp_path).number == 2
    with pytest.raises(Lost):
        lease.check()


def test_of_many_that_claim_at_once_one_gets_the_lease(tmp_path):
    ready, found = threading.Barrier(8), []

    def claim():
        ready.wait()
        found.append(Watch().claim(tmp_path))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.number for lease in found if lease] == [1]


def test_silence_ends_a_lease_by_the_clock_of_who_listens(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "new_owner", lambda: "elsewhere 7 00000000")
    clock = Clock()
    watch = Watch(clock, grace=90.0)
    lease = watch.claim(tmp_path)
    os.utime(lease.folder / "owner", (0, 0))  # the disk's clock may be years behind
    for clock.now in (0.0, 50.0, 89.0):
        assert watch.claim(tmp_path) is None
    os.utime(lease.folder / "owner", (1, 1))  # it lives
    for clock.now in (100.0, 189.0):
        assert watch.claim(tmp_path) is None
    clock.now = 190.0
    assert watch.claim(tmp_path).number == 2


def test_an_owner_says_that_it_is_alive(tmp_path):
    lease = Watch().claim(tmp_path)
    os.utime(lease.folder / "owner", (1, 1))
    with lease.held(every=0.01):
        limit = time.monotonic() + 10
        while (lease.folder / "owner").stat().st_mtime == 1 and time.monotonic() < limit:
            time.sleep(0.01)
    assert (lease.folder / "owner").stat().st_mtime > 1


def test_a_process_of_this_machine_that_was_killed_holds_nothing(tmp_path, monkeypatch):
    owner = gone()
    monkeypatch.setattr(leases, "new_owner", lambda: owner)
    lease = Watch().claim(tmp_path)
    monkeypatch.undo()
    assert Watch().claim(tmp_path).number == lease.number + 1


def test_a_process_that_was_killed_before_it_wrote_its_name_is_dead_after_the_silence(tmp_path):
    (tmp_path / "1").mkdir()
    clock = Clock()
    watch = Watch(clock, grace=90.0)
    assert watch.claim(tmp_path) is None
    clock.now = 90.0
    assert watch.claim(tmp_path).number == 2


# Chunks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 4, 8, 100])
def test_chunks_have_every_lane_once_and_are_of_one_structure(lanes):
    population = chunked.lanes()
    training = [n for n in range(population.size) if n % 5]
    chunks = divided(population, training, lanes, 0, 9)
    assert sorted(lane for chunk in chunks for lane in chunk.lanes) == training
    for chunk in chunks:
        assert len(chunk.lanes) <= lanes
        assert set(chunk.lanes) <= set(population.groups[chunk.group].lanes)


def request(**options):
    return Request(chunked.ridge, chunked.start, chunked.lanes(), chunked.DATA, 60, **options)


def test_a_state_that_is_divided_and_joined_is_the_same():
    plan = request(select=HALVING).plan()
    where, arrays = beginning(plan)
    arrays |= {
        "sums": np.random.default_rng(0).normal(size=(28, 9)),
        "rows.0.0": np.arange(20),
        "rows.1.0": np.arange(8),
    }
    chunks = divided(plan.population, range(28), 8, 0, plan.ends[0])
    found, back = joined(plan, (where, {}), [(c, part_state(plan, (where, arrays), c)) for c in chunks])
    assert found == where
    for name in ("sums", "rows.0.0", "rows.1.0"):
        np.testing.assert_array_equal(back[name], arrays[name])
    assert set(back["clock"]) == {plan.ends[0]}


# The same bits --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """What one machine computes, once for each selection."""
    found = {}

    def get(**options):
        key = repr(options)
        if key not in found:
            found[key] = run(**options)
        return found[key]

    return get


def assert_same_sweep(a, b):
    assert_same_bits(a, b)
    assert a.steps_spent == b.steps_spent
    assert (a.history is None) == (b.history is None)
    if a.history is not None:
        np.testing.assert_array_equal(a.history.parents, b.history.parents)
        for name, column in b.history.numbers.items():
            np.testing.assert_array_equal(a.history.numbers[name], column)


@pytest.mark.parametrize(
    "options",
    [{}, {"select": HALVING}, {"select": sweep.hyperband(3, brackets=2)}, {"select": POPULATION}],
    ids=["plain", "halving", "hyperband", "population"],
)
def test_chunks_give_the_bits_of_one_machine(options, tmp_path, whole):
    assert_same_sweep(run(tmp_path, engine="folder", lanes_at_once=8, **options), whole(**options))
    assert_same_sweep(run(tmp_path, engine="folder", lanes_at_once=4, **options), whole(**options))  # read back
    done = sweep.engines.workers(tmp_path)
    assert sum(one["steps"] for one in done) == whole(**options).steps_spent


def test_lanes_that_stop_by_themselves_do_so_in_chunks(tmp_path, whole):
    options = {"patience": 3, "stop_diverged": True}
    assert_same_sweep(run(tmp_path, engine="folder", lanes_at_once=8, **options), whole(**options))


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("options", [{"select": HALVING}, {"select": POPULATION}], ids=["halving", "population"])
def test_a_caller_that_is_broken_off_anywhere_goes_on_to_the_same_bits(options, tmp_path, whole, monkeypatch):
    calls = []
    for owner, name in ((Storage, "save"), (Whole, "turn"), (Meeting, "open")):
        plain = getattr(owner, name)

        def broken(*args, plain=plain):
            calls.append(1)
            if len(calls) in (2, 5, 9, 16, 24, 37):
                raise Killed
            return plain(*args)

        monkeypatch.setattr(owner, name, broken)
    result, times = None, 0
    while result is None:
        try:
            result = run(tmp_path, engine="folder", lanes_at_once=12, **options)
        except Killed:
            times += 1
    assert times > 3
    assert_same_sweep(result, whole(**options))


def test_a_worker_that_was_taken_for_dead_stops_and_harms_nobody(tmp_path, whole, monkeypatch):
    """While the caller is about to save, another worker takes its chunk and trains it to the end."""
    save, rest = worker.Worker._save, []

    def slow(self, course, storage, lease):
        if not rest:
            rest.append(lease)
            monkeypatch.setattr(leases, "is_dead", lambda owner: True)
            other = worker.Worker(self.meeting, self.plan, Watch())
            assert other.step()
            monkeypatch.undo()
            assert leases.newest(lease.place) == lease.number + 1
        save(self, course, storage, lease)

    monkeypatch.setattr(worker.Worker, "_save", slow)
    result = run(tmp_path, engine="folder", lanes_at_once=8)
    assert_same_sweep(result, whole())
    assert not (rest[0].folder / "done").exists()
    assert not list((rest[0].folder / "progress").glob("[0-9]*"))


# Workers of an engine, here as threads --------------------------------------------------------------------------------


class Threads:
    """An engine of one worker, a thread of this process, and of others that fail."""

    workers = 1

    def __init__(self, *failures, works=True):
        self.failed, self.works, self.thread = list(failures), works, None

    def start(self, folder):
        if self.works:
            self.thread = threading.Thread(target=self._work, args=(folder,))
            self.thread.start()
        return self

    def _work(self, folder):
        try:
            self.done = sweep.engines.work(folder)
        except Exception as error:  # what a library would keep
            self.failed.append(str(error))

    def running(self):
        return int(self.thread is not None and self.thread.is_alive())

    def failures(self):
        return self.failed

    def stop(self):
        if self.thread is not None:
            self.thread.join(60)


def test_a_worker_loads_the_sweep_from_its_folder(tmp_path, whole):
    engine = Threads()
    assert_same_sweep(run(tmp_path, engine=engine, select=HALVING), whole(select=HALVING))
    assert engine.done["steps"] == whole(select=HALVING).steps_spent
    assert sweep.engines.workers(tmp_path) == [engine.done]
    assert_same_sweep(run(tmp_path, engine=Threads(works=False), select=HALVING), whole(select=HALVING))


def test_a_loss_that_no_module_has_travels_with_the_sweep(tmp_path, whole):
    loss = eval("lambda params, batch, l2: ridge(params, batch, l2)", {"ridge": chunked.ridge})
    assert_same_sweep(run(tmp_path, engine=Threads(), loss=loss), whole())


def test_one_that_fails_is_told_and_the_others_go_on(tmp_path, whole):
    with pytest.warns(UserWarning, match="a worker has ended, the others go on: out of memory"):
        assert_same_sweep(run(tmp_path, engine=Threads("out of memory")), whole())


def test_where_all_have_ended_the_call_says_why_and_the_same_call_goes_on(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(caller, "LINGER", 0.0)
    with pytest.raises(gradtx.TransformationError, match=r"all workers have ended, and 4 of 4 chunks .* no such host"):
        run(tmp_path, engine=Threads("no such host", works=False))
    result = run(tmp_path, engine="folder")
    assert_same_sweep(result, whole())
    assert (result.origin["engine"], result.origin["devices"]) == ("folder", {"cpu": 1})
    assert whole().origin["engine"] == "local"


def test_an_error_of_the_loss_ends_the_worker_and_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(caller, "LINGER", 0.0)
    monkeypatch.setattr(ChunkCourse, "measure", lambda self, units: 1 / 0)
    with pytest.raises(gradtx.TransformationError, match=r"all workers have ended.*division by zero"):
        run(tmp_path, engine=Threads())


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A folder with a sweep that no worker has touched."""
    monkeypatch.setattr(caller, "LINGER", 0.0)
    with pytest.raises(gradtx.TransformationError, match="all workers have ended"):
        run(tmp_path, engine=Threads(works=False))
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_worker_with_another_version_of_the_loss_is_refused(begun, monkeypatch):
    before = contents(begun)
    monkeypatch.setattr(chunked, "ridge", lambda params, batch, l2: jnp.sum(params["w"] ** 2) * l2)
    with pytest.raises(
        gradtx.TransformationError, match=r"worker: .* is another one here: loss is \w+ there and \w+ here"
    ):
        sweep.engines.work(begun)
    assert contents(begun) == before


def test_a_worker_without_the_module_of_the_loss_is_refused(begun, monkeypatch):
    before = contents(begun)
    monkeypatch.delattr(chunked, "ridge")
    with pytest.raises(gradtx.TransformationError, match=r"cannot be loaded here: .*ridge"):
        sweep.engines.work(begun)
    assert contents(begun) == before


def test_a_worker_with_another_version_of_a_library_is_refused(begun, monkeypatch):
    before, version = contents(begun), importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name == "jax" else version(name))
    with pytest.raises(
        gradtx.TransformationError, match=rf"other versions: jax is {version('jax')} there and 9\.9 here"
    ):
        sweep.engines.work(begun)
    assert contents(begun) == before


def test_a_worker_on_another_kind_of_device_is_refused(begun):
    (begun / "chunks" / "platform").write_text("tpu")
    with pytest.raises(gradtx.TransformationError, match="is trained on tpu, and this worker has cpu"):
        sweep.engines.work(begun)


def test_a_worker_where_there_is_no_sweep_is_refused(tmp_path):
    with pytest.raises(gradtx.TransformationError, match="holds no sweep for workers"):
        sweep.engines.work(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_worker_ends_where_nobody_is_left_who_begins_the_next_round(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(caller, "LINGER", 0.0)
    with pytest.raises(gradtx.TransformationError, match="all workers have ended"):
        run(tmp_path, engine=Threads(works=False), select=HALVING)
    done = sweep.engines.work(tmp_path)
    assert 0 < done["steps"] < whole(select=HALVING).steps_spent
    assert_same_sweep(run(tmp_path, engine="folder", select=HALVING), whole(select=HALVING))


def test_a_sweep_that_another_caller_runs_is_left_to_it(begun):
    with Watch().claim(begun / "chunks" / "caller").held():
        before = contents(begun)
        with pytest.raises(gradtx.TransformationError, match=rf"is being run by process {os.getpid()} on"):
            run(begun, engine="folder")
        assert contents(begun) == before


def test_a_chunk_whose_owner_is_alive_is_waited_for(begun, whole, monkeypatch):
    monkeypatch.setattr(caller, "LONGEST", 0.01)
    other = worker.Worker(Meeting(begun), request(batch_size=7, record_every=2).plan(), Watch())
    lease = Watch().claim(other.left()[0].folder)
    with lease.held():
        timer = threading.Timer(1.0, lambda: (lease.folder / "ended").touch())
        timer.start()
        result = run(begun, engine="folder")
    timer.join()
    assert_same_sweep(result, whole())
    assert leases.newest(lease.place) == 2


@pytest.mark.parametrize("first", ["local", "folder"])
def test_one_folder_is_for_one_machine_or_for_workers(first, tmp_path):
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1], numbers={"l2": [0.0]})
    run(tmp_path, steps=2, population=population, engine=first)
    second = "folder" if first == "local" else "local"
    before = contents(tmp_path)
    with pytest.raises(gradtx.TransformationError, match=r"go on with .*engine.*or give another folder"):
        run(tmp_path, steps=2, population=population, engine=second)
    assert contents(tmp_path) == before


def test_another_sweep_in_the_folder_is_refused(begun):
    before = contents(begun)
    with pytest.raises(gradtx.TransformationError, match="holds another sweep: steps is 60 there and 61 here"):
        run(begun, engine="folder", steps=61)
    assert contents(begun) == before


def test_a_damaged_chunk_is_said_and_nothing_is_overwritten(tmp_path):
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1], numbers={"l2": [0.0]})
    run(tmp_path, steps=2, population=population, engine="folder")
    saved = tmp_path / "chunks" / "0" / "0" / "1" / "progress"
    file = max((path for path in (saved / "1").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    before = contents(tmp_path / "chunks" / "0")
    with pytest.raises(gradtx.TransformationError, match=rf"{file.name} is damaged: .*Nothing was changed"):
        run(tmp_path, steps=2, population=population, engine="folder")
    assert contents(tmp_path / "chunks" / "0") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "slurm"}, r"engine: expected 'local', 'folder', or one of gradtx.sweep.engines: .*; found 'slurm'"),
        ({"engine": "folder", "folder": None}, "engine: workers meet in a folder that all of them see"),
        ({"engine": "folder", "devices": jnp.zeros(1).devices()}, "devices: with an engine it is how many each worker"),
        ({"engine": "folder", "select": POPULATION, "patience": 3}, "population_based with patience or stop_diverged"),
    ],
)
def test_what_an_engine_cannot_be_given(options, message, tmp_path):
    with pytest.raises(gradtx.TransformationError, match=message):
        run(**{"folder": tmp_path, **options})
    assert not list(tmp_path.iterdir())


def test_a_loss_that_cannot_be_sent_is_refused(tmp_path):
    lock = threading.Lock()
    with pytest.raises(gradtx.TransformationError, match="the sweep cannot be sent to workers: cannot pickle"):
        run(
            tmp_path,
            engine="folder",
            loss=lambda params, batch, l2: l2 * jnp.sum(params["w"]) * (0.0 if lock is None else 1.0),
        )
    assert not list(tmp_path.iterdir())


def test_the_engines_check_what_they_are_given():
    with pytest.raises(
        gradtx.TransformationError, match="submitit: workers: expected a whole number, 1 or more, found 0"
    ):
        sweep.engines.submitit(0)
    with pytest.raises(gradtx.TransformationError, match="ray: workers"):
        sweep.engines.ray(1.5)
    with pytest.raises(gradtx.TransformationError, match=r"dask: client: expected a distributed.Client, found 2"):
        sweep.engines.dask(2, 2)


# Disks ----------------------------------------------------------------------------------------------------------------


@contextmanager
def full(limit=2000):
    """No file may be longer, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what threads of Orbax leave behind
@pytest.mark.parametrize("engine", ["local", "folder"])
def test_a_full_disk_is_said_and_what_was_saved_is_whole(engine, tmp_path, whole, monkeypatch):
    save, times = Storage.save, []

    def filling(self, *args):
        times.append(1)
        with full(300) if len(times) == 4 else full(resource.RLIM_INFINITY):
            save(self, *args)

    monkeypatch.setattr(Storage, "save", filling)
    with pytest.raises(
        gradtx.TransformationError, match=r"progress cannot be written: File too large\. What was saved"
    ):
        run(tmp_path, engine=engine, save_every=0.0)
    assert_same_sweep(run(tmp_path, engine=engine), whole())


@pytest.mark.parametrize("engine", ["local", "folder"])
def test_a_read_only_folder_is_said(engine, tmp_path, monkeypatch):
    plain = os.mkdir

    def mkdir(path, *args, **kwargs):
        if str(path).startswith(str(tmp_path / "swept")):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(gradtx.TransformationError, match=r"swept.* cannot be made: Read-only file system"):
        run(tmp_path / "swept", engine=engine)


def test_what_a_library_says_about_a_disk_is_read(tmp_path):
    with (
        pytest.raises(gradtx.TransformationError, match=f"{tmp_path} cannot be written: No space left on device"),
        files.writing(tmp_path),
    ):
        raise ValueError("RESOURCE_EXHAUSTED: Error writing: [OS error 28: No space left on device]")
    with pytest.raises(ValueError, match="a shape"), files.writing(tmp_path):
        raise ValueError("a shape")


# GPUs -----------------------------------------------------------------------------------------------------------------


def devices(*numbers, platform="gpu"):
    return [types.SimpleNamespace(platform=platform, local_hardware_id=n) for n in numbers]


def test_two_workers_on_one_gpu_are_refused(tmp_path):
    with gpus.held(tmp_path, Watch(), devices(0), {}):
        with (
            pytest.raises(
                gradtx.TransformationError, match=rf"GPU 0 of .* worker of this sweep, process {os.getpid()}"
            ),
            gpus.held(tmp_path, Watch(), devices(1, 0), {}),
        ):
            pass
        with gpus.held(tmp_path, Watch(), devices(1), {}), gpus.held(tmp_path, Watch(), devices(0, platform="cpu"), {}):
            pass
        with pytest.raises(gradtx.TransformationError, match="XLA_PYTHON_CLIENT_MEM_FRACTION"):  # the first has it all
            gpus.held(tmp_path, Watch(), devices(0), {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.45"}).__enter__()
    with gpus.held(tmp_path, Watch(), devices(0), {}):
        pass


@pytest.mark.parametrize(
    "environment",
    [
        {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.45"},
        {"XLA_CLIENT_MEM_FRACTION": ".3"},
        {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        {"XLA_PYTHON_CLIENT_ALLOCATOR": "platform"},
    ],
)
def test_workers_that_were_told_to_share_a_gpu_do(environment, tmp_path):
    with gpus.held(tmp_path, Watch(), devices(0), environment), gpus.held(tmp_path, Watch(), devices(0), environment):
        assert [Watch().owner_of(tmp_path / name) for name in gpus.names(devices(0), environment)] == [None]


def test_gpus_are_told_apart_by_what_each_process_was_given(tmp_path):
    one, two = {"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "GPU-77, 2"}
    assert gpus.names(devices(0), one) == gpus.names(devices(1), two)
    assert gpus.names(devices(0), one) != gpus.names(devices(0), two) != gpus.names(devices(0), {})


# Workers that are killed ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")  # the libraries warn of much, and of a worker that is killed so do we
@pytest.mark.parametrize("kind", ["submitit", "ray", "dask"])
def test_with_a_worker_killed_the_bits_are_those_of_one_machine(kind, tmp_path, whole):
    options, killed = {"steps": 300, "select": HALVING}, []
    thread = threading.Thread(target=kill_one, args=(tmp_path, killed))
    thread.start()
    with two_workers(kind) as engine:
        result = run(tmp_path, engine=engine, lanes_at_once=12, save_every=0.2, **options)
    thread.join()
    assert_same_sweep(result, whole(**options))
    (lease,) = killed
    assert not (lease / "done").exists()
    assert (lease.parent / str(int(lease.name) + 1) / "done").exists()  # another has taken it up


# Compiling ------------------------------------------------------------------------------------------------------------


def test_the_second_worker_compiles_nothing_whatever_its_numbers(tmp_path, monkeypatch):
    """Two processes, one after the other, from the command line: two sweeps that differ in their numbers."""
    monkeypatch.setattr(caller, "LINGER", 0.0)
    found = []
    for n, rates in enumerate(([0.1, 0.2], [0.3, 0.01])):
        population = sweep.grid(gradtx.adam, learning_rate=rates, numbers={"l2": [0.1 * n]}, seeds=[n, 7])
        folder = tmp_path / str(n)
        with pytest.raises(gradtx.TransformationError, match="all workers have ended"):
            run(folder, engine=Threads(works=False), population=population)
        ended = subprocess.run(
            [sys.executable, "-m", "gradtx", "worker", str(folder)],
            capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")},
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("trained 1 chunks, 4 lanes, 240 steps: process ")
        assert_same_sweep(run(folder, engine="folder", population=population), run(population=population))
        found += sweep.engines.workers(folder)
    assert [one["compiled"] for one in found] == [found[0]["compiled"], 0]
    assert found[0]["compiled"] >= 3  # the beginning, training, the end
    assert found[1]["read"] == found[0]["compiled"] + found[0]["read"]
