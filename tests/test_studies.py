"""Studies that answer a question: which learning rate, and what to try first."""

import math

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx.sweep._studies.opt_list import taskset_nadamw

mpl.use("Agg")

# lr_finder ------------------------------------------------------------------------------------------------------------

CURVATURES = jnp.array([10.0, 5.0, 1.0])


def bowl(params, batch):
    return 0.5 * jnp.sum(CURVATURES * params**2) + 0 * jnp.mean(batch)


@pytest.fixture(scope="module")
def found():
    return sweep.lr_finder(bowl, jnp.ones(3), gradtx.sgd, jnp.ones(1), low=1e-4)


def test_the_limit_of_gradient_descent_is_2_over_the_curvature(found):
    ratio = found.rates[1] / found.rates[0]
    limit = 2 / 10
    assert limit < found.limit <= limit * ratio  # the first of the rates that is beyond
    assert [row["failed"] for row in found.table()] == (found.rates > limit).tolist()
    assert np.isnan(found.loss[-1])


def test_the_pick_is_near_the_step_of_the_descent_lemma(found):
    assert found.learning_rate == found.limit / 2  # 1/L up to the grid, since the lowest loss is beyond
    assert 1 / 10 < found.learning_rate < 1.3 / 10
    best = found.rates[np.nanargmin(found.loss)]
    assert 1 / 10 < best < 2 / 10
    assert found.notes() == []


def test_a_curve_is_what_gradient_descent_does(found):
    """Loss after the step n is ½ Σ L(1 − αL)²ⁿ; the last tenth of 100 steps are the steps 90 to 99."""
    rates, curvatures = found.rates[found.rates < 0.19], np.asarray(CURVATURES, np.float64)
    n = np.arange(90, 100)[:, None, None]
    losses = 0.5 * np.sum(curvatures * (1 - rates[:, None] * curvatures) ** (2 * n), axis=2)
    np.testing.assert_allclose(found.loss[: len(rates)], losses.mean(axis=0), rtol=2e-6, atol=1e-30)


def test_a_lucky_rate_at_a_cliff_is_not_taken():
    """A loss that is low for one rate between two that fail to fall: each counts as the worst of its neighbours."""
    rates = np.geomspace(1e-3, 1.0, 16)

    def loss(params, batch):
        del batch
        lucky = jnp.abs(params - 100 * rates[12]) < 1e-3  # plain descent on −100θ by α moves by 100α
        return jnp.where(lucky, -1e6, -jnp.minimum(params, 100 * rates[8])) * 100

    found = sweep.lr_finder(
        loss, jnp.array(0.0), gradtx.sgd, jnp.ones(1), steps=2, lanes=16, low=1e-3, high=1.0,
    )  # fmt: skip
    assert found.learning_rate != pytest.approx(rates[12], rel=1e-3)


def test_transformations_and_functions_of_the_rate_are_searched_alike(found):
    given = [gradtx.sgd(0.5), lambda rate: gradtx.sgd(rate), gradtx.chain(gradtx.clip(1e9), gradtx.sgd(0.5))]
    for tx in given:
        other = sweep.lr_finder(bowl, jnp.ones(3), tx, jnp.ones(1), low=1e-4)
        assert other.learning_rate == found.learning_rate
        sound = found.rates < found.limit  # beyond, a clip keeps finite what diverges
        np.testing.assert_array_equal(other.loss[sound], found.loss[sound])
    constant = gradtx.constant_schedule(1.0)
    other = sweep.lr_finder(bowl, jnp.ones(3), lambda rate: gradtx.sgd(rate * constant), jnp.ones(1), low=1e-4)
    assert other.learning_rate == found.learning_rate


def test_all_rates_see_the_same_batches_in_one_program():
    traces = []

    def loss(params, batch):
        traces.append(1)
        return jnp.mean((params - batch) ** 2)

    data = jnp.sin(jnp.arange(32.0))
    made = sweep.lr_finder(loss, jnp.array(0.0), gradtx.sgd, data, lanes=8, batch_size=4, steps=50)
    assert len(traces) <= 5
    assert len(set(made.sweep.loss[:, 0].tolist())) == 1


def test_a_pick_at_an_end_says_what_to_try():
    low = sweep.lr_finder(bowl, jnp.ones(3), gradtx.sgd, jnp.ones(1), lanes=16, low=0.1, high=10.0)
    assert low.notes() == ["the pick is at the lower end of the rates: try low=0.001"]
    high = sweep.lr_finder(bowl, jnp.ones(3), gradtx.sgd, jnp.ones(1), lanes=8, low=1e-8, high=1e-6)
    assert math.isinf(high.limit)
    assert high.notes() == ["no rate failed, and the pick is at the upper end of them: try high=0.0001"]


def test_the_curve_is_drawn_with_the_pick(found):
    figure = found.plot()
    marked = [line.get_xdata()[0] for line in figure.axes[0].lines[1:2]]
    assert marked == [found.learning_rate]
    figure.clf()


def test_what_has_no_one_learning_rate_is_said():
    several = gradtx.partition({"a": gradtx.sgd(0.1), "b": gradtx.sgd(0.2)}, {"*": "a"})
    scheduled = gradtx.sgd(gradtx.linear_schedule(0.1, 0.0, 10))
    for tx, given, words in [
        (scheduled, {}, r"tx: expected one learning_rate, found a schedule: give a function of the rate"),
        (several, {}, r"tx: expected one learning_rate, found .*learning_rate, .*learning_rate"),
        (3, {}, r"lr_finder: tx"),
        (gradtx.clip(1.0), {}, r"tx: expected one learning_rate, found none"),
        (gradtx.sgd, {"low": 1.0, "high": 0.1}, r"expected 0 < low < high, found 1.0 and 0.1"),
        (gradtx.sgd, {"lanes": 2}, r"lanes: expected a whole number, 3 or more, found 2"),
        (gradtx.sgd, {"low": 1.0}, r"low: every rate fails, down to 1: expected a lower one"),
    ]:
        with pytest.raises(gradtx.TransformationError, match=words):
            sweep.lr_finder(bowl, jnp.ones(3), tx, jnp.ones(1), **given)


# opt_list -------------------------------------------------------------------------------------------------------------

PUBLISHED = {  # rank: as printed in google-research/opt_list, nadamw_configs.json
    0: (0.0011948335721160095, 0.9360043452616368, 0.9989497406214962, 5.875814422073298e-06, 0.010141964334059882, 0.0,
        0.0, 0.747304046223346, 0.0),
    7: (0.0005950867356750683, 0.8912956998774763, 0.9998316947284045, 1.4834761018841103e-07, 0.04087020908564961, 0.0,
        0.008212683099401206, 0.37760078274486286, 0.0),
    12: (0.00016536562796354645, 0.9528014372252882, 0.045647676154896955, 2.832299169214906e-06, 0.011413102255753298,
         0.0, 0.001899807993750271, 0.4567955168857194, 0.26986516357814333),
    16: (0.00469149153710182, 0.9963949268336045, 0.9882032933236298, 2.0556253122637692e-05, 0.03551680912823944, 0.0,
         0.0, 0.508648860672349, 0.0),
    38: (0.006035982984156549, 0.9784892288025606, 0.9144914391160787, 1.8064519546983546, 0.01762346737323144,
         0.0031829313638007772, 0.00037851167280734136, 0.6981369081494088, 0.0),
    40: (0.0015669132173408192, 0.9182034442374868, 0.9999101146579716, 4.67522402327135e-05, 4.1117603032602165e-05,
         0.0, 0.0, 0.2507866687610616, 0.0),
    50: (0.0003260395096202062, 0.7842479490197322, 0.9999786000247527, 0.0034679530917765397, 0.047091643979610326,
         0.0, 5.958583345289541e-05, 0.7375788574052385, 0.00016123121352611385),
    58: (0.0017173824059168398, 0.9704783023041557, 0.9996238829046785, 4.375678622515891e-08, 0.0,
         4.927934173231157e-05, 0.0, 0.7928361354695909, 0.0008139197156025356),
    75: (0.002664364053267289, 0.22402003602491327, 0.9986427775338398, 2.5653081675454804e-05, 0.00683636993154649,
         0.0, 1.0607335999081374e-05, 0.04820700364491837, 0.010779646347614604),
    78: (0.8419298663194243, 0.977812572363824, 0.936118495101715, 34.44759228866291, 0.00012976412967801644, 0.0, 0.0,
         0.2139568195387005, 0.00030051597098696006),
}  # fmt: skip
NAMES = ("learning_rate", "b1", "b2", "eps", "weight_decay", "l2", "warmup", "constant", "end")


@pytest.mark.parametrize("rank", PUBLISHED)
def test_the_numbers_are_those_that_were_published(rank):
    point = sweep.opt_list(100, steps=10).points[rank]
    assert tuple(point) == NAMES
    np.testing.assert_allclose(list(point.values()), PUBLISHED[rank], rtol=1e-11)


def reference(point, steps, theta, gradients):
    """The rule in float64, line by line from TaskSet's nadamw.py; returns the parameters after every step."""
    lr, b1, b2, eps, decay, l2, warmup, constant, end = (point[name] for name in NAMES)
    m, v, path = np.zeros_like(theta), np.zeros_like(theta), []
    for step, gradient in enumerate(gradients):
        now = min(step, steps)
        flat = steps * constant
        rate = (lr - end * lr) * (math.cos((max(now, flat) - flat) * math.pi / (steps - flat)) / 2 + 0.5) + end * lr
        ramp = steps * min(warmup, constant)
        if warmup and now < ramp:
            rate = now / ramp * lr
        g = gradient - theta * l2
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        scaled = rate * math.sqrt(1 - b2 ** (step + 1)) / (1 - b1 ** (step + 1))
        theta = theta - scaled * m / (np.sqrt(v) + eps) - scaled * decay * theta
        path.append(theta)
    return np.asarray(path)


def test_every_configuration_follows_the_published_rule():
    """All hundred at once, over a run of 60 steps and beyond its end, against NumPy in float64."""
    steps, rng = 60, np.random.default_rng(0)
    gradients, start = rng.normal(size=(65, 4)), rng.normal(size=4)
    population = sweep.opt_list(100, steps=steps)
    with jax.enable_x64(True):
        population = sweep.opt_list(100, steps=steps)
        path = jax.vmap(lambda tx: walk(tx, jnp.asarray(start), jnp.asarray(gradients)))(population.tx)
        for n, point in enumerate(population.points):
            expected = reference(point, steps, start, gradients)
            np.testing.assert_allclose(path[n], expected, rtol=1e-9, atol=1e-12 + 1e-9 * np.abs(expected - start).max())


def walk(tx, params, gradients):
    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        params = gradtx.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, tx.init(params)), gradients)[1]


def test_the_rule_keeps_every_contract():
    gradtx.testing.check(taskset_nadamw(0.01, weight_decay=0.1, l2=0.01))


def test_the_list_is_a_population_of_one_program():
    population = sweep.opt_list(8, steps=50, numbers={"l1": 0.5}, seeds=range(2))
    assert (population.size, len(population.groups), set(population.numbers)) == (16, 1, {"l1"})

    def loss(params, batch, l1):
        return jnp.mean((params - batch) ** 2) + l1 * 0

    made = sweep.run(loss, jnp.zeros([]), population, jnp.linspace(0.0, 1.0, 8), steps=50)
    assert np.isfinite(made.final_loss).all()
    assert sweep.opt_list(steps=10).size == 8
    for call, words in [
        (lambda: sweep.opt_list(101, steps=10), "opt_list: n: expected at most 100"),
        (lambda: sweep.opt_list(0, steps=10), "opt_list: n: expected a whole number, 1 or more"),
        (lambda: sweep.opt_list(steps=0), "opt_list: steps: expected a whole number"),
    ]:
        with pytest.raises(gradtx.TransformationError, match=words):
            call()
