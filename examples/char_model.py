"""A transformer writes Python: what do a matrix rule and a stack of links make of a small language model?

It reads the sources of the standard library, a character at a time. AdamW, Muon and a stack (Muon of averaged
momentum, steps that shrink no row, cautious decay, a cool-down by a power, an average of the tail) train it for as
many steps; each rate is the best of a small sweep. Everything is a link, and a stack is a chain. Beside it stands how
well a table of character frequencies does. ``python -m benchmarks.char_model`` does it at length.
"""

import argparse
import ast
import functools
import inspect
import math
import types

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx import sweep

WIDTH, HEADS, LENGTH = 48, 4, 48


def corpus(modules, each=60_000):
    """The sources of modules as numbers from 0 to 96: windows of 49 characters to train on; every tenth held out."""
    text = "".join(inspect.getsource(module)[:each] for module in modules)
    letters = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int32) - 31
    letters = np.clip(np.where(letters == ord("\n") - 31, 0, letters), 0, 96)
    windows = letters[: letters.size // (LENGTH + 1) * (LENGTH + 1)].reshape(-1, LENGTH + 1)
    held_out = np.arange(len(windows)) % 10 == 9
    return jnp.asarray(windows[~held_out]), jnp.asarray(windows[held_out])


def transformer(key, layers=2):
    """The parameters: a decoder without biases."""

    def normal(*shape):
        nonlocal key
        key, own = jax.random.split(key)
        return jax.random.normal(own, shape) / math.sqrt(shape[0])

    def block():
        scales = {"norm_1": {"scale": jnp.ones(WIDTH)}, "norm_2": {"scale": jnp.ones(WIDTH)}}
        attention = {name: {"kernel": normal(WIDTH, WIDTH)} for name in ("query", "key", "value", "out")}
        mlp = {"up": {"kernel": normal(WIDTH, 4 * WIDTH)}, "down": {"kernel": normal(4 * WIDTH, WIDTH)}}
        return {"attention": attention, "mlp": mlp} | scales

    embeds = {"embed": {"embedding": normal(97, WIDTH)}, "place": {"embedding": normal(LENGTH, WIDTH)}}
    ends = {"norm": {"scale": jnp.ones(WIDTH)}, "lm_head": {"kernel": normal(WIDTH, 97)}}
    return embeds | {f"block_{n}": block() for n in range(layers)} | ends


def loss(params, windows):
    """The mean cross entropy of the next character, in nats."""

    def norm(x, own):
        return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * own["scale"]

    def attend(x, own):
        q, k, v = (
            (x @ own[n]["kernel"]).reshape(*x.shape[:2], HEADS, WIDTH // HEADS) for n in ("query", "key", "value")
        )
        return jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape) @ own["out"]["kernel"]

    given, wanted = windows[:, :-1], windows[:, 1:]
    x = params["embed"]["embedding"][given] * 7 + params["place"]["embedding"]
    for name in sorted(n for n in params if n.startswith("block")):
        own = params[name]
        x = x + attend(norm(x, own["norm_1"]), own["attention"])
        x = x + jax.nn.gelu(norm(x, own["norm_2"]) @ own["mlp"]["up"]["kernel"]) @ own["mlp"]["down"]["kernel"]
    scores = jax.nn.log_softmax(norm(x, params["norm"]) @ params["lm_head"]["kernel"])
    return -jnp.mean(jnp.take_along_axis(scores, wanted[..., None], -1))


# Optimizers -----------------------------------------------------------------------------------------------------------


def rate(peak, steps, shape="linear"):
    """A warm-up over a tenth of the run, and a cool-down over the last four tenths."""
    up, down = steps // 10, 2 * steps // 5
    return gradtx.warmup_stable_decay_schedule(0.0, peak, up, steps - up - down, down, cooldown=shape)


def adamw(learning_rate, weight_decay=0.1, *, steps):
    """AdamW under the schedule."""
    return gradtx.adamw(rate(learning_rate, steps), b2=0.99, weight_decay=weight_decay)


def muon(learning_rate, weight_decay=0.1, *, steps):
    """Muon for matrices, AdamW at a fifth of the rate for embeddings, scales and the head."""
    falling = rate(learning_rate, steps)
    return gradtx.muon(falling, weight_decay=weight_decay, adam_learning_rate=0.2 * falling)


def stack(learning_rate, weight_decay=0.1, *, steps):
    """The same with all that helps in public runs."""
    cooled = gradtx.power_cooldown_schedule(1.0, steps, 0.8 * steps)
    falling = gradtx.warmup_constant_schedule(0.0, learning_rate, steps // 10) * cooled
    matrices = gradtx.chain(
        gradtx.scale_by_muon(beta=0.9),
        gradtx.scale_by_shape(),
        gradtx.row_floor(0.1),
        gradtx.add_cautious_decayed_weights(weight_decay),
        gradtx.scale_by_learning_rate(falling),
    )
    trained = gradtx.by_role({"matrices": gradtx.radial_brake(matrices)}, default=gradtx.adam(0.2 * falling, b2=0.99))
    return gradtx.chain(trained, gradtx.tail_ema_params(0.8 * steps, 0.95, share=0.6))


def main(steps=50):
    """Sweep two rates of each, and print the held-out loss of the best."""
    train, held_out = corpus([argparse, ast, inspect, types], 20_000)
    share = jnp.bincount(train.ravel()) / train.size
    print(f"{train.size:,} characters; a table of frequencies: {jnp.sum(jax.scipy.special.entr(share)):.2f} nats")
    for make, rates in ((adamw, (1e-2, 3e-2)), (muon, (3e-2, 1e-1)), (stack, (3e-2, 1e-1))):
        lanes = sweep.grid(functools.partial(make, steps=steps), learning_rate=rates)
        options = {"steps": steps, "batch_size": 8, "evaluate": lambda params: {"held_out": loss(params, held_out)}}
        start = functools.partial(transformer, layers=1)
        best = sweep.run(loss, start, lanes, train, metric="held_out", better="lower", **options).table()[0]
        print(f"{make.__name__:6} rate {best['learning_rate']:<6g} held-out loss {best['held_out']:.3f}")


if __name__ == "__main__":
    main()
