"""What must hold of a case: the numbers are the interpreter's, and the contracts."""

import contextlib
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx
from tests.fuzz.build import NAMESPACE, arrays, built
from tests.fuzz.case import Case, gradients, leaves_of, parameters
from tests.fuzz.machine import Interpreter
from tests.fuzz.rounding import JITTER

RUNS = 3


class Disagreement(AssertionError):
    """gradtx and the interpreter, or gradtx and its contract."""

    def __init__(self, contract: str, text: str):
        super().__init__(f"{contract}: {text}")
        self.contract = contract


def flat(case: Case, tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a JAX tree by path, in float64."""
    leaves = zip(leaves_of(case.tree), jax.tree.leaves(tree), strict=True)
    return {path: np.asarray(x, np.float64) for path, x in leaves}


def surroundings(case: Case) -> Any:
    """JAX's settings for a case."""
    stack = contextlib.ExitStack()
    double = any(leaf.dtype == "float64" for leaf in leaves_of(case.tree).values())
    stack.enter_context(jax.enable_x64(double))
    stack.enter_context(jax.numpy_dtype_promotion("standard" if double else "strict"))
    return stack


class Followers:
    """The interpreter, and the same with roundings: they say what a number is, and how well it is determined."""

    def __init__(self, case: Case, params: dict[str, np.ndarray], runs: int):
        self.eps = max([np.finfo("float64").eps, *(unit(leaf.dtype) for leaf in leaves_of(case.tree).values())])
        self.all = [Interpreter(case.tx, params) for _ in range(1 + runs)]
        self.rng = np.random.default_rng([case.seed, 2])

    def of(self, function: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What the interpreter says, and by how much another may differ."""
        made = []
        for n, machine in enumerate(self.all):
            JITTER.unit, JITTER.rng = (8 * self.eps if n else 0.0), self.rng
            with np.errstate(all="ignore"):
                made.append(function(machine))
        JITTER.unit = 0.0
        bounds = {}
        for path, x in made[0].items():
            with np.errstate(all="ignore"):
                spread = np.max([np.abs(other[path] - x) for other in made[1:]], axis=0)
            spread = np.where(np.isnan(spread), np.inf, spread)
            bounds[path] = 4 * np.maximum(spread, 0.1 * np.max(spread, initial=0.0)) + 8 * self.eps * np.abs(x)
        return made[0], bounds


def unit(dtype: str) -> float:
    """The rounding of the arithmetic on such a leaf: that of float32 at least."""
    return float(np.finfo("float64" if dtype == "float64" else "float32").eps)


def coarse(dtype: str) -> float:
    """The rounding of what comes out."""
    return float(jnp.finfo(dtype).eps)


def compare(case: Case, what: str, found: Any, expected: Any, bounds: Any, size: Any = None) -> None:
    """Every number within its bound."""
    found = flat(case, found)
    for path, leaf in leaves_of(case.tree).items():
        x = expected[path]
        tiny = 1e-290 if leaf.dtype == "float64" else 1e-30
        bound = bounds[path] + coarse(leaf.dtype) * (np.abs(x) + (0 if size is None else np.abs(size[path]))) + tiny
        with np.errstate(all="ignore"):
            wrong = ~((np.abs(found[path] - x) <= bound) | (np.isnan(x) & np.isnan(found[path])) | (found[path] == x))
            wrong &= np.isfinite(found[path]) | (bound < np.abs(x))  # a divisor that rounding may make 0
        if wrong.any():
            found, x, bound = (each[wrong].tolist()[:3] for each in (found[path], x, bound))
            text = f"leaf {path!r}: found {found}, expected {x}, within {bound}"
            raise Disagreement(what.split(" at ")[0], f"{what}: {text}")


def rounded(case: Case, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays in the dtypes of their leaves, in float64 again."""
    return flat(case, arrays(case, found))


def determined(bounds: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    """Whether the numbers say something, and are of a size that float32 can square."""
    for path, x in expected.items():
        size = np.abs(x)
        if not np.isfinite(bounds[path]).all() or (bounds[path] > 1e-2 * np.max(size, initial=0.0) + 1e-12).any():
            return False
        if ((size > 1e15) | ((size < 1e-15) & (size > 0))).any():
            return False
    return True


def check_numbers(case: Case, runs: int = RUNS) -> int:
    """The updates, step by step, and the points, are the interpreter's; returns how many steps said something."""
    with surroundings(case), jax.disable_jit():
        tx = built(case.tx)
        start = rounded(case, parameters(case))
        params = arrays(case, start)
        state, follow = tx.init(params), Followers(case, start, runs)
        kind = jax.tree.map(lambda x: (x.shape, x.dtype), state)
        for n, _ in enumerate(case.steps):
            g = arrays(case, gradients(case, n))
            p = flat(case, params)
            updates, state = tx.update(g, state, params)
            check_kind(kind, state, n)
            flat_g = flat(case, g)
            expected, bounds = follow.of(lambda machine, g=flat_g, p=p: machine.step(g, p))
            compare(case, f"update at step {n}", updates, expected, bounds)
            if not determined(bounds, expected):
                return n
            params = gx.apply_updates(params, updates)
            p = flat(case, params)
            for which, ours in (("deployed", gx.eval_params), ("ahead", gx.gradient_params)):
                expected, bounds = follow.of(lambda machine, p=p, which=which: machine.point(which, p))
                compare(case, f"{ours.__name__} at step {n}", ours(tx, params, state), expected, bounds, p)
            check_hyperparameters(case, gx.hyperparameters(tx, state), follow.all[0].numbers(), follow.eps)
    return len(case.steps)


def check_hyperparameters(case: Case, found: dict[str, Any], expected: dict[str, float], eps: float) -> None:
    """The numbers at a state are those of the next step, by the clock of whoever reads them."""
    for name, x in expected.items():
        if name not in found:
            raise Disagreement("hyperparameters", f"no {name} among {sorted(found)}")
        if not np.isclose(float(found[name]), x, rtol=64 * eps, atol=8 * eps):
            raise Disagreement("hyperparameters", f"{name}: found {float(found[name])}, expected {x}")


def check_kind(kind: Any, state: Any, n: int) -> None:
    """The structure, shapes and dtypes of the state stay."""
    now = jax.tree.map(lambda x: (x.shape, x.dtype), state)
    if now != kind:
        raise Disagreement("kind of the state", f"after step {n}: {now}, before {kind}")


def check_value(case: Case) -> None:
    """It prints as the call that makes it again, and comes out of a pickle as it went in."""
    with surroundings(case):
        tx = built(case.tx)
        try:
            again = eval(repr(tx), dict(NAMESPACE))
        except Exception as error:
            raise Disagreement("repr", f"{tx!r} does not evaluate: {error!r}") from error
        if again != tx:
            raise Disagreement("repr", f"{tx!r} evaluates to {again!r}")
        if pickle.loads(pickle.dumps(tx)) != tx:
            raise Disagreement("pickle", f"{tx!r}")
        if hash(again) != hash(tx):
            raise Disagreement("hash", f"{tx!r}")


def check_compiled(case: Case, runs: int = RUNS) -> None:
    """Compiled in a scan it takes the same steps."""
    with surroundings(case):
        tx = built(case.tx)
        start = rounded(case, parameters(case))
        params = arrays(case, start)
        state = tx.init(params)
        all_g = [arrays(case, gradients(case, n)) for n in range(len(case.steps))]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *all_g)

        @jax.jit
        def run(tx, params, state, stacked):
            def body(carry, g):
                params, state = carry
                updates, state = tx.update(g, state, params)
                return (gx.apply_updates(params, updates), state), (updates, params)

            return jax.lax.scan(body, (params, state), stacked)

        _, (updates, at) = run(tx, params, state, stacked)
        follow = Followers(case, start, runs)
        for n in range(len(case.steps)):
            g, p = (flat(case, jax.tree.map(lambda x, n=n: x[n], tree)) for tree in (stacked, at))
            expected, bounds = follow.of(lambda machine, g=g, p=p: machine.step(g, p))
            compare(case, f"compiled update at step {n}", jax.tree.map(lambda x, n=n: x[n], updates), expected, bounds)
            if not determined(bounds, expected):
                return


def check(case: Case, compiled: bool = False) -> int:
    """All that must hold."""
    check_value(case)
    steps = surely(check_numbers, case)
    if compiled:
        surely(check_compiled, case)
    return steps


def surely(numbers: Any, case: Case) -> Any:
    """A check of numbers; where it fails, once more with many runs: the roundings of a few may lie on one side."""
    try:
        return numbers(case)
    except Disagreement:
        return numbers(case, 16 * RUNS)
