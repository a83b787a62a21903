"""A sweep's folder gives back its own results and no others: whatever function differs, it is another sweep."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradtx import TransformationError, adamw, chain, scale, sgd, sweep, transformation
from gradtx._value.fingerprint import CannotTell, fingerprint

START = {"w": jnp.ones(3), "b": jnp.ones((2, 2))}
DATA = np.arange(12.0, dtype=np.float32).reshape(4, 3)


def loss(params, batch):
    return jnp.mean((batch @ params["w"]) ** 2) + jnp.sum(params["b"] ** 2)


def called_back(rate):
    like = jax.ShapeDtypeStruct((), jnp.float32)
    return lambda step: jax.pure_callback(lambda _: np.float32(rate), like, step, vmap_method="sequential")


def own(rate):
    @transformation
    def mine(m):
        return scale(m * rate)

    return mine


# what makes the lanes, and the loss, of a number
SWEEPS = {
    "schedule": lambda r: (lambda m: sgd(lambda s: r, m), loss),
    "late in a schedule": lambda r: (lambda m: sgd(lambda s: jnp.where(s > 5, r, 0.1), m), loss),
    "table of a schedule": lambda r: (lambda m: sgd(lambda s: jnp.array([0.1, r])[jnp.minimum(s, 1)], m), loss),
    "callback of a schedule": lambda r: (lambda m: sgd(called_back(r), m), loss),
    "mask": lambda r: (lambda m: adamw(0.1 * m, mask=lambda p: {"w": r > 0.1, "b": True}), loss),
    "loss": lambda r: (lambda m: sgd(0.1, m), lambda p, b: r * loss(p, b)),
    "link of Optax": lambda r: (lambda m: chain(optax.clip(r), sgd(0.1, m)), loss),
    "schedule of Optax": lambda r: (lambda m: chain(optax.scale_by_schedule(lambda s: r), sgd(0.1, m)), loss),
    "factory": lambda r: (own(r), loss),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_folder_of_another_function_is_another_sweep(name, tmp_path):
    def run(rate):
        make, loss = SWEEPS[name](rate)
        return sweep.run(loss, START, sweep.grid(make, m=[0.1, 0.5]), DATA, steps=2, batch_size=2, folder=tmp_path)

    first = run(0.01)
    with pytest.raises(TransformationError, match=r"another sweep: (none of its .*: update is|the loss computes)"):
        run(0.2)
    np.testing.assert_array_equal(run(0.01).loss, first.loss)  # made anew, and the same


class Unknown:
    def __call__(self, _):
        return np.float32(1)


def test_what_cannot_be_told_apart_is_said(tmp_path):
    like = jax.ShapeDtypeStruct((), jnp.float32)
    rate = lambda step: jax.pure_callback(Unknown(), like, step, vmap_method="sequential")  # noqa: E731
    population = sweep.grid(sgd, learning_rate=rate, momentum=[0.1, 0.5])
    sweep.run(loss, START, population, DATA, steps=2, folder=tmp_path)
    with pytest.raises(TransformationError, match=r"update is .*it calls Unknown, which may be another"):
        sweep.run(loss, START, population, DATA, steps=2, folder=tmp_path)


def in_another_process(seed):
    text = "import tests.test_identity as t; print(t.fingerprint(t.many))"
    env = {**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"}
    return subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, check=True).stdout


LIMIT, TABLE, NAMES = 3.0, np.arange(3.0), frozenset({"a", "b", "c"})


def many(x, table=TABLE, *, names=NAMES):
    return x in {"d", "e", "f"} and [own, jnp.sin, table, names, np.float32, (lambda y: y + LIMIT)(x), len]


def test_a_fingerprint_holds_in_any_process():
    assert in_another_process("1") == in_another_process("2") == f"{fingerprint(many)}\n"
    assert fingerprint(lambda x: x * 2.0) != fingerprint(lambda x: x * 3.0)
    with pytest.raises(CannotTell, match="Unknown"):
        fingerprint(Unknown())
