"""Trees of arrays: leaves by path, rules on paths, arithmetic, norms, casts, and states searched by name.

A path is written with dots, ``encoder.layers.0.w``. ``None`` stands for a missing leaf: every function keeps it. The
functions that Optax has in ``optax.tree`` have its names and arguments.
"""

from gradtx._tree.arithmetic import add, add_scale, clip, conj, div, mul, real, scale, sub, where
from gradtx._tree.labels import are_patterns, labels, mask
from gradtx._tree.likeness import (
    batch_shape,
    cast,
    cast_like,
    dtype,
    full_like,
    ones_like,
    random_like,
    split_key_like,
    unwrap_random_key_data,
    zeros_like,
)
from gradtx._tree.lookup import NamedTupleKey, get, get_all_with_path, map_params, set
from gradtx._tree.moments import bias_correction, update_infinity_moment, update_moment, update_moment_per_elem_norm
from gradtx._tree.paths import Tree, flatten, map, path_name, paths
from gradtx._tree.reductions import allclose, max, min, nbytes, norm, size, sum, vdot

__all__ = [
    "NamedTupleKey",
    "Tree",
    "add",
    "add_scale",
    "allclose",
    "are_patterns",
    "batch_shape",
    "bias_correction",
    "cast",
    "cast_like",
    "clip",
    "conj",
    "div",
    "dtype",
    "flatten",
    "full_like",
    "get",
    "get_all_with_path",
    "labels",
    "map",
    "map_params",
    "mask",
    "max",
    "min",
    "mul",
    "nbytes",
    "norm",
    "ones_like",
    "path_name",
    "paths",
    "random_like",
    "real",
    "scale",
    "set",
    "size",
    "split_key_like",
    "sub",
    "sum",
    "unwrap_random_key_data",
    "update_infinity_moment",
    "update_moment",
    "update_moment_per_elem_norm",
    "vdot",
    "where",
    "zeros_like",
]


def __dir__() -> list[str]:
    return __all__
