"""What the compilers of a TPU and of a GPU make of a step, counted: neither device is needed, only its compiler.

``pip install libtpu`` brings the one for a TPU v5e; ``jax-cuda12-plugin``, ``jax-cuda12-pjrt`` (both of jax's version)
and ``nvidia-cuda-nvcc-cu12`` the one for an H100. What is counted does not depend on the machine that counts. Four
things are easily got wrong, and are seen to here:

- XLA's own "bytes accessed" counts a prefetch into on-chip memory and the read from there as two. Here a byte counts
  where the array stands in HBM, which its layout says (``S(1)`` is on chip); an asynchronous copy counts at each end.
- The TPU pads small temporaries to 16 KiB each: of those only what is as large as an array of the model means anything.
- A collective may stand in several operations, or inside a fusion: operations of one channel count once.
- A copy is a kernel too, and so is a call of a library. A loop's body counts once: there is none in these steps.
"""

import functools
import importlib.util
import os
import re
import time
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # do not look for a TPU
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")  # nor complain that there is none
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

Tree = Any

NEEDS = {"cpu": [], "tpu": ["libtpu"], "gpu": ["jax_plugins.xla_cuda12", "nvidia.cuda_nvcc"]}
INSTALL = {"tpu": "libtpu", "gpu": "jax-cuda12-plugin jax-cuda12-pjrt nvidia-cuda-nvcc-cu12"}
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 1 } device_description_str: "NVIDIA H100 80GB HBM3"
"""

BYTES = {"f64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "pred": 1, "s8": 1, "u8": 1}
MOVES_NOTHING = {
    "parameter", "get-tuple-element", "bitcast", "constant", "tuple", "after-all", "partition-id",
    "copy-done", "slice-done", "async-done",
}  # fmt: skip
COLLECTIVES = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"


class Counts(NamedTuple):
    """What was counted in a compiled step; ``bytes`` is None where the compiler does not say where arrays stand."""

    bytes: int | None
    kernels: int
    temporaries: int
    aliased: int
    collectives: int
    lower_seconds: float
    compile_seconds: float


class Operation(NamedTuple):
    """A line of a compiled program: what it is called, the type of its result, what it does, and the rest."""

    name: str
    result: str
    kind: str
    rest: str


# Compiling ------------------------------------------------------------------------------------------------------------


def missing(kind: str) -> str | None:
    """Why there is no compiler for ``tpu`` or ``gpu`` here; None where there is one."""
    for module in NEEDS[kind]:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"the {kind.upper()} compiler is not installed: pip install {INSTALL[kind]}"
    return None


@functools.cache
def devices(kind: str, shape: str = "") -> list[Any]:
    """Devices to compile for: of TPU v5e a slice (``2x2``), of H100 slices × hosts × devices (``1x1x1``)."""
    if kind == "cpu":
        return jax.devices()
    if kind == "tpu":
        return list(topologies.get_topology_desc(platform="tpu", topology_name=f"v5e:{shape or '2x2'}").devices)
    given = {"target_config": H100, "topology": shape or "1x1x1"}
    return list(topologies.get_topology_desc(platform="cuda", topology_name="", **given).devices)


def on_one(kind: str, tree: Tree) -> Tree:
    """The shapes of a tree, placed on the first device."""
    place = SingleDeviceSharding(devices(kind)[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)


def compile_for(kind: str, step: Callable[..., Any], *args: Tree, donate: tuple[int, ...] = (0, 1)) -> Any:
    """The step, compiled for the devices that its arguments are placed on, and the seconds to lower and to compile."""
    platform = {"gpu": "cuda"}.get(kind, kind)
    began = time.perf_counter()
    lowered = jax.jit(step, donate_argnums=donate).trace(*args).lower(lowering_platforms=(platform,))
    between = time.perf_counter()
    compiled = lowered.compile()
    return compiled, between - began, time.perf_counter() - between


def count(kind: str, step: Callable[..., Any], *args: Tree, donate: tuple[int, ...] = (0, 1)) -> Counts:
    """Compile a step and count; arguments 0 and 1 (parameters and state) are donated."""
    compiled, lowering, compiling = compile_for(kind, step, *args, donate=donate)
    text, memory = compiled.as_text(), compiled.memory_analysis()
    return Counts(
        hbm_bytes(text) if kind == "tpu" else None,
        kernels(text),
        memory.temp_size_in_bytes,
        memory.alias_size_in_bytes,
        collectives(text),
        lowering,
        compiling,
    )


# Reading what the compiler made ---------------------------------------------------------------------------------------


def entry(text: str) -> Iterator[Operation]:
    """The operations of the computation that a program starts with."""
    for line in text[text.index("\nENTRY") :].splitlines()[2:]:
        found = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)", line)
        if found:
            yield Operation(*found.groups())


def arrays(result: str) -> list[tuple[int, bool]]:
    """Of each array in a type its bytes, and whether it stands in HBM."""
    found = re.findall(r"\b([a-z]+\d*)\[([\d,]*)\](\{[^}]*\})?", result)
    return [
        (BYTES[kind] * prod(int(d) for d in shape.split(",") if d), re.search(r"S\([1-9]", layout) is None)
        for kind, shape, layout in found
        if kind in BYTES
    ]


def hbm_bytes(text: str) -> int:
    """Bytes that the entry computation of a TPU program reads from HBM and writes to it."""
    made: dict[str, list[tuple[int, bool]]] = {}
    total = 0
    for name, result, kind, rest in entry(text):
        made[name] = out = arrays(result)
        if kind in MOVES_NOTHING or (kind == "custom-call" and "ConcatBitcast" in rest):
            continue
        if kind == "copy-start":
            total += sum(size for size, in_hbm in out[:2] if in_hbm)
        elif kind == "slice-start":
            (_, source_in_hbm), (size, target_in_hbm) = out[:2]
            total += size * (source_in_hbm + target_in_hbm)
        else:
            read = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
            total += sum(size for operand in read for size, in_hbm in made.get(operand, []) if in_hbm)
            total += sum(size for size, in_hbm in out if in_hbm)
    return total


def kernels(text: str) -> int:
    """What the entry computation launches: fusions, copies, calls of libraries, and what is left unfused."""
    return sum(kind not in MOVES_NOTHING for _, _, kind, _ in entry(text))


def collectives(text: str) -> int:
    """How often devices talk to each other: the operations of one channel count once."""
    found = set()
    for n, line in enumerate(text.splitlines()):
        if re.search(rf"[ )]({COLLECTIVES})(-start)?\(", line):
            channel = re.search(r"channel_id=(\d+)", line)
            found.add(channel.group(1) if channel else f"line {n}")
    return len(found)
