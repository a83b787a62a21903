"""What is trained in the benchmarks: trees of shapes, and a small transformer; and one step of training it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import optax

import gradtx

Tree = Any
LIBRARIES: dict[str, ModuleType] = {"gradtx": gradtx, "Optax": optax}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda library: library.adam(1e-3),
    "clip + AdamW": lambda library: library.chain(library.clip_by_global_norm(1.0), library.adamw(1e-3)),
}


# Trees of shapes ------------------------------------------------------------------------------------------------------


def shapes(tree: Tree) -> Tree:
    """A tree of tuples as one of float32 arrays without numbers."""
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s, jnp.float32), tree, is_leaf=lambda x: isinstance(x, tuple))


def equal(leaves: int, *shape: int) -> Tree:
    """Leaves of one shape."""
    return shapes({f"leaf_{n}": shape for n in range(leaves)})


def gpt2(layers: int = 12, width: int = 768, vocabulary: int = 50257) -> Tree:
    """The parameters of GPT-2 small: 148 leaves, 124 million numbers."""
    norm = {"w": (width,), "b": (width,)}

    def dense(a: int, b: int) -> Tree:
        return {"w": (a, b), "b": (b,)}

    block = {
        "ln1": norm, "attn": dense(width, 3 * width), "proj": dense(width, width),
        "ln2": norm, "fc": dense(width, 4 * width), "fc2": dense(4 * width, width),
    }  # fmt: skip
    blocks = {f"h{n}": block for n in range(layers)}
    return shapes({"wte": (vocabulary, width), "wpe": (1024, width), "lnf": norm, **blocks})


def size(tree: Tree) -> int:
    """How many numbers the leaves hold."""
    return gradtx.tree.size(tree)


def zeros(tree: Tree) -> Tree:
    """Arrays of the shapes."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), tree)


def random(tree: Tree, seed: int = 0) -> Tree:
    """Arrays of the shapes, of normal numbers."""
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return treedef.unflatten([jax.random.normal(key, x.shape, x.dtype) for key, x in zip(keys, leaves, strict=True)])


# A step ---------------------------------------------------------------------------------------------------------------


def step_of(library: ModuleType, tx: Any) -> Callable[..., Any]:
    """``step(params, state, gradients) -> (params, state)``."""

    def step(params: Tree, state: Tree, gradients: Tree) -> tuple[Tree, Tree]:
        updates, state = tx.update(gradients, state, params)
        return library.apply_updates(params, updates), state

    return step


def packing_step_of(tx: Any) -> Callable[..., Any]:
    """The same of packed parameters and a tree of gradients."""

    def step(packed: gradtx.Packed, state: Tree, gradients: Tree) -> tuple[gradtx.Packed, Tree]:
        updates, state = tx.update(packed.like(gradients), state, packed)
        return gradtx.apply_updates(packed, updates), state

    return step


def training_step_of(library: ModuleType, tx: Any, loss: Callable[..., Any]) -> Callable[..., Any]:
    """``step(params, state, batch) -> (params, state)``: the gradient of a loss, and the update."""

    def step(params: Tree, state: Tree, batch: Any) -> tuple[Tree, Tree]:
        updates, state = tx.update(jax.grad(loss)(params, batch), state, params)
        return library.apply_updates(params, updates), state

    return step


# A small transformer --------------------------------------------------------------------------------------------------


def transformer(layers: int = 4, width: int = 256, vocabulary: int = 512, length: int = 128) -> Tree:
    """The parameters of a decoder."""
    tree = gpt2(layers, width, vocabulary)
    return tree | {"wpe": jax.ShapeDtypeStruct((length, width), jnp.float32)}


def transformer_loss(params: Tree, tokens: jax.Array, heads: int = 4) -> jax.Array:
    """The cross entropy of the next token; tokens are sequences × length."""

    def norm(x, p):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * p["w"] + p["b"]

    def dense(x, p):
        return x @ p["w"] + p["b"]

    def block(x, p):
        q, k, v = jnp.split(dense(norm(x, p["ln1"]), p["attn"]), 3, -1)
        q, k, v = (part.reshape(*part.shape[:2], heads, -1) for part in (q, k, v))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / jnp.sqrt(q.shape[-1]).astype(q.dtype)
        causal = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        attention = jax.nn.softmax(jnp.where(causal, scores, -1e9))
        x = x + dense(jnp.einsum("bhqk,bkhd->bqhd", attention, v).reshape(x.shape), p["proj"])
        return x + dense(jax.nn.gelu(dense(norm(x, p["ln2"]), p["fc"])), p["fc2"])

    given, wanted = tokens[:, :-1], tokens[:, 1:]
    x = params["wte"][given] + params["wpe"][: given.shape[1]]
    for name in sorted(name for name in params if name.startswith("h")):
        x = block(x, params[name])
    scores = jax.nn.log_softmax(norm(x, params["lnf"]) @ params["wte"].T)
    return -jnp.mean(jnp.take_along_axis(scores, wanted[..., None], -1))
