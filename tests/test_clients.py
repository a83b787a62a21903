"""Programs in the shape of public projects: with Optax, with `gradtx.optax`, and with gradtx where its calls allow.

In float64 all agree to 1e-12, in what is trained and in what a program reads from the state. In float32 ours is within
2e-5 of the run in float64, or nearer to it than Optax is.
"""

import functools
from inspect import signature

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
import gradtx.interop
import gradtx.optax
from tests.clients import agents, inference, models, modules

PROGRAMS = {
    name: f
    for place in (models, agents, inference, modules)
    for name, f in vars(place).items()
    if getattr(f, "__module__", "") == place.__name__ and list(signature(f).parameters) == ["optax"]
}
ROUNDED = {
    "big_vision_bfloat16": 2e-3,  # what is kept in bfloat16 is rounded at another place
    "easylm_adamw": 1e-7,  # in float64 too, Optax takes the mean of gradients in float32,
    "maxtext_skipped": 1e-7,
    "palm_adafactor": 1e-7,  # and the decay of Adafactor's second moment
}
SCHEDULES = [name for name in dir(optax) if name.endswith(("_schedule", "_schedules", "exponential_decay"))]
SCHEDULES.remove("scale_by_schedule")


class Native:
    """gradtx itself: pairs of functions are those of `gradtx.optax`, types of states and losses Optax's own."""

    seen = staticmethod(gradtx.interop.to_optax_state)

    def __getattr__(self, name):
        if name.startswith("GradientTransformation"):
            return getattr(gradtx.optax, name)
        return next(getattr(place, name) for place in (gradtx, optax) if hasattr(place, name))


class Exact:
    """Optax, whose schedules get the step as a float: of an integer some make a float32, in float64 too."""

    def __getattr__(self, name):
        found = getattr(optax, name)
        return (
            functools.wraps(found)(lambda *args, **kwargs: _exact(found(*args, **kwargs)))
            if name in SCHEDULES
            else found
        )


def _exact(schedule):
    return lambda step: schedule(jnp.asarray(step, float))


EXACT, NATIVE = Exact(), Native()


@functools.cache
def run(name, module, double):
    """What a program returns, as a list of arrays."""
    with jax.enable_x64(double), jax.numpy_dtype_promotion("standard"):
        return [np.asarray(x) for x in jax.tree.leaves(PROGRAMS[name](module))]


def off(a, b):
    """How far two runs are from each other, of the largest number of each array or of 1."""
    kind = lambda x: np.complex128 if np.iscomplexobj(x) else np.float64  # noqa: E731
    pairs = [(x.astype(kind(x)), y.astype(kind(y))) for x, y in zip(a, b, strict=True)]
    assert [x.shape for x, _ in pairs] == [y.shape for _, y in pairs]
    return max(np.abs(x - y).max(initial=0) / np.abs(y).max(initial=1) for x, y in pairs)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_the_same_in_float64(name):
    theirs = run(name, EXACT, True)
    assert all(np.isfinite(x).all() for x in theirs)
    assert off(run(name, gradtx.optax, True), theirs) <= ROUNDED.get(name, 1e-12)


@pytest.mark.parametrize("name", ["dreamer", "ferminet", "levanter", "big_vision_bfloat16"])
def test_a_program_is_as_exact_in_float32(name):
    exact = run(name, EXACT, True)
    ours = off(run(name, gradtx.optax, False), exact)
    assert ours <= max(2e-5, ROUNDED.get(name, 0)) or ours <= off(run(name, optax, False), exact)


ITSELF = [
    "easylm_adamw",
    "palm_adafactor",
    "big_vision",
    "maxtext_spikes",
    "maxtext_skipped",
    "octo",
    "levanter",
    "muon_labels",
    "lora",
    "dreamer",
    "cleanrl",
    "gpjax",
    "equinox",
    "own_containers",
]


@pytest.mark.parametrize("name", ITSELF)
def test_a_program_runs_with_gradtx_itself(name):
    assert off(run(name, NATIVE, True), run(name, EXACT, True)) <= ROUNDED.get(name, 1e-12)
