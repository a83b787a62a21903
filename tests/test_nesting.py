"""Wrappers in wrappers, in any order: the numbers are those of a model in float64, and the contracts hold."""

import copy
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx.testing import CONTRACTS, check


def fall(step):
    """A rate that no wrapper may read at another step than its own."""
    return 0.1 / (1.0 + jnp.asarray(step, float))


# The model: every wrapper as a machine with memory --------------------------------------------------------------------


def each(function, *dicts):
    return {name: function(*(d[name] for d in dicts)) for name in dicts[0]}


class Adam:
    """Kingma & Ba 2015, under a rate that falls."""

    def __init__(self, params):
        self.count, self.m, self.v = 0, each(np.zeros_like, params), each(np.zeros_like, params)

    def rate(self):
        return 0.1 / (1 + self.count)

    def step(self, g, params):
        rate, self.count = self.rate(), self.count + 1
        self.m = each(lambda m, g: 0.9 * m + 0.1 * g, self.m, g)
        self.v = each(lambda v, g: 0.999 * v + 0.001 * g * g, self.v, g)
        t = self.count
        return each(lambda m, v: -rate * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), self.m, self.v)

    def eval(self, params):
        return params

    def gradient(self, params):
        return params


class Nesterov(Adam):
    """Sutskever et al. 2013, under a rate that falls."""

    def step(self, g, params):
        rate, self.count = self.rate(), self.count + 1
        self.m = each(lambda m, g: 0.9 * m - rate * g, self.m, g)
        return self.m

    def gradient(self, params):
        return each(lambda p, m: p + 0.9 * m, params, self.m)


class Wrapper:
    def __init__(self, make, params):
        self.inner = make(params)
        self.start(params)

    def start(self, params):
        pass

    def eval(self, params):
        return self.inner.eval(params)

    def gradient(self, params):
        return self.inner.gradient(params)


class Accumulate(Wrapper):
    def start(self, params):
        self.kept = []

    def step(self, g, params):
        self.kept.append(g)
        if len(self.kept) < 2:
            return each(np.zeros_like, g)
        mean, self.kept = each(lambda a, b: (a + b) / 2, *self.kept), []
        return self.inner.step(mean, params)


class Skip(Wrapper):
    def step(self, g, params):
        finite = all(np.isfinite(x).all() for x in g.values())
        return self.inner.step(g, params) if finite else each(np.zeros_like, g)


class Rollback(Wrapper):
    def start(self, params):
        self.good = params, copy.deepcopy(self.inner)

    def step(self, g, params):
        if all(np.isfinite(x).all() for x in g.values()):
            self.good = params, copy.deepcopy(self.inner)
            return self.inner.step(g, params)
        self.inner = copy.deepcopy(self.good[1])
        return each(lambda a, b: a - b, self.good[0], params)


class Lookahead(Wrapper):
    def start(self, params):
        self.n, self.slow = 0, params

    def step(self, g, params):
        u, self.n = self.inner.step(g, params), self.n + 1
        if self.n % 2:
            return u
        self.slow = each(lambda s, p, u: s + 0.5 * (p + u - s), self.slow, params, u)
        return each(lambda s, p: s - p, self.slow, params)

    def eval(self, params):
        return self.slow


class ScheduleFree(Wrapper):
    def start(self, params):
        self.n, self.x, self.z = 0, params, params

    def step(self, g, params):
        u, self.n = self.inner.step(g, params), self.n + 1
        self.z = each(np.add, self.z, u)
        self.x = each(lambda x, z: x + (z - x) / self.n, self.x, self.z)
        return each(lambda x, z, p: 0.9 * x + 0.1 * z - p, self.x, self.z, params)

    def eval(self, params):
        return self.x


class Cautious(Wrapper):
    def step(self, g, params):
        def masked(u, g):
            agree = (u * g < 0).astype(float)
            return u * agree / max(agree.mean(), 1e-3)

        return each(masked, self.inner.step(g, params), g)


class Average(Wrapper):
    def start(self, params):
        self.average = params

    def step(self, g, params):
        u = self.inner.step(g, params)
        self.average = each(lambda a, p, u: 0.5 * a + 0.5 * (p + u), self.average, params, u)
        return u

    def eval(self, params):
        return self.average


class Masked(Wrapper):
    def __init__(self, make, params):
        super().__init__(lambda params: make({"w": params["w"]}), params)

    def step(self, g, params):
        return g | self.inner.step({"w": g["w"]}, {"w": params["w"]})

    def eval(self, params):
        return params | self.inner.eval({"w": params["w"]})

    def gradient(self, params):
        return params | self.inner.gradient({"w": params["w"]})


WRAPPERS = {
    "accumulate": (lambda tx: gx.accumulate(tx, 2), Accumulate),
    "skip": (gx.guard_nonfinite, Skip),
    "rollback": (lambda tx: gx.guard_nonfinite(tx, policy="rollback"), Rollback),
    "lookahead": (lambda tx: gx.lookahead(tx, 2), Lookahead),
    "schedule_free": (lambda tx: gx.schedule_free(tx, 0.1), ScheduleFree),
    "cautious": (gx.cautious, Cautious),
    "ema_params": (lambda tx: gx.chain(tx, gx.ema_params(0.5)), Average),
    "masked": (lambda tx: gx.masked(tx, "w"), Masked),
}
ORDERS = list(itertools.permutations(WRAPPERS, 3))


def nested(order, tx, model):
    """The wrappers, the first one outermost, around a transformation and around its model."""
    for name in reversed(order):
        ours, theirs = WRAPPERS[name]
        tx, model = ours(tx), (lambda params, make=model, theirs=theirs: theirs(make, params))
    return tx, model


# Numbers --------------------------------------------------------------------------------------------------------------


def assert_follows_its_model(order, tx, model):
    """Both through seven steps, of which the third is bad if something guards against it."""
    tx, model = nested(order, tx, model)
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=4), "b": rng.normal(size=3)}
    machine = model(params)
    at, state = jax.tree.map(jnp.asarray, params), tx.init(params)
    for n in range(7):
        g = each(lambda p: rng.normal(size=p.shape), params)
        if n == 2 and {"skip", "rollback"} & set(order):
            g["w"][1] = np.nan
        if n in (3, 6):
            assert_close(gx.gradient_params(tx, at, state), machine.gradient(params), f"gradient_params {n}")
            assert_close(gx.eval_params(tx, at, state), machine.eval(params), f"eval_params {n}")
            numbers = gx.hyperparameters(tx, state)
            name = max((name for name in numbers if name.endswith("learning_rate")), key=len)
            np.testing.assert_allclose(float(numbers[name]), innermost(machine).rate(), rtol=1e-12, err_msg=f"rate {n}")
        updates, state = tx.update(g, state, at)
        at = gx.apply_updates(at, updates)
        params = each(np.add, params, machine.step(g, params))
        assert_close(at, params, f"step {n}")


def innermost(machine):
    return innermost(machine.inner) if hasattr(machine, "inner") else machine


def assert_close(found, expected, message):
    for name, x in expected.items():
        np.testing.assert_allclose(np.asarray(found[name]), x, rtol=0, atol=1e-9, err_msg=f"{message}: {name}")


@pytest.mark.parametrize("outermost", WRAPPERS)
def test_any_three_wrappers_in_any_order_are_the_model_in_float64(outermost):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.disable_jit():
        for order in ORDERS[::2]:  # every two wrappers next to each other, and half of what may be around them
            if order[0] == outermost:
                try:
                    assert_follows_its_model(order, gx.adam(fall), Adam)
                except Exception as error:
                    raise AssertionError(" around ".join(order)) from error


@pytest.mark.parametrize("order", ORDERS[::23], ids=" around ".join)
def test_the_gradient_is_taken_where_the_innermost_link_wants_it(order):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.disable_jit():
        assert_follows_its_model(order, gx.nesterov(fall, 0.9), Nesterov)


# Contracts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", ["scan_carry_keeps_its_kind", "state_of_a_leaf_depends_on_that_leaf_alone"])
def test_any_three_wrappers_in_any_order_keep_the_kind_of_their_state(contract):
    for order in ORDERS[::14]:
        CONTRACTS[contract](nested(order, gx.adam(fall), Adam)[0])


@pytest.mark.parametrize(
    "order", [("rollback", "schedule_free", "accumulate"), ("masked", "cautious", "lookahead")], ids=" around ".join
)
def test_three_wrappers_keep_every_contract(order):
    check(nested(order, gx.sgd(fall), Adam)[0], tolerance=1e-6)


def test_a_rollback_takes_noise_back_too():
    tx = gx.guard_nonfinite(gx.accumulate(gx.chain(gx.add_noise(0.1, 0.5), gx.sgd(fall)), 1), policy="rollback")
    params = jnp.zeros(3)
    state = tx.init(params)
    first, state = tx.update(jnp.ones(3), state, params)
    back, state = tx.update(jnp.full(3, jnp.nan), state, params + first)
    again, _ = tx.update(jnp.ones(3), state, params + first + back)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(back, -first)
