"""What theory and the lectures say must come out, in float64; the numbers they print are in tests/test_prove.py."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler

import gradtx
from gradtx._prove.lectures import hills, two_lines
from gradtx._prove.runs import path_of, updates_of
from gradtx._prove.scikit_learn import ALPHA, EPOCHS, PUBLISHED, curve, scaled, weights_and_batches
from gradtx._prove.theory import reddi


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def by_hand(rule, gradients):
    """The same for a rule in NumPy: ``rule(t, g, memory) -> (update, memory)``, t = 1 at the first."""
    memory, updates = np.zeros_like(gradients[0]), []
    for t, g in enumerate(gradients, start=1):
        u, memory = rule(t, g, memory)
        updates.append(u)
    return np.array(updates)


def same(ours, theirs, rtol=1e-12):
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-15)


GRADIENTS = np.random.default_rng(0).normal(size=(40, 3))
BOWL = np.diag([0.1, 0.5, 1.0]) + 0.05  # f = ½ θᵀAθ
START = np.array([3.0, -2.0, 1.0])


# Gradient descent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 16, 1])
def test_batch_mini_batch_stochastic(size):
    rng = np.random.default_rng(1)  # whole numbers, and powers of two in number: no rounding, so equal is equal
    x, y = jnp.asarray(rng.integers(-8, 9, (64, 3)), float), jnp.asarray(rng.integers(-8, 9, 64), float)
    theta, tx = jnp.array([1.0, -2.0, 0.5]), gradtx.sgd(0.25)

    def update(rows):
        gradient = jax.grad(lambda theta: jnp.mean((x[rows] @ theta - y[rows]) ** 2))(theta)
        return tx.update(gradient, tx.init(theta))[0]

    batches = rng.permutation(64).reshape(-1, size)
    average = jnp.mean(jax.vmap(update)(batches), axis=0)
    np.testing.assert_array_equal(average, update(np.arange(64)))
    assert np.any(np.asarray(update(batches[0])) != np.asarray(average)) == (size < 64)


# Momentum -------------------------------------------------------------------------------------------------------------


def form_1(rate, decay):
    return gradtx.chain(gradtx.scale_by_learning_rate(rate), gradtx.trace(decay))


def form_2(rate, decay):
    return gradtx.chain(gradtx.scale_by_ewma(decay), gradtx.scale_by_learning_rate(rate))


def form_3(rate, decay):
    return gradtx.chain(gradtx.trace(decay), gradtx.scale_by_learning_rate(rate))


FALLING = gradtx.inverse_time_decay(0.1, 1, 1.0)  # 0.1, 0.05, 0.0333...


def root_of_time(step):
    return jnp.sqrt(jnp.asarray(step + 1, float))


def test_momentum_form_1_speeds_up_to_its_terminal_speed():
    rate, decay = 0.2, 0.5
    for tx in (form_1(rate, decay), form_3(rate, decay), gradtx.sgd(rate, momentum=decay)):
        steps = -updates_of(tx, np.full((60, 1), 0.1))[:, 0] / rate
        same(steps[:4], [0.1, 0.15, 0.175, 0.1875])
        same(steps[-1], 0.1 / (1 - decay))
    vector = np.array([0.03, -0.04])
    speed = np.linalg.norm(updates_of(form_1(rate, 0.9), np.tile(vector, (400, 1)))[-1])
    same(speed, rate * np.linalg.norm(vector) / (1 - 0.9))


def test_momentum_form_1_is_the_weighted_sum_of_all_steps_so_far():
    decay, rate = 0.7, 0.2
    sums = [-rate * sum(decay**k * GRADIENTS[t - k] for k in range(t + 1)) for t in range(len(GRADIENTS))]
    same(updates_of(form_1(rate, decay), GRADIENTS), sums)
    same(updates_of(form_1(rate, 0.0), GRADIENTS), -rate * GRADIENTS)  # without memory it is gradient descent


def test_momentum_form_2_at_a_rate_over_1_minus_decay_is_form_3():
    decay = 0.9
    for rate in (0.1, FALLING):
        same(updates_of(form_2(rate / (1 - decay), decay), GRADIENTS), updates_of(form_3(rate, decay), GRADIENTS))
    same(updates_of(form_2(0.1 / (1 - decay), decay), GRADIENTS), updates_of(form_1(0.1, decay), GRADIENTS))


def test_momentum_form_1_is_form_3_under_a_constant_rate_and_another_method_under_a_schedule():
    same(updates_of(form_1(0.1, 0.9), GRADIENTS), updates_of(form_3(0.1, 0.9), GRADIENTS))

    def inside(t, g, v):
        v = 0.9 * v - 0.1 / t * g
        return v, v

    def outside(t, g, v):
        v = 0.9 * v + g
        return -0.1 / t * v, v

    same(updates_of(form_1(FALLING, 0.9), GRADIENTS), by_hand(inside, GRADIENTS))
    same(updates_of(form_3(FALLING, 0.9), GRADIENTS), by_hand(outside, GRADIENTS))
    # After a steep step at the full rate, flat ground: the one rolls on at 0.1α, the other only at 0.1α/2.
    steep_then_flat = np.array([[1.0], [0.0]])
    same(updates_of(form_1(FALLING, 0.9), steep_then_flat)[:, 0], [-0.1, -0.09])
    same(updates_of(form_3(FALLING, 0.9), steep_then_flat)[:, 0], [-0.1, -0.045])


@pytest.mark.parametrize("pull", ["a force, acting for Δt", "kicks, one a step"])
def test_momentum_form_3_is_a_unit_mass_under_friction(pull):
    """α = 1 − Δt·η. Under the force −∇J the step of v is Δt(−∇J − ηv), and ε is Δt²; under kicks of −∇J it is Δt."""
    dt, friction = 0.1, 1.5
    lasting = dt if pull.startswith("a force") else 1.0
    theta, velocity, path = START, np.zeros(3), [START]
    for _ in range(60):
        velocity = velocity - lasting * (BOWL @ theta) - dt * friction * velocity
        theta = theta + dt * velocity
        path.append(theta)
    tx = form_3(dt * lasting, 1 - dt * friction)
    same(path_of(tx, lambda theta: BOWL @ theta, START, 60), path)


def test_momentum_form_3_tends_to_the_motion_itself():
    errors = []  # of a unit mass on a unit spring under friction, let go at θ = 1, at time 2
    friction, time = 1.0, 2.0
    omega = np.sqrt(1 - friction**2 / 4)
    decayed = np.exp(-friction * time / 2)
    exact = decayed * (np.cos(omega * time) + friction / (2 * omega) * np.sin(omega * time))
    for steps in (1000, 2000):
        dt = time / steps
        path = path_of(form_3(dt**2, 1 - dt * friction), lambda theta: theta, [1.0], steps)
        errors.append(path[-1, 0] - exact)
    assert abs(errors[0]) < 1e-3
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.01)


def test_sgd_with_ema():
    def rule(t, g, average):
        average = 0.9 * average + 0.1 * g
        return -0.3 * average, average

    same(updates_of(form_2(0.3, 0.9), GRADIENTS), by_hand(rule, GRADIENTS))


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_nesterov_true_lookahead_is_the_rewritten_form_step_for_step(decay):
    rate, theta, velocity = 0.2, START, np.zeros(3)

    def gradient(theta, sin=np.sin):  # of a bowl with ripples
        return BOWL @ theta + 0.3 * sin(theta)

    ahead = [theta + decay * velocity]  # y = θ + αv
    for _ in range(50):
        velocity = decay * velocity - rate * gradient(theta + decay * velocity)
        theta = theta + velocity
        ahead.append(theta + decay * velocity)
    rewritten = gradtx.chain(gradtx.trace(decay), gradtx.nesterov_lookahead(decay), gradtx.scale_by_learning_rate(rate))
    for tx in (rewritten, gradtx.sgd(rate, momentum=decay, nesterov=True)):
        path = path_of(tx, lambda theta: gradient(theta, jnp.sin), START, 50)
        np.testing.assert_allclose(path, ahead, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_nesterov_true_lookahead(decay):
    rate, theta, velocity, path = 0.2, START, np.zeros(3), []
    for _ in range(50):
        velocity = decay * velocity - rate * BOWL @ (theta + decay * velocity)
        theta = theta + velocity
        path.append(theta)
    tx = gradtx.nesterov(rate, decay)

    def step(carry, _):
        params, state = carry
        u, state = tx.update(BOWL @ gradtx.gradient_params(tx, params, state), state, params)
        params = gradtx.apply_updates(params, u)
        return (params, state), (params, gradtx.gradient_params(tx, params, state))

    found, ahead = jax.lax.scan(step, (jnp.asarray(START), tx.init(jnp.asarray(START))), length=50)[1]
    np.testing.assert_allclose(found, path, rtol=1e-11, atol=1e-14)
    rewritten = path_of(gradtx.sgd(rate, momentum=decay, nesterov=True), lambda theta: BOWL @ theta, START, 50)
    np.testing.assert_allclose(ahead, rewritten[1:], rtol=1e-11, atol=1e-14)  # y = θ + αv, step for step


def test_nesterov_rewritten_steps_along_the_gradient_and_alpha_times_the_velocity():
    rate, decay, velocity, steps = 0.2, 0.9, np.zeros(3), []
    for g in GRADIENTS:
        velocity = decay * velocity + g
        steps.append(-rate * (g + decay * velocity))
    rewritten = gradtx.chain(gradtx.trace(decay), gradtx.nesterov_lookahead(decay), gradtx.scale_by_learning_rate(rate))
    same(updates_of(rewritten, GRADIENTS), steps)
    same(updates_of(rewritten, [[1.0], [0.0]])[:, 0], [-0.2 * 1.9, -0.2 * 0.81])


# Sizes of past gradients ----------------------------------------------------------------------------------------------


INSIDE = pytest.mark.parametrize("inside", [True, False], ids=["inside the root", "outside the root"])
DELTAS = pytest.mark.parametrize("delta", [0.0, 1e-8, 0.5])


def size(squares, delta, inside):
    """√(r + δ), or √r + δ."""
    return np.sqrt(squares + delta) if inside else np.sqrt(squares) + delta


@INSIDE
@DELTAS
def test_adagrad_with_delta(delta, inside):
    def rule(t, g, r):
        r = r + g**2
        return -0.1 * g / size(r, delta, inside), r

    tx = gradtx.adagrad(0.1, 0.0, delta, eps_in_sqrt=inside)
    same(updates_of(tx, GRADIENTS), by_hand(rule, GRADIENTS))
    steps = updates_of(tx, [[3.0], [4.0], [12.0]])[:, 0]  # r = 9, 25, 169
    roots = np.sqrt([9 + delta, 25 + delta, 169 + delta]) if inside else np.array([3, 5, 13]) + delta
    same(steps, -0.1 * np.array([3, 4, 12]) / roots)


def test_adagrad_slows_steep_directions_and_under_a_constant_gradient_falls_as_one_over_root_t():
    gradients = np.tile([100.0, 1.0, 0.01], (30, 1))
    steps = updates_of(gradtx.adagrad(0.1, 0.0, 0.0), gradients)
    same(steps, -0.1 / np.sqrt(np.arange(1, 31))[:, None] * np.ones(3))


@INSIDE
@DELTAS
@pytest.mark.parametrize("momentum", [None, 0.7], ids=["plain", "with momentum"])
@pytest.mark.parametrize("centred", [False, True], ids=["", "centred"])
def test_rmsprop_with_delta(delta, inside, momentum, centred):
    if centred and delta < 0.1:
        delta = 1e-3  # a variance near nothing would be all rounding

    def rule(t, g, memory):
        r, mean, velocity = memory if t > 1 else (0.0, 0.0, 0.0)
        r, mean = 0.9 * r + 0.1 * g**2, 0.9 * mean + 0.1 * g
        step = -0.1 * g / size(r - mean**2 if centred else r, delta, inside)
        velocity = (momentum or 0.0) * velocity + step
        return velocity, (r, mean, velocity)

    tx = gradtx.rmsprop(0.1, 0.9, delta, momentum=momentum, centered=centred, eps_in_sqrt=inside)
    np.testing.assert_allclose(updates_of(tx, GRADIENTS), by_hand(rule, GRADIENTS), rtol=1e-11)


def test_rmsprop_under_a_constant_gradient_begins_at_one_over_root_1_minus_rho_and_ends_at_its_rate():
    steps = updates_of(gradtx.rmsprop(0.1, 0.75, 0.0), np.full((80, 1), -3.0))[:, 0]
    same(steps[:2], [0.1 / np.sqrt(0.25), 0.1 / np.sqrt(0.4375)])
    same(steps, 0.1 / np.sqrt(1 - 0.75 ** np.arange(1, 81)))
    assert steps[-1] == pytest.approx(0.1, rel=1e-9)


def test_adadelta():
    def rule(t, g, memory):
        r, s = memory if t > 1 else (0.0, 0.0)
        r = 0.9 * r + 0.1 * g**2
        step = g * np.sqrt(s + 1e-3) / np.sqrt(r + 1e-3)
        return -step, (r, 0.9 * s + 0.1 * step**2)

    same(updates_of(gradtx.adadelta(1.0, 0.9, 1e-3), GRADIENTS), by_hand(rule, GRADIENTS))
    # ρ = 3/4, δ = 1, g = 2, 0, 2: r = 1, 3/4, 25/16; s = 0, 1/2, 3/8 before each step
    steps = updates_of(gradtx.adadelta(1.0, 0.75, 1.0), [[2.0], [0.0], [2.0]])[:, 0]
    same(steps, [-2 / np.sqrt(2), 0, -2 * np.sqrt(11 / 8) / np.sqrt(41 / 16)])


@pytest.mark.parametrize(
    ("shrink", "sizes"),
    [(0.5, [1, 1.2, 1.44, 0, 0.72, 0.864, 0, 0.432]), (0.6, [1, 1.2, 1.44, 0, 0.864, 1.0368, 0, 0.62208])],
    ids=["PyTorch's", "the lecture's"],
)
def test_rprop_grows_where_the_sign_holds_and_shrinks_where_it_flips(shrink, sizes):
    """A step whose sign flips is not taken, and the one after it has no sign to look back to."""
    gradients = np.array([0.3, 7.0, 0.001, -0.2, -5.0, -0.1, 3.0, 1e-9])
    steps = updates_of(gradtx.rprop(0.01, shrink, 1.2), gradients[:, None])[:, 0]
    same(steps, -0.01 * np.sign(gradients) * sizes)
    bounded = updates_of(gradtx.rprop(0.01, shrink, 1.2, 0.009, 0.011), gradients[:, None])[:, 0]
    same(np.abs(bounded), [0.01, 0.011, 0.011, 0, 0.009, 0.0108, 0, 0.009])


def test_rprop_fails_on_mini_batches_it_runs_away():
    """+g nine times, −9g once: nothing to gain, but nine steps grow by 1.2 and one shrinks by ½, untaken."""
    decades = 6
    gradients = np.tile(np.append(np.full(9, 0.1), -0.9), decades)[:, None]
    ends = np.cumsum(updates_of(gradtx.rprop(0.01), gradients))[9::10]
    first, growth = 0.01 * (1.2**9 - 1) / 0.2, 1.2**8 / 2
    same(ends, -first * (growth ** np.arange(1, decades + 1) - 1) / (growth - 1))
    assert growth > 2


def test_average_of_squares_is_adagrad_with_the_rate_times_root_t():
    average = gradtx.chain(gradtx.scale_by_mean_squares(0.0), gradtx.scale_by_learning_rate(0.1))
    adagrad = gradtx.adagrad(lambda step: 0.1 * root_of_time(step), 0.0, 0.0)
    same(updates_of(average, GRADIENTS), updates_of(adagrad, GRADIENTS))
    slower = gradtx.scale_by_learning_rate(lambda step: 0.1 / root_of_time(step))
    average = gradtx.chain(gradtx.scale_by_mean_squares(0.0), slower)
    same(updates_of(average, GRADIENTS), updates_of(gradtx.adagrad(0.1, 0.0, 0.0), GRADIENTS))


@pytest.mark.parametrize("eps", [1e-7, 0.5])
@pytest.mark.parametrize("inside", [True, False])
def test_average_of_squares(eps, inside):
    def rule(t, g, total):
        total = total + g**2
        r = total / t
        return -0.1 * g / (np.sqrt(r + eps) if inside else np.sqrt(r) + eps), total

    scaled = gradtx.scale_by_mean_squares(eps, eps_in_sqrt=inside)
    tx = gradtx.chain(scaled, gradtx.scale_by_learning_rate(0.1))
    same(updates_of(tx, GRADIENTS), by_hand(rule, GRADIENTS))


@INSIDE
@DELTAS
def test_adam_with_delta(delta, inside):
    def rule(t, g, memory):
        m, r = memory if t > 1 else (0.0, 0.0)
        m, r = 0.9 * m + 0.1 * g, 0.999 * r + 0.001 * g**2
        return -0.1 * m / (1 - 0.9**t) / size(r / (1 - 0.999**t), delta, inside), (m, r)

    tx = gradtx.adam(0.1, eps=0.0, eps_root=delta) if inside else gradtx.adam(0.1, eps=delta)
    same(updates_of(tx, GRADIENTS), by_hand(rule, GRADIENTS), 1e-11)  # 1 − 0.999ᵗ by hand has lost three digits
    constant = updates_of(tx, np.full((50, 1), -2.0))[:, 0]
    same(constant, np.full(50, 0.1 * 2 / size(4.0, delta, inside)))


def test_adam_has_the_defaults_of_the_paper():
    assert gradtx.adam(1e-3) == gradtx.adam(1e-3, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0)
    assert gradtx.adam(1e-3) != gradtx.adam(1e-3, b2=0.99)
    # the size of a first step is the rate, whatever that of the gradient
    same(updates_of(gradtx.adam(1e-3, eps=0.0), [[1e-30, 1.0, -1e30]])[0], [-1e-3, -1e-3, 1e-3])


def test_adamax_divides_by_the_decaying_largest_gradient():
    def rule(t, g, memory):
        m, u = memory if t > 1 else (0.0, 0.0)
        m, u = 0.9 * m + 0.1 * g, np.maximum(0.999 * u, np.abs(g))
        return -0.1 / (1 - 0.9**t) * m / u, (m, u)

    same(updates_of(gradtx.adamax(0.1, eps=0.0), GRADIENTS), by_hand(rule, GRADIENTS))
    steps = updates_of(gradtx.adamax(0.1, 0.0, 0.5, 0.0), [[4.0], [1.0], [1.0], [1.0]])[:, 0]
    same(steps, [-0.1, -0.1 / 2, -0.1, -0.1])  # the largest: 4, 2, 1, 1


@pytest.mark.parametrize("momentum_decay", [None, 0.004, 40.0], ids=["constant", "PyTorch's", "fast"])
def test_nadam_with_a_momentum(momentum_decay):
    """Dozat 2016: a constant β₁, or μₜ = β₁(1 − ½ · 0.96^(tψ)) and products of them."""

    def mu(t):
        return 0.9 if momentum_decay is None else 0.9 * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    def rule(t, g, memory):
        m, r = memory if t > 1 else (0.0, 0.0)
        m, r = 0.9 * m + 0.1 * g, 0.999 * r + 0.001 * g**2
        so_far = np.prod([mu(k) for k in range(1, t + 1)])
        ahead = mu(t + 1) * m / (1 - so_far * mu(t + 1)) + (1 - mu(t)) * g / (1 - so_far)
        return -0.1 * ahead / np.sqrt(r / (1 - 0.999**t)), (m, r)

    tx = gradtx.nadam(0.1, eps=0.0, momentum_decay=momentum_decay)
    same(updates_of(tx, GRADIENTS), by_hand(rule, GRADIENTS), 1e-11)
    if momentum_decay is None:  # (β₁m/(1 − β₁²) + 1) g at the first step, m = 0.1 g
        same(updates_of(tx, [[5.0]])[0], [-0.1 * (0.9 * 0.1 / 0.19 + 1)], 1e-11)


def test_amsgrad_divides_by_the_running_maximum():
    big_then_small = np.array([[10.0], *[[0.1]] * 200])
    falls, stays = (
        -updates_of(tx, big_then_small)[:, 0]
        for tx in (gradtx.adam(1.0, 0.0, 0.9, 0.0), gradtx.amsgrad(1.0, 0.0, 0.9, 0.0))
    )
    same(stays[1:], np.full(200, 0.1 / 10))  # the largest of all averages is the first, 100
    assert falls[-1] == pytest.approx(1, rel=1e-3)  # Adam has forgotten it


def test_adam_without_bias_correction():
    rate = 1e-3
    links = (gradtx.scale_by_ewma(0.9), gradtx.scale_by_rms(0.999, bias_correction=False))
    tx = gradtx.chain(*links, gradtx.scale_by_learning_rate(rate))
    for g in (1.0, -20.0):
        (without,), (corrected,) = (updates_of(tx, [[g]])[0] for tx in (tx, gradtx.adam(rate)))
        assert without == pytest.approx(-np.sign(g) * rate * 0.1 / np.sqrt(0.001), rel=1e-6)
        assert corrected == pytest.approx(-np.sign(g) * rate, rel=1e-7)


def test_adam_need_not_converge_amsgrad_does():
    """Reddi, Kale & Kumar 2018; from 0 it is a row of ``python -m gradtx prove``."""
    for start in (-1.0, 1.0):
        assert reddi("adam", start) == 1.0
        assert reddi("amsgrad", start) < -0.998


# Mix and match --------------------------------------------------------------------------------------------------------

STEPS = {"plain": [], "momentum": [gradtx.trace(0.9)]}
RATES = {
    "constant": ([gradtx.scale_by_learning_rate(0.1)], lambda t, past: 0.1),
    "time decay": (
        [gradtx.scale_by_learning_rate(gradtx.inverse_time_decay(0.1, 1, 0.5))],
        lambda t, past: 0.1 / (1 + 0.5 * (t - 1)),
    ),
    "sum": (
        [gradtx.scale_by_rss(0.0, 0.01), gradtx.scale_by_learning_rate(0.1)],
        lambda t, past: 0.1 / np.sqrt(np.sum(past, 0) + 0.01),
    ),
    "average": (
        [gradtx.scale_by_mean_squares(0.01), gradtx.scale_by_learning_rate(0.1)],
        lambda t, past: 0.1 / np.sqrt(np.mean(past, 0) + 0.01),
    ),
    "decaying average": (
        [gradtx.scale_by_rms(0.9, 0.0, 0.01, bias_correction=False), gradtx.scale_by_learning_rate(0.1)],
        lambda t, past: 0.1 / np.sqrt(0.1 * 0.9 ** np.arange(t)[::-1] @ past + 0.01),
    ),
}


@pytest.mark.parametrize("size", RATES)
@pytest.mark.parametrize("step", STEPS)
def test_mix_and_match_ten_methods_of_a_step_and_a_rate(step, size):
    """Each is a chain of at most three links, and its rule is the one part times the other."""
    (sizing, rate), expected, velocity = RATES[size], [], np.zeros(3)
    for t, g in enumerate(GRADIENTS, 1):
        velocity = g + (0.9 * velocity if step == "momentum" else 0)
        expected.append(-rate(t, GRADIENTS[:t] ** 2) * velocity)
    links = [*STEPS[step], *sizing]
    assert len(links) <= 3
    same(updates_of(gradtx.chain(*links), GRADIENTS), expected, 1e-11)


def test_mix_and_match_has_the_known_methods_among_the_ten():
    known = {
        ("plain", "constant"): gradtx.sgd(0.1),
        ("momentum", "constant"): gradtx.sgd(0.1, momentum=0.9),
        ("plain", "sum"): gradtx.adagrad(0.1, 0.0, 0.01),
        ("plain", "decaying average"): gradtx.rmsprop(0.1, 0.9, 0.01),
    }
    for (step, size), tx in known.items():
        mixed = gradtx.chain(*STEPS[step], *RATES[size][0])
        np.testing.assert_array_equal(updates_of(mixed, GRADIENTS), updates_of(tx, GRADIENTS))


# Repeat until happy ---------------------------------------------------------------------------------------------------


VALLEYS = {"near": -1.2847687, "deep": -3.9724885}
FIRST_GUESS = -5.0
HAPPY = {"tol": 1e-6, "gradient_tol": 1e-5, "loss_tol": 1e-11}


def test_second_order_solves_the_lectures_quadratic_in_one_step():
    """L(θ) = (20 − 5θ)² + (41 − 12θ)²: its derivative 338θ − 1184 is zero at 3.50 (the lecture has 1189 once)."""

    for start in (-5.0, 0.0, 100.0):
        run = gradtx.minimize(two_lines, start, gradtx.newton(), steps=1)
        assert float(run.params) == pytest.approx(1184 / 338, rel=1e-14)
    assert float(jax.grad(two_lines)(0.0)) == -1184
    assert float(jax.hessian(two_lines)(0.0)) == 338


def test_repeat_until_happy_first_guesses():
    """The lecture has −2.56 and −3.72: it took log₁₀ for the logarithm in the first term of the derivative."""
    assert float(jax.grad(hills)(FIRST_GUESS)) == pytest.approx(2 * np.cos(-10) * np.log(25) + np.sin(-10) * 2 / -5)
    assert float(jax.grad(hills)(FIRST_GUESS)) == pytest.approx(-5.6193426, abs=1e-7)
    assert 2 * np.cos(-10) * np.log10(25) + np.sin(-10) * 2 / -5 == pytest.approx(-2.56, abs=5e-3)
    first = gradtx.minimize(hills, FIRST_GUESS, gradtx.sgd(0.5), steps=1)
    assert float(first.params) == pytest.approx(-2.1903287, abs=1e-7)
    assert float(jax.grad(hills)(-3.72)) == pytest.approx(2.6060409, abs=1e-7)  # uphill: back to the left


def test_repeat_until_happy_never_is_at_a_constant_rate_of_a_half():
    """The near valley curves by 6.98 > 2/ε = 4: its bottom repels, and θ goes to and fro between its walls for ever."""
    assert float(jax.hessian(hills)(VALLEYS["near"])) == pytest.approx(6.9766, abs=1e-3)
    run = gradtx.minimize(hills, FIRST_GUESS, gradtx.sgd(0.5), steps=2000, **HAPPY)
    assert (run.reason, int(run.steps)) == ("all steps were taken", 2000)
    walls = [-2.0591545, -0.8481205]
    beside = float(run.params) - 0.5 * float(jax.grad(hills)(run.params))
    assert sorted([float(run.params), beside]) == pytest.approx(walls, abs=1e-6)
    np.testing.assert_allclose(run.loss[-200:-2], run.loss[-198:], atol=1e-9)  # every other step is the same


@pytest.mark.parametrize("rule", HAPPY)
@pytest.mark.parametrize(
    ("name", "valley", "steps"), [("time-based decay", "near", 12), ("AdaGrad", "deep", 20), ("small rate", "deep", 30)]
)
def test_repeat_until_happy_settles_in_a_valley(name, valley, steps, rule):
    tx = {
        "time-based decay": gradtx.sgd(gradtx.inverse_time_decay(0.5, 1, 0.5)),
        "AdaGrad": gradtx.adagrad(0.5, 0.0),
        "small rate": gradtx.sgd(0.1),
    }[name]
    run = gradtx.minimize(hills, FIRST_GUESS, tx, steps=2000, **{rule: HAPPY[rule]})
    assert run.reason.endswith(rule)
    assert int(run.steps) <= steps
    assert float(run.params) == pytest.approx(VALLEYS[valley], abs=1e-5)
    assert abs(float(jax.grad(hills)(run.params))) < 1e-4
    assert float(jax.hessian(hills)(run.params)) > 0
    assert float(run.final_loss) == pytest.approx({"near": -0.2713072, "deep": -2.7474}[valley], abs=1e-4)


# scikit-learn's MLP curves --------------------------------------------------------------------------------------------

METHODS = {
    "constant": {"momentum": 0.0},
    "momentum": {"momentum": 0.9, "nesterovs_momentum": False},
    "Nesterov": {"momentum": 0.9, "nesterovs_momentum": True},
}


def fitted(x, y, epochs, **settings):
    """scikit-learn's classifier, fitted; that it has not converged after so few epochs is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier(solver="sgd", random_state=0, max_iter=epochs, alpha=ALPHA, **settings).fit(x, y)


@pytest.mark.parametrize("data", EPOCHS)
def test_scikit_learns_initial_weights(data):
    x, y = scaled(data)
    layers, _, _ = weights_and_batches((x.shape[1], 100, y.max() + 1), len(x), 1)
    still = fitted(x, y, 1, learning_rate_init=1e-300)  # a rate that moves nothing
    for layer, w, b in zip(layers, still.coefs_, still.intercepts_, strict=True):
        np.testing.assert_array_equal(layer["w"], w)
        np.testing.assert_array_equal(layer["b"], b)


@pytest.mark.parametrize(("data", "method"), PUBLISHED)
def test_scikit_learns_mlp_curves_epoch_by_epoch(data, method):
    x, y = scaled(data)
    np.testing.assert_allclose(x, MinMaxScaler().fit_transform(x), rtol=0, atol=1e-15)
    theirs = fitted(x, y, EPOCHS[data], learning_rate_init=0.2, **METHODS[method])
    assert len(curve(data, method)) == theirs.n_iter_
    np.testing.assert_allclose(curve(data, method), theirs.loss_curve_, rtol=0, atol=1e-9)
