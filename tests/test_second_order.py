"""Newton's method, L-BFGS and line searches, against float64 references, Optax, and the conditions they promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx._links.lbfgs import scale_by_lbfgs
from gradtx._links.line_search import scale_by_backtracking_linesearch, scale_by_zoom_linesearch
from gradtx._links.newton import scale_by_newton, scale_by_newton_cg
from gradtx._optimizers.lbfgs import lbfgs
from gradtx._optimizers.newton import newton, newton_cg

SEARCH = scale_by_zoom_linesearch(20, initial_guess_strategy="one")
RNG = np.random.default_rng(0)
BASIS = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
CONVEX = BASIS @ np.diag([0.1, 0.5, 1.0, 3.0, 10.0]) @ BASIS.T
SADDLE = BASIS @ np.diag([-2.0, 0.5, 1.0, 3.0, 10.0]) @ BASIS.T
LINEAR = RNG.normal(size=5)
CLOUD = RNG.normal(size=(12, 5))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def beale(x):
    a, b = x
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def quadratic(x, matrix=CONVEX):
    return 0.5 * x @ jnp.asarray(matrix) @ x - jnp.asarray(LINEAR) @ x


PROBLEMS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0], [1.0, 1.0]),
    "beale": (beale, [1.0, 1.0], [3.0, 0.5]),
    "quadratic": (quadratic, [1.0, -2.0, 0.5, 3.0, 0.0], np.linalg.solve(CONVEX, LINEAR)),
}
EACH_PROBLEM = pytest.mark.parametrize("problem", PROBLEMS)


def once(tx, f, x, updates=None, state=None, **extra):
    """One update with all that a link may ask for."""
    value, grad = jax.value_and_grad(f)(x)
    given = {"value": value, "grad": grad, "value_fn": f} | extra
    return tx.update(grad if updates is None else updates, tx.init(x) if state is None else state, x, **given)


def run(tx, f, x, steps):
    """The parameters, states and losses of a compiled run, stacked over the steps; the carry of a scan all along."""

    def advance(carry, _):
        x, state = carry
        updates, state = once(tx, f, x, state=state)
        x = gx.apply_updates(x, updates)
        return (x, state), (x, state, f(x))

    return jax.lax.scan(advance, (x, tx.init(x)), length=steps)[1]


jitted_run = jax.jit(run, static_argnums=(1, 3))
step = jax.jit(once, static_argnums=1)


def close(found, expected, rtol=1e-12):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), found, expected)


# Newton ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_second_order_newton_damped_or_not_on_a_quadratic_is_the_closed_form(damping):
    x = jnp.asarray(PROBLEMS["quadratic"][1])
    gradient = CONVEX @ np.asarray(x) - LINEAR
    expected = np.linalg.solve(CONVEX + damping * np.eye(5), gradient)
    close(step(newton(1.0, damping), quadratic, x)[0], -expected)
    close(step(newton(0.5, damping), quadratic, x)[0], -0.5 * expected)
    close(step(newton_cg(1.0, damping, 1e-14), quadratic, x)[0], -expected, 1e-11)


@pytest.mark.parametrize(("tx", "error"), [(newton(), 1e-12), (newton_cg(tol=1e-13), 1e-11)])
def test_second_order_solves_a_quadratic_in_one_step(tx, error):
    f, start, solution = PROBLEMS["quadratic"]
    points, _, values = jitted_run(tx, f, jnp.asarray(start), 1)
    close(points[0], solution, error)
    close(values[0], -0.5 * LINEAR @ solution)


def rosenbrock_newton(x, steps, damping=0.0):
    """Newton's method on Rosenbrock's function, with derivatives by hand."""
    made = []
    for _ in range(steps):
        a, b = x
        gradient = np.array([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)])
        hessian = np.array([[2 - 400 * (b - 3 * a**2), -400 * a], [-400 * a, 200.0]])
        x = x - np.linalg.solve(hessian + damping * np.eye(2), gradient)
        made.append(x)
    return np.stack(made)


@pytest.mark.parametrize("damping", [0.0, 2.0])
def test_newton_on_rosenbrock_equals_derivatives_by_hand(damping):
    x, steps = np.array([-1.2, 1.0]), 6
    reference = rosenbrock_newton(x, steps, damping)
    close(jitted_run(newton(1.0, damping), rosenbrock, jnp.asarray(x), steps)[0], reference, 1e-9)
    close(jitted_run(newton_cg(1.0, damping, 1e-14), rosenbrock, jnp.asarray(x), steps)[0], reference, 1e-9)


def newton_cg_reference(matrix, b, tol, most):
    """Nocedal & Wright, Algorithm 7.1, the inner loop, for the direction along which one steps back."""
    x, r = np.zeros_like(b), b.copy()
    p = r.copy()
    for n in range(most):
        curvature = p @ matrix @ p
        if curvature <= 0:
            return (p if n == 0 else x), n + 1
        alpha = r @ r / curvature
        x, before = x + alpha * p, r @ r
        r = r - alpha * matrix @ p
        if np.linalg.norm(r) <= tol * np.linalg.norm(b):
            return x, n + 1
        p = r + r @ r / before * p
    return x, most


@functools.partial(jax.jit, static_argnames="most")
def by_newton_cg(matrix, x, damping, tol, most):
    tx = scale_by_newton_cg(damping, tol, max_iterations=most)
    return once(tx, lambda x: 0.5 * x @ matrix @ x - jnp.asarray(LINEAR) @ x, x)


@pytest.mark.parametrize("matrix", [CONVEX, SADDLE, -CONVEX], ids=["convex", "saddle", "concave"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("tol", [0.5, 1e-3, 1e-10])
@pytest.mark.parametrize("most", [1, 3, None])
def test_second_order_by_conjugate_gradients_is_algorithm_7_1(matrix, damping, tol, most):
    gradient = matrix @ CLOUD[0] - LINEAR
    direction, state = by_newton_cg(matrix, CLOUD[0], damping, tol, most)
    expected, iterations = newton_cg_reference(matrix + damping * np.eye(5), gradient, tol, most or 5)
    close(direction, expected, 1e-9)
    assert int(state["iterations"]) == iterations
    assert direction @ gradient > 0


def test_newton_cg_always_descends_where_newton_does_not():
    def one(key):
        matrix = jax.random.normal(key, (6, 6))

        def f(x):
            return 0.5 * x @ (matrix + matrix.T) @ x + jnp.sum(x**4) / 12

        x = jax.random.normal(jax.random.fold_in(key, 1), (6,))
        gradient = jax.grad(f)(x)
        return [once(tx, f, x)[0] @ gradient for tx in (scale_by_newton(), scale_by_newton_cg())]

    by_newton, by_cg = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 50))
    assert (by_cg > 0).all()
    assert (by_newton < 0).any()


def test_negative_curvature_at_once_gives_the_gradient_itself():
    x = jnp.array([1.0, 2.0])
    direction, state = step(scale_by_newton_cg(), lambda x: -jnp.sum(x**2), x)
    close(direction, [-2.0, -4.0], 0)
    assert int(state["iterations"]) == 1


@pytest.mark.parametrize("tx", [scale_by_newton(0.3), scale_by_newton_cg(0.3, 1e-14)])
def test_the_derivative_with_respect_to_damping_is_that_of_the_solution(tx):
    x, w = jnp.asarray(PROBLEMS["quadratic"][1]), jnp.asarray(np.random.default_rng(1).normal(size=5))
    found = jax.grad(lambda tx: w @ once(tx, quadratic, x)[0])(tx).damping
    damped = CONVEX + 0.3 * np.eye(5)
    close(found, -w @ np.linalg.solve(damped, np.linalg.solve(damped, CONVEX @ np.asarray(x) - LINEAR)), 1e-10)


def test_newton_from_a_poor_start_is_finite_at_zero_gradients():
    for tx in (scale_by_newton(1.0), scale_by_newton_cg()):
        updates, _ = step(tx, lambda x: jnp.sum(x**4), jnp.zeros(3))
        close(updates, np.zeros(3), 0)


# L-BFGS ---------------------------------------------------------------------------------------------------------------


def two_loops(gradient, pairs, scale):
    """Nocedal & Wright, Algorithm 7.4."""
    q, alphas = gradient.copy(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q = q - alphas[-1] * y
    r = scale * q
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r = r + s * (alpha - y @ r / (s @ y))
    return r


def dense(gradient, pairs, scale):
    """The same by matrices: the BFGS formula, eq. 6.17."""
    inverse = scale * np.eye(len(gradient))
    for s, y in pairs:
        left = np.eye(len(s)) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return inverse @ gradient


def lbfgs_reference(points, gradients, size, scaled, product):
    """The directions at points that are given, pairs without positive curvature left out."""
    pairs, made = [], []
    for n, gradient in enumerate(gradients):
        if n:
            s, y = points[n] - points[n - 1], gradient - gradients[n - 1]
            pairs = [*pairs, (s, y)][-size:] if s @ y > 0 else pairs
        scale = 1.0
        if scaled:
            s, y = pairs[-1] if pairs else (None, None)
            scale = s @ y / (y @ y) if pairs else min(1.0, 1 / np.linalg.norm(gradient))
        made.append(product(gradient, pairs, scale))
    return np.stack(made)


def directions(tx, points, gradients):
    def advance(state, row):
        updates, state = tx.update(row[1], state, row[0])
        return state, updates

    return jax.lax.scan(advance, tx.init(points[0]), (points, gradients))


jitted_directions = jax.jit(directions)


@pytest.mark.parametrize("product", [two_loops, dense])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("matrix", [CONVEX, SADDLE], ids=["convex", "saddle"])
def test_lbfgs_equals_the_reference(matrix, size, scaled, product):
    gradients = CLOUD @ matrix - LINEAR
    expected = lbfgs_reference(CLOUD, gradients, size, scaled, product)
    tx = scale_by_lbfgs(memory_size=size, scale_init_precond=scaled)
    state, found = jitted_directions(tx, jnp.asarray(CLOUD), jnp.asarray(gradients))
    close(found, expected, 1e-9)
    kept = sum((a - b) @ matrix @ (a - b) > 0 for a, b in zip(CLOUD[1:], CLOUD[:-1], strict=True))
    assert int(state["pairs"]) == kept
    assert kept == 11 or matrix is SADDLE
    assert all((gradients * found).sum(1) > 0)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("size", [1, 3, 20])
def test_lbfgs_equals_optax_where_curvature_is_positive(size, scaled):
    points, gradients = jnp.asarray(CLOUD), jnp.asarray(CLOUD @ CONVEX - LINEAR)
    state, found = jitted_directions(scale_by_lbfgs(memory_size=size, scale_init_precond=scaled), points, gradients)
    with jax.numpy_dtype_promotion("standard"):
        theirs, expected = directions(optax.scale_by_lbfgs(size, scaled), points, gradients)
    close(found, expected, 1e-11)
    for name in ("params", "updates", "diff_params_memory", "diff_updates_memory", "weights_memory"):
        if size < 12:  # the pair of the first update, which is none, has a place in Optax
            close(np.sort(state[name], axis=0), np.sort(getattr(theirs, name), axis=0), 1e-11)


def test_after_negative_curvature_lbfgs_descends_and_optax_does_not():
    points, gradients = jnp.asarray([[0.0], [1.0]]), jnp.asarray([[3.0], [1.0]])  # f'' = −2
    close(jitted_directions(scale_by_lbfgs(), points, gradients)[1], [[1.0], [1.0]])
    with jax.numpy_dtype_promotion("standard"):
        assert directions(optax.scale_by_lbfgs(), points, gradients)[1][1, 0] < 0


def test_lbfgs_stays_finite_where_nothing_moves():
    for gradient in (np.zeros(3), np.array([1.0, 0.0, 0.0])):
        state, found = jitted_directions(scale_by_lbfgs(), jnp.zeros((4, 3)), jnp.asarray(np.tile(gradient, (4, 1))))
        close(found, np.tile(gradient, (4, 1)), 0)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def test_the_memory_follows_the_sharding_of_the_parameters():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
    spec = jax.sharding.PartitionSpec("devices")
    x = jax.device_put(jnp.ones(16), jax.sharding.NamedSharding(mesh, spec))
    tx = scale_by_lbfgs(memory_size=4)
    for state in (tx.init(x), jax.jit(tx.init)(x)):
        kept = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "devices"))
        assert state["diff_params_memory"].sharding.is_equivalent_to(kept, 2)


# Line searches --------------------------------------------------------------------------------------------------------

DIRECTIONS = {
    "gradient descent": (gx.scale(-1.0), 15),
    "lbfgs": (gx.chain(scale_by_lbfgs(), gx.scale(-1.0)), 45),
    "newton_cg": (newton_cg(), 12),
}


def wolfe(tx, f, x, steps):
    """What the conditions say of each step, in NumPy: rates, decrease missed and slope missed, and the states."""
    points, states, _ = jitted_run(tx, f, x, steps)
    points = np.concatenate([np.asarray(x)[None], points])
    values, gradients = (np.asarray(g) for g in jax.jit(jax.vmap(jax.value_and_grad(f)))(points))
    moves = np.diff(points, axis=0)
    before, after = (moves * gradients[:-1]).sum(1), (moves * gradients[1:]).sum(1)
    return points, values, gradients, before, after, states["search"]


@EACH_PROBLEM
@pytest.mark.parametrize(
    ("direction", "strategy"), [("gradient descent", "keep"), ("lbfgs", "one"), ("newton_cg", "one")]
)
def test_zoom_satisfies_both_wolfe_conditions(problem, direction, strategy):
    f, start, _ = PROBLEMS[problem]
    link, steps = DIRECTIONS[direction]
    search = scale_by_zoom_linesearch(30, initial_guess_strategy=strategy)
    _, values, gradients, before, after, state = wolfe(gx.chain(link, search=search), f, jnp.asarray(start), steps)
    moving = np.linalg.norm(gradients[:-1], axis=1) > 1e-7
    decrease, slope = values[1:] - values[:-1] - 1e-4 * before, np.abs(after) - 0.9 * np.abs(before)
    assert moving.sum() > 1 or direction == "newton_cg"
    assert (decrease[moving] <= 1e-14 * np.abs(values[:-1][moving])).all()
    assert (slope[moving] <= 1e-9 * np.abs(before[moving])).all()
    assert (state["decrease_error"][moving] == 0).all()
    assert (state["curvature_error"][moving] == 0).all()
    assert (state["learning_rate"][moving] > 0).all()
    close(state["value"], values[1:])
    close(state["grad"], gradients[1:], 1e-10)


@EACH_PROBLEM
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_backtracking_decreases_sufficiently(problem, direction):
    f, start, _ = PROBLEMS[problem]
    link, steps = DIRECTIONS[direction]
    search = scale_by_backtracking_linesearch(40, decrease_factor=0.5, increase_factor=2.0, store_grad=True)
    _, values, gradients, before, _, state = wolfe(gx.chain(link, search=search), f, jnp.asarray(start), steps)
    moving = np.linalg.norm(gradients[:-1], axis=1) > 1e-7
    assert ((values[1:] - values[:-1] - 1e-4 * before)[moving] <= 1e-14 * np.abs(values[:-1][moving])).all()
    assert (state["decrease_error"] == 0).all()
    close(state["value"], values[1:])
    close(state["grad"], gradients[1:], 1e-10)


def backtracking_reference(f, gradient, x, steps, c, shrink, grow, top, most):
    """Armijo's rule with a memory of the last rate."""
    rate, rates = 1.0, []
    for _ in range(steps):
        g, rate = gradient(x), min(grow * rate, top)
        for _ in range(most):
            if f(x - rate * g) <= f(x) - c * rate * g @ g:
                break
            rate *= shrink
        x = x - rate * g
        rates.append(rate)
    return x, rates


def test_backtracking_equals_the_reference_and_optax():
    f, start, _ = PROBLEMS["quadratic"]
    numbers = (0.3, 0.7, 1.4, 2.0)
    x, rates = backtracking_reference(
        lambda x: 0.5 * x @ CONVEX @ x - LINEAR @ x, lambda x: CONVEX @ x - LINEAR, np.array(start), 20, *numbers, 30
    )
    tx = gx.chain(gx.scale(-1.0), search=scale_by_backtracking_linesearch(30, *numbers))
    points, states, _ = jitted_run(tx, f, jnp.asarray(start), 20)
    close(points[-1], x)
    close(states["search"]["learning_rate"], rates)
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.chain(optax.scale(-1.0), optax.scale_by_backtracking_linesearch(30, *numbers))
        close(points, jitted_run_of_optax(theirs, f, jnp.asarray(start), 20)[0])


@functools.partial(jax.jit, static_argnums=(0, 1, 3))
def jitted_run_of_optax(tx, f, x, steps):
    return run(tx, f, x, steps)


@EACH_PROBLEM
def test_zoom_takes_the_steps_of_optax(problem):
    """To 1e-9 of float64: both interpolate alike, in another order of arithmetic, which a search passes on."""
    f, start, _ = PROBLEMS[problem]
    x = jnp.asarray(start)
    points, states, _ = jitted_run(gx.chain(gx.scale(-1.0), search=SEARCH), f, x, 15)
    with jax.numpy_dtype_promotion("standard"):
        search = optax.scale_by_zoom_linesearch(20, initial_guess_strategy="one")
        expected, theirs, _ = jitted_run_of_optax(optax.chain(optax.scale(-1.0), search), f, x, 15)
    close(points, expected, 1e-9)
    tried = states["search"]["num_linesearch_steps"], theirs[1].info.num_linesearch_steps
    np.testing.assert_array_equal(*tried)


def test_a_direction_that_does_not_descend_is_not_taken():
    x = jnp.array([1.0, 2.0])
    for search in (SEARCH, scale_by_backtracking_linesearch(10)):
        updates, state = step(search, lambda x: jnp.sum(x**2), x, updates=x)
        close(updates, np.zeros(2), 0)
        assert float(state["learning_rate"]) == 0
        assert int(state["num_linesearch_steps"]) == 0
        assert float(state["value"]) == 5
        updates, state = step(search, lambda x: jnp.sum(x**2), x, updates=-x, state=state)  # and then it goes on
        close(x + updates, np.zeros(2), 0)


def test_a_search_keeps_out_of_where_the_objective_is_no_number():
    def f(x):  # on x > 0, minimal at 1
        return x - jnp.log(x)

    for search in (SEARCH, scale_by_backtracking_linesearch(30)):
        found = gx.minimize(f, jnp.array(0.05), gx.chain(gx.scale(-1.0), search), steps=60)
        assert jnp.isfinite(found.loss).all()
        assert abs(found.params - 1) < 1e-6


def test_a_search_ends_at_the_largest_rate_and_after_its_steps():
    x = jnp.array(10.0)
    search = scale_by_zoom_linesearch(30, 4.0)  # a line falls for ever: 1, 2, 4
    updates, state = step(search, lambda x: -x, x, updates=jnp.array(1.0))
    assert (float(updates), int(state["num_linesearch_steps"])) == (4.0, 3)
    assert float(state["curvature_error"]) == pytest.approx(0.1)
    _, state = step(scale_by_zoom_linesearch(5), lambda x: -x, x, updates=jnp.array(1.0))
    assert (float(state["learning_rate"]), int(state["num_linesearch_steps"])) == (16.0, 5)


def test_the_rate_is_a_constant_to_differentiation():
    f, x = PROBLEMS["rosenbrock"][0], jnp.array([-1.2, 1.0])

    def final(tx, scale):
        state = tx.init(x)
        updates, _ = step(tx, lambda p: scale * f(p), x, state=state)
        return jnp.sum(x + updates)

    derivatives = jax.grad(final, (0, 1))(lbfgs(1.0), jnp.array(1.0))
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(derivatives))


def test_optax_reads_value_and_gradient_from_the_state():
    f, x = rosenbrock, jnp.array([-1.2, 1.0])
    updates, state = step(lbfgs(), f, x)
    x = x + updates
    with jax.numpy_dtype_promotion("standard"):
        found = optax.value_and_grad_from_state(f)(x, state=state)
    close(found, jax.value_and_grad(f)(x))


# Recipes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "tx", "most"),
    [
        ("rosenbrock", lbfgs(), 40),
        ("rosenbrock", newton(), 7),
        ("quadratic", newton(), 2),  # the second sees that the gradient is 0
        ("rosenbrock", newton_cg(), 7),
        ("rosenbrock", gx.chain(newton_cg(), scale_by_zoom_linesearch(20, initial_guess_strategy="one")), 25),
        ("rosenbrock", lbfgs(linesearch=scale_by_backtracking_linesearch(30, increase_factor=np.inf)), 60),
        ("beale", lbfgs(), 18),
        ("beale", gx.chain(newton_cg(), scale_by_backtracking_linesearch(20)), 15),
        ("quadratic", lbfgs(), 20),
    ],
)
def test_recipes_minimize(problem, tx, most):
    f, start, solution = PROBLEMS[problem]
    found = gx.minimize(f, jnp.asarray(start), tx, steps=100, gradient_tol=1e-8)
    assert found.reason == "the gradient was no longer than gradient_tol"
    assert int(found.steps) <= most
    close(found.params, solution, 1e-7)


@EACH_PROBLEM
def test_lbfgs_is_the_lbfgs_of_optax(problem):
    """To 1e-9 in float64, as for the search alone, while the gradient is longer than what rounding leaves of it."""
    f, start, _ = PROBLEMS[problem]
    x, steps = jnp.asarray(start), 15 if problem == "beale" else 30
    points, states, _ = jitted_run(lbfgs(), f, x, steps)
    with jax.numpy_dtype_promotion("standard"):
        expected, theirs, _ = jitted_run_of_optax(optax.lbfgs(), f, x, steps)
    moving = np.linalg.norm(jax.vmap(jax.grad(f))(points), axis=1) > 1e-8
    close(points[moving], expected[moving], 1e-9)
    tried = (states["linesearch"]["num_linesearch_steps"], theirs[2].info.num_linesearch_steps)
    np.testing.assert_array_equal(*(n[moving] for n in tried))


def test_lbfgs_without_a_search_needs_the_parameters_alone():
    tx, x = lbfgs(0.5, gx.identity()), jnp.array([3.0])
    updates, state = tx.update(4 * x, tx.init(x), x)
    close(updates, [-0.5])
    assert set(state) == {"count", "scale_by_lbfgs"}


def test_the_numbers_of_the_search_are_numbers_of_the_recipe():
    tx = lbfgs(0.5).replace({"linesearch.curv_rtol": 0.1})
    assert gx.hyperparameters(tx)["lbfgs.linesearch.curv_rtol"] == 0.1
    assert tx != lbfgs(0.5)


# Everywhere -----------------------------------------------------------------------------------------------------------

LINKS = {
    "newton": newton(0.5, 40.0),
    "newton_cg": newton_cg(0.5, 40.0),
    "lbfgs": lbfgs(0.9),
    "backtracking": gx.chain(gx.scale(-1.0), scale_by_backtracking_linesearch(30, store_grad=True)),
    "zoom": gx.chain(gx.scale(-1.0), scale_by_zoom_linesearch(20)),
}
EACH_LINK = pytest.mark.parametrize("link", LINKS)
STARTS = np.array([[-1.2, 1.0], [0.5, -0.5], [2.0, 1.5]])


@EACH_LINK
def test_jit_is_eager(link):
    tx, x = LINKS[link], jnp.asarray(STARTS[0])
    state = tx.init(x)
    for _ in range(3):
        updates, new = once(tx, rosenbrock, x, state=state)
        close(jax.jit(once, static_argnums=1)(tx, rosenbrock, x, state=state), (updates, new), 1e-10)
        x, state = x + updates, new


@EACH_LINK
def test_vmap_over_starts_is_a_loop(link):
    lanes = jax.jit(jax.vmap(lambda x: run(LINKS[link], rosenbrock, x, 6)))(jnp.asarray(STARTS))
    for n, x in enumerate(jnp.asarray(STARTS)):
        close(jax.tree.map(lambda leaf, n=n: leaf[n], lanes), jitted_run(LINKS[link], rosenbrock, x, 6), 1e-9)


@pytest.mark.parametrize(
    "factory", [newton, newton_cg, lambda rate, extra: lbfgs(rate, scale_by_zoom_linesearch(9, 2.0 + extra))]
)
def test_vmap_over_numbers_is_a_loop(factory):
    rates, others = jnp.array([0.5, 1.0, 0.7]), jnp.array([100.0, 30.0, 50.0])
    lanes = jax.jit(jax.vmap(lambda rate, other: run(factory(rate, other), rosenbrock, jnp.asarray(STARTS[0]), 6)))(
        rates, others
    )
    for n in range(3):
        alone = jitted_run(factory(rates[n], others[n]), rosenbrock, jnp.asarray(STARTS[0]), 6)
        close(jax.tree.map(lambda leaf, n=n: leaf[n], lanes), alone, 1e-9)


def test_minimize_runs_under_vmap():
    found = jax.jit(jax.vmap(lambda x: gx.minimize(rosenbrock, x, lbfgs(), steps=60, gradient_tol=1e-8)))(
        jnp.asarray(STARTS)
    )
    close(found.params, np.ones((3, 2)), 1e-8)


@EACH_LINK
def test_the_state_keeps_its_kind(link):
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        x = jnp.asarray(STARTS[0], dtype)
        state = jax.eval_shape(LINKS[link].init, x)
        _, new = jax.eval_shape(lambda x, s, link=link: once(LINKS[link], rosenbrock, x, state=s), x, state)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), new) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), state
        )


@EACH_LINK
def test_float32_works(link):
    def f(x):
        return jnp.sum((x - 1) ** 2) + 0.1 * jnp.sum(x**4)

    with jax.enable_x64(False):
        found = gx.minimize(f, jnp.array([-1.0, 2.0]), LINKS[link], steps=400)
        assert found.params.dtype == jnp.float32
        assert np.linalg.norm(jax.grad(f)(found.params)) < 2e-3


def nested(tree):
    (a,), b = tree["a"], tree["b"]["c"]
    return (1 - a) ** 2 + 100 * jnp.sum((b - a**2) ** 2)


@EACH_LINK
def test_trees_with_missing_leaves_are_vectors(link):
    start = {"a": (jnp.array(-1.2),), "b": {"c": jnp.array([[1.0]]), "none": None}}
    points, *_ = jitted_run(LINKS[link], nested, start, 6)
    expected, *_ = jitted_run(LINKS[link], rosenbrock, jnp.asarray(STARTS[0]), 6)
    close(jnp.stack([points["a"][0], points["b"]["c"][:, 0, 0]], 1), expected, 1e-10)
    updates, _ = LINKS[link].update({}, LINKS[link].init({}), {}, value=0.0, grad={}, value_fn=nested)
    assert updates == {}


@pytest.mark.parametrize("link", ["newton", "newton_cg", "lbfgs"])
def test_leaves_of_two_dtypes_are_computed_in_the_wider(link):
    def f(tree):
        return jnp.sum(tree["a"].astype(float) ** 4) + jnp.sum((tree["b"] - 1) ** 2)

    x = {"a": jnp.array([2.0], jnp.float32), "b": jnp.array([3.0], jnp.float64)}
    updates, _ = jax.jit(lambda x: once(LINKS[link], f, x))(x)
    assert {name: leaf.dtype for name, leaf in updates.items()} == {name: leaf.dtype for name, leaf in x.items()}
    wide = jax.tree.map(lambda leaf: leaf.astype(float), x)
    close(updates, step(LINKS[link], f, wide)[0], 1e-6)


def with_aux(tx):
    """The same, for a ``value_fn`` that returns (value, aux)."""
    changed = tx
    for path in (
        "has_aux",
        "linesearch.has_aux",
        "scale_by_zoom_linesearch.has_aux",
        "scale_by_backtracking_linesearch.has_aux",
    ):
        try:
            changed = tx.replace({path: True})
        except gx.TransformationError:
            continue
    return changed


@EACH_LINK
def test_value_fn_may_return_auxiliary_outputs_and_take_data(link):
    tx, x = with_aux(LINKS[link]), jnp.asarray(STARTS[0])
    assert tx != LINKS[link]
    given = dict(zip(("value", "grad"), jax.value_and_grad(rosenbrock)(x), strict=True))

    def f(x, scale, other=3.0):
        return scale * rosenbrock(x), {"prediction": x, "other": other}

    expected = step(LINKS[link], rosenbrock, x)
    close(tx.update(given["grad"], tx.init(x), x, **given, value_fn=f, scale=1.0, unknown=None), expected)
    with pytest.raises(gx.TransformationError, match=r"value_fn: expected \(value, aux\), found .*; has_aux=False"):
        tx.update(given["grad"], tx.init(x), x, **given, value_fn=rosenbrock)
    with pytest.raises(gx.TransformationError, match="value_fn: expected one real number, found tuple; has_aux=True"):
        LINKS[link].update(given["grad"], tx.init(x), x, **given, value_fn=f, scale=1.0)


def with_prediction(x):
    return rosenbrock(x), {"at": x, "slope": x[1] - x[0] ** 2}


@EACH_LINK
def test_auxiliary_outputs_by_hand_under_jit_vmap_and_scan(link):
    """One ``value_and_grad(..., has_aux=True)`` a step; the same function is the ``value_fn``."""
    tx = with_aux(LINKS[link])

    def walk(x, steps=6):
        def advance(carry, _):
            x, state = carry
            (value, aux), grad = jax.value_and_grad(with_prediction, has_aux=True)(x)
            updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=with_prediction)
            return (gx.apply_updates(x, updates), state), (value, aux)

        return jax.lax.scan(advance, (x, tx.init(x)), length=steps)

    lanes = jax.jit(jax.vmap(walk))(jnp.asarray(STARTS))
    for n, x in enumerate(jnp.asarray(STARTS)):
        (last, _), (values, aux) = jax.jit(walk)(x)
        points, _, losses = jitted_run(LINKS[link], rosenbrock, x, 6)  # without auxiliary outputs
        close(aux["at"], jnp.concatenate([x[None], points[:-1]]), 1e-10)
        close(aux["slope"], aux["at"][:, 1] - aux["at"][:, 0] ** 2)
        close((last, values[1:]), (points[-1], losses[:-1]), 1e-10)
        close(jax.tree.map(lambda leaf, n=n: leaf[n], lanes), jax.jit(walk)(x), 1e-9)


def test_complex_parameters_are_pairs_of_real_ones_to_searches_and_lbfgs():
    def f(z):
        return rosenbrock(jnp.array([jnp.real(z[0]), jnp.imag(z[0])]))

    z, x = jnp.array([-1.2 + 1.0j]), jnp.array([-1.2, 1.0])
    tx = lbfgs()
    state, real = tx.init(z), tx.init(x)
    for _ in range(12):
        updates, state = step(tx, f, z, updates=jnp.conj(jax.grad(f)(z)), state=state)
        z = z + updates
        updates, real = step(tx, rosenbrock, x, state=real)
        x = x + updates
    close(jnp.stack([z[0].real, z[0].imag]), x, 1e-10)
    for tx in (newton(), newton_cg()):
        with pytest.raises(gx.TransformationError, match="leaf w: expected a real parameter, found complex128"):
            once(tx, lambda t: f(t["w"]), {"w": z})


NEEDED = {
    "newton": ("the parameters", "value_fn"),
    "newton_cg": ("the parameters", "value_fn"),
    "lbfgs": ("the parameters", "value", "grad", "value_fn"),
    "backtracking": ("the parameters", "value", "grad", "value_fn"),
    "zoom": ("the parameters", "value", "grad", "value_fn"),
}
NAMES = {
    "newton": "newton: scale_by_newton: ",
    "newton_cg": "newton_cg: scale_by_newton_cg: ",
    "lbfgs": "lbfgs: linesearch: scale_by_zoom_linesearch: ",
    "backtracking": "scale_by_backtracking_linesearch: ",
    "zoom": "scale_by_zoom_linesearch: ",
}


@pytest.mark.parametrize(("link", "gone"), [(link, gone) for link, names in NEEDED.items() for gone in names])
def test_what_is_missing_is_named(link, gone):
    tx, x = LINKS[link], jnp.asarray(STARTS[0])
    value, grad = jax.value_and_grad(rosenbrock)(x)
    given = {"value": value, "grad": grad, "value_fn": rosenbrock}
    given = {name: thing for name, thing in given.items() if name != gone}
    params = None if gone == "the parameters" else x
    what = gone if gone == "the parameters" else repr(gone)
    name = "lbfgs: scale_by_lbfgs: " if link == "lbfgs" and params is None else NAMES[link]
    with pytest.raises(gx.TransformationError, match=f"^{name}it needs {what}: call update"):
        tx.update(grad, tx.init(x), params, **given)


def test_structure_that_cannot_be_is_an_error():
    x = jnp.asarray(STARTS[0])
    for tx, name in (
        (scale_by_lbfgs(memory_size=0), "memory_size"),
        (scale_by_zoom_linesearch(0), "max_linesearch_steps"),
        (scale_by_backtracking_linesearch(2.5), "max_backtracking_steps"),
        (scale_by_newton_cg(max_iterations=0), "max_iterations"),
    ):
        with pytest.raises(gx.TransformationError, match=f"{name}: expected a whole number, 1 or more, found"):
            once(tx, rosenbrock, x)
    with pytest.raises(gx.TransformationError, match="expected 'keep' or 'one', found 'two'"):
        scale_by_zoom_linesearch(10, initial_guess_strategy="two")
    with pytest.raises(gx.TransformationError, match="value_fn: expected one real number, found float"):
        once(newton(), rosenbrock, x, value_fn=lambda x: x)
    with pytest.raises(gx.TransformationError, match=r"scale_by_zoom_linesearch: grad: leaf : expected shape \(2,\)"):
        once(SEARCH, rosenbrock, x, grad=jnp.ones(3))
