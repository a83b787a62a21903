"""Every test runs on eight virtual devices, with strict promotion of dtypes and ranks, and warnings are errors."""

import atexit
import ctypes.util
import gc
import os
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ.setdefault("MPLBACKEND", "agg")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # workers, and programs that tests start, share what is compiled
    shared = tempfile.TemporaryDirectory(prefix="gradtx-compiled-")
    atexit.register(shared.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = shared.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import pytest
from jax._src import compiler

from tests.memory import resident

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

LIMIT = 2.0e9  # bytes: two workers and what they start fit into a machine of 8 GB


gc.freeze()  # what is imported stays: to look through it again and again takes a twentieth of the whole run
gc.set_threshold(200_000, 50, 100)


# Compilation ----------------------------------------------------------------------------------------------------------

OPTIMIZED = {  # where bits or programs are compared: compiled as users do, whatever that takes
    "test_compiled", "test_engines", "test_folders", "test_horizons", "test_identity", "test_iterators", "test_lanes",
    "test_models", "test_noise", "test_noise_of_sweeps", "test_own_step", "test_processes",
    "test_progress_on_disk", "test_search", "test_selection", "test_sweep", "test_theory", "test_tracing", "test_tune",
}  # fmt: skip
QUICK = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):
    QUICK["xla_cpu_use_fusion_emitters"] = False  # later compilers do not have the choice
everywhere = bool(os.environ.get("GRADTX_TESTS_OPTIMIZED"))
options = compiler.get_compile_options
now = {}


def with_options_of_now(*args, env_options_overrides=None, **more):
    """The options of a compilation, with those that the test at hand asks for."""
    return options(*args, env_options_overrides={**now, **(env_options_overrides or {})}, **more)


compiler.get_compile_options = with_options_of_now


def compile_with(wanted):
    """From here on, compile with these options."""
    if wanted != now:
        jax.clear_caches()  # what was compiled in another way
        now.clear()
        now.update(wanted)


@pytest.fixture(autouse=True, scope="module")
def little_compilation(request):
    """Most tests compile without the last passes, which are most of the time; none with GRADTX_TESTS_OPTIMIZED."""
    compile_with({} if everywhere or request.module.__name__.rpartition(".")[2] in OPTIMIZED else QUICK)


@pytest.fixture(autouse=True)
def compilation_of_users(request, little_compilation):
    """A test that is marked as ``optimized`` compiles as users do."""
    before = dict(now)
    if request.node.get_closest_marker("optimized"):
        compile_with({})
    yield
    compile_with(before)


# Memory ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def little_memory():
    """After a test that leaves much behind, what JAX has compiled is forgotten, and its memory given back."""
    yield
    if resident() > LIMIT:
        jax.clear_caches()
        gc.collect()
        trim = getattr(ctypes.CDLL(ctypes.util.find_library("c")), "malloc_trim", None)  # where libc is that of GNU
        if trim is not None:
            trim(0)
