"""JAX in a worker: with the options that it has at the caller, and programs that are compiled once for all workers.

Compiled programs are kept in JAX's persistent cache. The numbers of a sweep are arguments of its programs, so each
structure is one entry, whatever its lanes. Who comes first compiles, the others wait for that and read: on a GPU, where
a compiler tries and measures, all workers then run the same program.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.monitoring
from jax.experimental.compilation_cache import compilation_cache

from gradtx.sweep._disk.folders import made_folder
from gradtx.sweep._engines.leases import Watch

OPTIONS = (
    "jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl", "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion", "jax_debug_nans",
)  # fmt: skip
WAIT = 0.1  # seconds between looks at whether another worker has compiled
_BEFORE: list[Mapping[str, Any]] = []  # what to put back, once for each worker in this process


def options() -> dict[str, Any]:
    """The options of JAX that change what is computed."""
    found = {name: getattr(jax.config, name) for name in OPTIONS if hasattr(jax.config, name)}
    return {name: getattr(x, "value", x) for name, x in found.items()}


@contextmanager
def as_at_the_caller(options: Mapping[str, Any], cache: Path) -> Iterator[None]:
    """Give JAX these options and, unless it has a persistent cache, this one."""
    used = dict(options) | {
        "jax_compilation_cache_dir": getattr(jax.config, "jax_compilation_cache_dir", None) or str(cache),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    now = {name: getattr(jax.config, name) for name in used}
    _BEFORE.append(_BEFORE[0] if _BEFORE else {name: getattr(x, "value", x) for name, x in now.items()})
    _use(used)
    try:
        yield
    finally:
        before = _BEFORE.pop()
        if not _BEFORE:
            _use(before)


def _use(options: Mapping[str, Any]) -> None:
    for name, x in options.items():
        jax.config.update(name, x)
    compilation_cache.reset_cache()


@contextmanager
def first(place: Path, watch: Watch) -> Iterator[bool]:
    """A block that compiles: entered by one worker alone, which gets True, and by the others when that one has left."""
    made_folder("sweep.run", place)
    lease = None
    while not (place / "done").exists():
        lease = watch.claim(place)
        if lease is not None:
            break
        time.sleep(WAIT)
    if lease is None:
        yield False
        return
    with lease.held():
        yield True
        (place / "done").touch()


# How many programs were compiled --------------------------------------------------------------------------------------

_COUNTS = {"/jax/compilation_cache/cache_misses": 0, "/jax/compilation_cache/cache_hits": 0}


def _count(event: str, **_: Any) -> None:
    if event in _COUNTS:
        _COUNTS[event] += 1


jax.monitoring.register_event_listener(_count)


def counted() -> tuple[int, int]:
    """How many programs this process has compiled so far, and how many it has read from the cache."""
    compiled, read = _COUNTS.values()
    return compiled, read
