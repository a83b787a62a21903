"""What the compilers of a TPU v5e and an H100 make of a step, Optax beside it: ``python -m benchmarks.accelerator``.

Counts: they do not depend on the machine that counts (see `benchmarks.ahead_of_time`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import gradtx
from benchmarks.ahead_of_time import Counts, count, devices, missing, on_one
from benchmarks.models import (
    LIBRARIES,
    OPTIMIZERS,
    Tree,
    equal,
    gpt2,
    packing_step_of,
    size,
    step_of,
    training_step_of,
    transformer,
    transformer_loss,
)

TREES = {
    "one leaf of 4096²": equal(1, 4096, 4096),
    "GPT-2, 148 leaves, 124 M": gpt2(),
    "20 leaves of 256²": equal(20, 256, 256),
}
WAYS = [PartitionSpec("x"), PartitionSpec(None, "x"), PartitionSpec()]
"""How leaves of one shape are split, in turn."""


def counted(kind: str, library: Any, tx: Any, params: Tree) -> Counts:
    """One update of a tree on one device."""
    state = jax.eval_shape(tx.init, params)
    return count(kind, step_of(library, tx), on_one(kind, params), on_one(kind, state), on_one(kind, params))


def counted_packed(kind: str, tx: Any, params: Tree, *, gradients_are_a_tree: bool = False) -> Counts:
    """One update of packed parameters."""
    packed = jax.eval_shape(gradtx.pack, params)
    state = jax.eval_shape(tx.init, packed)
    step = packing_step_of(tx) if gradients_are_a_tree else step_of(gradtx, tx)
    gradients = params if gradients_are_a_tree else packed
    return count(kind, step, on_one(kind, packed), on_one(kind, state), on_one(kind, gradients))


def counted_training(kind: str, params: Tree) -> dict[str, Counts]:
    """A whole step of a transformer with Adam: the gradient alone, both libraries, and ours packed."""
    batch = on_one(kind, jax.ShapeDtypeStruct((16, 129), jnp.int32))
    packed = jax.eval_shape(gradtx.pack, params)

    def of_packed(packed: gradtx.Packed, batch: Any) -> Any:
        return transformer_loss(packed.unpack(), batch)

    found = {"the gradient alone": count(kind, jax.grad(transformer_loss), on_one(kind, params), batch, donate=())}
    runs = [(name, library, params, transformer_loss) for name, library in LIBRARIES.items()]
    for name, library, given, loss in [*runs, ("gradtx, packed", gradtx, packed, of_packed)]:
        tx = library.adam(1e-3)
        state = on_one(kind, jax.eval_shape(tx.init, given))
        found[name] = count(kind, training_step_of(library, tx, loss), on_one(kind, given), state, batch)
    return found


def split(mesh: Mesh, params: Tree, *, alike: bool) -> Tree:
    """A flat tree split over a mesh: all leaves along their first axis, or in several ways in turn."""
    return {
        name: jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=NamedSharding(mesh, WAYS[0] if alike else WAYS[n % len(WAYS)])
        )
        for n, (name, x) in enumerate(params.items())
    }


def state_beside(tx: Any, params: Tree) -> Tree:
    """The state of a transformation, split as the parameters are."""
    whole = NamedSharding(next(iter(params.values())).sharding.mesh, PartitionSpec())

    def placed(path: Any, x: Any) -> Any:
        own = [params[key.key].sharding for key in path if getattr(key, "key", None) in params]
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=own[0] if own else whole)

    return jax.tree_util.tree_map_with_path(placed, jax.eval_shape(tx.init, params))


def collectives(kind: str, mesh: Mesh, library: Any, tx: Any, *, alike: bool) -> int:
    """How often eight devices talk to each other in one update of twelve equal leaves."""
    params = split(mesh, equal(12, 1024, 1024), alike=alike)
    return count(kind, step_of(library, tx), params, state_beside(tx, params), params).collectives


# The section ----------------------------------------------------------------------------------------------------------


def both(measure: Callable[[Any, Any], Any], optimizer: str) -> list[Any]:
    """A figure of gradtx and of Optax."""
    return [measure(library, OPTIMIZERS[optimizer](library)) for library in LIBRARIES.values()]


def updates(kind: str) -> Iterator[tuple[str, str, Tree, list[Counts]]]:
    """Every optimizer on every tree: their names, the tree, and the counts of both libraries."""
    for optimizer in OPTIMIZERS:
        for name, params in TREES.items():
            found = both(lambda library, tx, params=params: counted(kind, library, tx, params), optimizer)
            yield optimizer, name, params, found


def tpu() -> Iterator[str]:
    """Bytes in HBM, temporaries, and what is overwritten in place: parameters and two moments are 12 bytes."""
    yield "### TPU v5e, one donated update: bytes a parameter in HBM, temporaries, what is overwritten (counts)\n"
    yield "| | | HBM: gradtx | Optax | temporaries: gradtx | Optax | overwritten: gradtx | Optax |"
    yield "|---|---|---|---|---|---|---|---|"
    for optimizer, name, params, found in updates("tpu"):
        moved = [f"{one.bytes / size(params):.2f}" for one in found]
        kept = [f"{one.temporaries:,}" for one in found]
        aliased = [f"{one.aliased / size(params):.2f}" for one in found]
        yield f"| {optimizer} | {name} | {' | '.join([*moved, *kept, *aliased])} |"
    yield ""
    yield "| packed | | bytes a parameter | with gradients as a tree |"
    yield "|---|---|---|---|"
    for optimizer in OPTIMIZERS:
        tx = OPTIMIZERS[optimizer](gradtx)
        found = [counted_packed("tpu", tx, gpt2(), gradients_are_a_tree=as_tree) for as_tree in (False, True)]
        moved = [f"{one.bytes / size(gpt2()):.2f}" for one in found]
        yield f"| {optimizer} | GPT-2 | {' | '.join(moved)} |"
    for layers, width in ((4, 256), (8, 64)):
        found = counted_training("tpu", transformer(layers, width))
        words = [f"{name} {one.bytes / 1e6:.1f}" for name, one in found.items()]
        yield f"\nA whole step of a transformer, {layers} layers, {width} wide, Adam; MB in HBM: {', '.join(words)}."


def gpu() -> Iterator[str]:
    """Kernels."""
    yield "\n### H100, one update: kernels (counts)\n"
    yield "| | | gradtx | Optax | gradtx, packed | with gradients as a tree |"
    yield "|---|---|---|---|---|---|"
    for optimizer, name, params, found in updates("gpu"):
        tx = OPTIMIZERS[optimizer](gradtx)
        packed = [counted_packed("gpu", tx, params, gradients_are_a_tree=as_tree) for as_tree in (False, True)]
        yield f"| {optimizer} | {name} | {' | '.join(str(one.kernels) for one in [*found, *packed])} |"
    for layers, width in ((4, 256), (8, 64)):
        found = counted_training("gpu", transformer(layers, width))
        words = [f"{name} {one.kernels}" for name, one in found.items()]
        yield f"\nA whole step of a transformer, {layers} layers, {width} wide, Adam; kernels: {', '.join(words)}."


def eight(kind: str) -> Iterator[str]:
    """Collectives."""
    mesh = Mesh(np.array(devices(kind, "2x4" if kind == "tpu" else "1x8x1")), ("x",))
    for optimizer in OPTIMIZERS:
        for alike in (True, False):
            found = both(
                lambda library, tx, alike=alike: collectives(kind, mesh, library, tx, alike=alike),
                optimizer,
            )
            how = "all alike" if alike else "in three ways"
            yield f"| {kind.upper()} | {optimizer} | {how} | {found[0]} | {found[1]} |"


def section() -> list[str]:
    """The lines of the report."""
    lines = ["## What the compilers for a TPU v5e and an H100 make of it: counts, the same on every machine", ""]
    kinds = {"tpu": tpu, "gpu": gpu}
    for kind, part in kinds.items():
        lines += list(part()) if missing(kind) is None else [f"\nLeft out: {missing(kind)}."]
    lines += ["", "### 8 devices, 12 equal leaves, split: collectives (counts)", ""]
    lines += ["| | | split | gradtx | Optax |", "|---|---|---|---|---|"]
    return lines + [line for kind in kinds if missing(kind) is None for line in eight(kind)]


if __name__ == "__main__":
    print("\n".join(section()))
