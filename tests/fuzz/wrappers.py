"""Wrappers as machines around a machine. Who sets a pace of its own has a clock of its own."""

import copy
from typing import Any

import numpy as np

from tests.fuzz.case import C
from tests.fuzz.links import norm
from tests.fuzz.machine import Machine, Tree, each, machine, zeros
from tests.fuzz.rounding import JITTER, jittered
from tests.fuzz.side_by_side import Fork, Graft, Groups, Masked


def whole_norm(tree: Tree) -> Any:
    return np.sqrt(sum(np.sum(x * x) for x in tree.values()))


def all_finite(tree: Tree) -> bool:
    return all(np.isfinite(x).all() for x in tree.values())


def minus(point: Any, x: Any) -> Any:
    """The step to a point, which is off by a rounding of the point."""
    return JITTER.of(point) - x


class Around(Machine):
    """A wrapper; what is inside gets the updates as both signals. ``paced`` says that it counts its own steps."""

    paced = False

    def __init__(self, call: C, params: Tree):
        super().__init__(call, params)
        self.inner = machine(call.links[0][1], params)
        self.frozen, self.conditions, self.count = self.inner.frozen, self.inner.conditions, 0
        self.start(params)

    def start(self, params: Tree) -> None:
        pass

    def go(self, u: Tree, p: Tree, now: int) -> Tree:
        """One step of what is inside."""
        u = self.inner.step(u, u, p, self.count if self.paced else now)
        self.count += 1
        return u

    def step(self, u, g, p, now):
        made = jittered(self.around(u, p, now, **self.numbers(now)))
        for name in self.keeps:
            setattr(self, name, jittered(getattr(self, name)))
        return made

    keeps: tuple[str, ...] = ()

    def around(self, u: Tree, p: Tree, now: int, **numbers: Any) -> Tree:
        return self.go(u, p, now)

    def ahead(self, p, now):
        return self.inner.ahead(p, self.count if self.paced else now)

    def deployed(self, p, now):
        return self.inner.deployed(p, self.count if self.paced else now)

    def named(self, prefix, now):
        yield from super().named(prefix, now)
        inside = "base_optimizer" if self.call.name in ("schedule_free", "mechanize") else "inner"
        yield from self.inner.named(f"{prefix}.{inside}", self.count if self.paced else now)


class Transparent(Around):
    """What changes nothing, and hands on both signals."""

    def step(self, u, g, p, now):
        return self.inner.step(u, g, p, now)


class OwnClock(Around):
    paced = True


class Accumulate(Around):
    """Ott et al. 2018: the mean of some gradients, then one step."""

    paced, keeps = True, ("mean",)

    def start(self, params):
        self.n, self.mean = 0, zeros(params)

    def numbers(self, now):
        return super().numbers(self.count)  # ``every`` is a function of the steps inside

    def around(self, u, p, now, every, use_grad_mean=True):
        self.n += 1
        due = max(int(np.ceil(every)), 1)
        self.mean = each(lambda a, x: a + ((x - a) / self.n if use_grad_mean else x), self.mean, u)
        if self.n < due:
            return zeros(u)
        mean, self.n, self.mean = self.mean, 0, zeros(u)
        return self.go(mean, p, now)


class Guard(Around):
    """No step where a gradient is not finite; with a rollback, back to where the last good one was taken."""

    paced = True

    def start(self, params):
        self.good = params, copy.deepcopy(self.inner), 0

    def around(self, u, p, now, policy="skip"):
        if all_finite(u):
            self.good = p, copy.deepcopy(self.inner), self.count
            return self.go(u, p, now)
        if policy == "skip":
            return zeros(u)
        self.inner, self.count = copy.deepcopy(self.good[1]), self.good[2]
        return each(lambda good, x: good - x, self.good[0], p)


class ApplyIfFinite(Around):
    paced = True

    def start(self, params):
        self.bad = 0

    def around(self, u, p, now, max_consecutive_errors):
        self.bad = 0 if all_finite(u) else self.bad + 1
        return self.go(u, p, now) if self.bad == 0 or self.bad > max_consecutive_errors else zeros(u)


class Lookahead(Around):
    """Zhang et al. 2019, Algorithm 1."""

    keeps = ("slow",)

    def start(self, params):
        self.slow = params

    def around(self, u, p, now, sync_period, slow_step_size=0.5):
        u = self.go(u, p, now)
        if (now + 1) % max(int(np.ceil(sync_period)), 1):
            return u
        self.slow = each(lambda slow, x, d: slow + slow_step_size * (x + d - slow), self.slow, p, u)
        return each(minus, self.slow, p)

    def deployed(self, p, now):
        return self.slow


class ScheduleFree(Around):
    """Defazio et al. 2024, Algorithm 1."""

    keeps = ("x", "z")

    def start(self, params):
        self.x, self.z, self.sum, self.largest = params, params, 0.0, 0.0

    def around(self, u, p, now, learning_rate, b1=0.9, weight_lr_power=2.0, r=0.0):
        self.largest = max(self.largest, learning_rate)
        weight = (now + 1) ** r * self.largest**weight_lr_power
        self.sum += weight
        c = weight / self.sum if self.sum else 0.0
        self.z = each(np.add, self.z, self.go(u, p, now))
        self.x = each(lambda x, z: (1 - c) * x + c * z, self.x, self.z)
        return each(lambda x, z, y: minus(b1 * x + (1 - b1) * z, y), self.x, self.z, p)

    def deployed(self, p, now):
        return self.x


class Mechanize(Around):
    """Cutkosky, Defazio & Mehta 2023, Algorithm 1."""

    keeps = ("r", "m", "v", "s")

    def start(self, params):
        n = self.call.numbers.get("num_betas", 6)
        self.first = params
        self.r, self.m, self.v = np.zeros(n), np.zeros(n), np.zeros(n)
        self.s = np.full(n, float(self.call.numbers.get("s_init", 1e-6)))

    def around(self, u, p, now, weight_decay=0.01, eps=1e-8, s_init=1e-6, num_betas=6):
        base, total = self.go(u, p, now), self.s.sum()
        way = each(lambda start, x: JITTER.of(start - x) / (total + eps), self.first, p)
        share = weight_decay * total * whole_norm(u) / (whole_norm(p) + eps)
        h = sum(np.sum((u[path] + share * p[path]) * way[path]) for path in u)
        for i in range(num_betas):
            beta = 1 - 10.0 ** -(i + 1)
            self.r[i] = beta * self.r[i] + self.s[i] * min(max(h, -self.m[i]), self.m[i])
            self.m[i] = max(beta * self.m[i], abs(h) + eps)
            self.v[i] = beta**2 * self.v[i] + h * h
            self.s[i] = (s_init * self.m[i] / num_betas + max(self.r[i], 0)) / (np.sqrt(self.v[i]) + eps)
        total = self.s.sum()
        return each(lambda start, x, d, b: minus(JITTER.of(start - total * (d - b)), x), self.first, p, way, base)


class MasterWeights(Around):
    """Micikevicius et al. 2018: the parameters follow a copy."""

    keeps = ("master",)

    def start(self, params):
        self.master = params

    def around(self, u, p, now):
        self.master = each(np.add, self.master, self.go(u, self.master, now))
        return each(minus, self.master, p)

    def deployed(self, p, now):
        return self.master


class Conditionally(Around):
    """A step where a function of the step outside says so; elsewhere the update as it is, or none."""

    paced = True

    def around(self, u, p, now, should_transform_fn):
        if TESTS[should_transform_fn](now):
            return self.go(u, p, now)
        return u if self.call.name == "conditionally_transform" else zeros(u)


def odd(step: Any) -> Any:
    return step % 2 == 1


def late(step: Any) -> Any:
    return step >= 2


TESTS = {"odd": odd, "late": late}


class Cautious(Around):
    """Liang et al. 2024, Algorithm 2."""

    def around(self, u, p, now):
        def kept(d, g):
            agree = (d * g < 0).astype(float)
            return d * agree / max(agree.mean(), 1e-3) if d.size else d

        return each(kept, self.go(u, p, now), u)


class EmaNesterov(Around):
    """A step from a point ahead, along an average of the steps."""

    keeps = ("e",)

    def start(self, params):
        self.e = zeros(params)

    def around(self, u, p, now, lookahead=0.3, decay=0.99):
        made = each(lambda e, d: lookahead * e + d, self.e, self.go(u, self.point(p, lookahead), now))
        self.e = each(lambda e, d: decay * e + (1 - decay) * d, self.e, made)
        return made

    def point(self, p, lookahead):
        return each(lambda x, e: x + lookahead * e, p, self.e)

    def ahead(self, p, now):
        return self.point(self.inner.ahead(p, now), self.numbers(now).get("lookahead", 0.3))


class Restart(Around):
    """The state anew before every k-th update, and the clock with it."""

    paced = True

    def around(self, u, p, now, every):
        u = self.go(u, p, now)
        if (now + 2) % max(int(np.ceil(every)), 1) == 0:
            self.inner, self.count = machine(self.call.links[0][1], each(np.add, p, u)), 0
        return u


class Kahan(Around):
    """Kahan 1965: what a sum gains by rounding, which is much where it is large, is taken from the next."""

    keeps = ("lost",)

    def start(self, params):
        self.lost = each(np.zeros_like, params)

    def around(self, u, p, now):
        u, lost = self.go(u, p, now), self.lost
        self.lost = each(lambda x, d: minus(x + d, x) - d, p, u)
        return each(lambda x, d, c: minus(x + d, x) - c, p, u, lost)


class RadialBrake(Around):
    def around(self, u, p, now, outward=0.5, inward=1.0):
        def braked(x, d):
            w = x + d
            before, after = norm(x), norm(w)
            to = before + (outward if after > before else inward) * (after - before)
            return minus(w * (to / after) if after > 0 else w, x) + (JITTER.of(d) - d)

        return each(braked, p, self.go(u, p, now))


class Flatten(Around):
    """All leaves as one vector; both signals are flattened."""

    def __init__(self, call, params):
        Machine.__init__(self, call, params)
        self.inner, self.count = machine(call.links[0][1], flat(params)), 0
        self.conditions = self.inner.conditions

    def step(self, u, g, p, now):
        vector = flat(u)
        return unflat(self.inner.step(vector, vector if u is g else flat(g), flat(p), now), u)

    def ahead(self, p, now):
        return unflat(self.inner.ahead(flat(p), now), p)

    def deployed(self, p, now):
        return unflat(self.inner.deployed(flat(p), now), p)


def flat(tree: Tree) -> Tree:
    return {"": np.concatenate([x.ravel() for x in tree.values()])} if tree else {}


def unflat(vector: Tree, tree: Tree) -> Tree:
    if not tree:
        return {}
    ends = np.cumsum([x.size for x in tree.values()])[:-1]
    parts = np.split(vector[""], ends)
    return {path: part.reshape(x.shape) for (path, x), part in zip(tree.items(), parts, strict=True)}


WRAPPERS = {
    "accumulate": Accumulate, "guard_nonfinite": Guard, "apply_if_finite": ApplyIfFinite, "lookahead": Lookahead,
    "schedule_free": ScheduleFree, "mechanize": Mechanize, "master_weights": MasterWeights, "cautious": Cautious,
    "conditionally_transform": Conditionally, "conditionally_mask": Conditionally, "ema_nesterov": EmaNesterov,
    "restart": Restart, "kahan": Kahan, "radial_brake": RadialBrake, "flatten": Flatten, "own_clock": OwnClock,
    "measured": Transparent, "quantized": Around, "with_state_dtype": Around, "partition": Groups, "masked": Masked,
    "fork": Fork, "graft": Graft,
}  # fmt: skip
