"""Schedules: formulas, arguments that are traced, swept and differentiated, algebra, and their life as values."""

import functools
import math
import pickle
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import _schedule, _schedules


class Case(NamedTuple):
    """``build`` makes a schedule of plain numbers; ``formula(step, *numbers)`` is its value, in float64."""

    name: str
    build: Callable[..., gx.Schedule]
    numbers: tuple[float, ...]
    formula: Callable[..., float]
    optax: Callable[..., Callable] | None = None


STEPS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 19, 20, 21, 24, 25, 26, 100, 10_000.0])
SMOOTH = np.array([0.4, 1.3, 4.7, 6.6, 8.3, 11.3, 13.8, 17.1, 22.4, 41.5])  # between the edges of every case

# Formulas -------------------------------------------------------------------------------------------------------------


def way(step, begin, length):
    if step < begin:
        return 0.0
    return 1.0 if length <= 0 or step >= begin + length else (step - begin) / length


def constant(step, value):
    return value


def polynomial(step, init, end, power, length, begin):
    return end + (init - end) * (1 - way(step, begin, length)) ** power


def linear(step, init, end, length, begin=0.0):
    return init + (end - init) * way(step, begin, length)


def exponential(step, init, length, rate, begin, end=None, staircase=False):
    periods = max(step - begin, 0) / length
    value = init * rate ** (math.floor(periods) if staircase else periods)
    if end is None:
        return value
    return max(value, end) if rate < 1 else min(value, end)


def inverse_time(step, init, length, rate, begin, staircase=False):
    periods = max(step - begin, 0) / length
    return init / (1 + rate * (math.floor(periods) if staircase else periods))


def cosine(step, init, length, alpha, exponent):
    half = math.cos(math.pi * way(step, 0.0, length) / 2) ** 2
    return init * ((1 - alpha) * half**exponent + alpha)


def warmup_cosine(step, init, peak, warmup, length, end, exponent):
    if step < warmup:
        return init + (peak - init) * step / warmup
    half = math.cos(math.pi * way(step, warmup, length - warmup) / 2) ** 2
    return end + (peak - end) * half**exponent


def piecewise(step, init, *pairs):
    value = init
    for boundary, factor in zip(pairs[::2], pairs[1::2], strict=True):
        if step >= boundary:
            value *= factor
    return value


def interpolated(step, kind, init, *pairs):
    begin, value = 0.0, init
    for boundary, factor in zip(pairs[::2], pairs[1::2], strict=True):
        if step < boundary:
            fraction = (step - begin) / (boundary - begin)
            if kind == "cosine":
                fraction = math.sin(math.pi * fraction / 2) ** 2
            return value + (value * factor - value) * fraction
        begin, value = boundary, value * factor
    return value


def joined(step, init, end, length, boundary, start, rate, last, value):
    if step < boundary:
        return linear(step, init, end, length)
    if step < last:
        return start * rate ** (step - boundary)
    return value


# Cases ----------------------------------------------------------------------------------------------------------------


def steps_and_scales(*pairs):
    return tuple(zip(pairs[::2], pairs[1::2], strict=True))


def of_pairs(factory):
    """A factory of Optax that takes a mapping of integers, from plain numbers."""
    return lambda init, *pairs: factory(init, {int(step): factor for step, factor in steps_and_scales(*pairs)})


def join_of(library):
    def build(init, end, length, boundary, start, rate, last, value):
        parts = [
            library.linear_schedule(init, end, length),
            library.exponential_decay(start, 1, rate),
            library.constant_schedule(value),
        ]
        return library.join_schedules(parts, [boundary, last])

    return build


def interpolate(kind):
    return Case(
        f"piecewise_interpolate_schedule, {kind}",
        lambda init, *pairs: gx.piecewise_interpolate_schedule(kind, init, steps_and_scales(*pairs)),
        (0.8, 5.0, 0.5, 12.0, 3.0, 20.0, 0.1),
        functools.partial(lambda step, *numbers, kind: interpolated(step, kind, *numbers), kind=kind),
        of_pairs(functools.partial(optax.piecewise_interpolate_schedule, kind)),
    )


def stairs(factory):
    return functools.partial(factory, staircase=True)


CASES = [
    Case("constant_schedule", gx.constant_schedule, (0.7,), constant, optax.constant_schedule),
    Case(
        "polynomial_schedule",
        gx.polynomial_schedule,
        (1.0, 0.2, 2.0, 9.0, 3.0),
        polynomial,
        optax.polynomial_schedule,
    ),
    # Not compared with Optax, whose compiled root is NaN after the end: 1 - 9 * (1/9) rounds to less than nothing.
    Case("polynomial_schedule, a root", gx.polynomial_schedule, (1.0, 0.2, 0.5, 9.0, 3.0), polynomial),
    Case("polynomial_schedule, no length", gx.polynomial_schedule, (1.0, 0.2, 2.0, 0.0, 3.0), polynomial),
    Case("linear_schedule", gx.linear_schedule, (0.1, 0.9, 8.0, 2.0), linear, optax.linear_schedule),
    Case("linear_schedule, no length", gx.linear_schedule, (0.1, 0.9, 0.0, 2.0), linear),
    Case("exponential_decay", gx.exponential_decay, (0.8, 4.0, 0.7, 3.0), exponential, optax.exponential_decay),
    Case(
        "exponential_decay to a floor",
        gx.exponential_decay,
        (0.8, 4.0, 0.7, 3.0, 0.21),
        exponential,
        lambda init, length, rate, begin, end: optax.exponential_decay(init, length, rate, begin, False, end),
    ),
    Case(
        "exponential_decay to a ceiling",
        gx.exponential_decay,
        (0.8, 4.0, 1.3, 3.0, 2.1),
        exponential,
        lambda init, length, rate, begin, end: optax.exponential_decay(init, length, rate, begin, False, end),
    ),
    Case(
        "exponential_decay, staircase",
        stairs(gx.exponential_decay),
        (0.8, 4.0, 0.7, 3.0),
        stairs(exponential),
        stairs(optax.exponential_decay),
    ),
    Case("inverse_time_decay", gx.inverse_time_decay, (0.8, 4.0, 0.7, 3.0), inverse_time),
    Case("inverse_time_decay, staircase", stairs(gx.inverse_time_decay), (0.8, 4.0, 0.7, 3.0), stairs(inverse_time)),
    Case("cosine_decay_schedule", gx.cosine_decay_schedule, (0.8, 20.0, 0.1, 1.0), cosine, optax.cosine_decay_schedule),
    Case(
        "cosine_decay_schedule, a power",
        gx.cosine_decay_schedule,
        (0.8, 20.0, 0.1, 2.5),
        cosine,
        optax.cosine_decay_schedule,
    ),
    Case(
        "cosine_decay_schedule, a root",
        gx.cosine_decay_schedule,
        (0.8, 20.0, 0.1, 0.5),
        cosine,
        optax.cosine_decay_schedule,
    ),
    Case("cosine_decay_schedule, no length", gx.cosine_decay_schedule, (0.8, 0.0, 0.1, 1.0), cosine),
    Case(
        "warmup_cosine_decay_schedule",
        gx.warmup_cosine_decay_schedule,
        (0.1, 0.8, 5.0, 20.0, 0.02, 1.0),
        warmup_cosine,
        optax.warmup_cosine_decay_schedule,
    ),
    Case(
        "warmup_cosine_decay_schedule, a power",
        gx.warmup_cosine_decay_schedule,
        (0.1, 0.8, 5.0, 20.0, 0.02, 1.5),
        warmup_cosine,
        optax.warmup_cosine_decay_schedule,
    ),
    Case(
        "warmup_cosine_decay_schedule, no warm-up",
        gx.warmup_cosine_decay_schedule,
        (0.1, 0.8, 0.0, 20.0, 0.02, 1.0),
        warmup_cosine,
        optax.warmup_cosine_decay_schedule,
    ),
    Case(
        "warmup_cosine_decay_schedule, no decay",
        gx.warmup_cosine_decay_schedule,
        (0.1, 0.8, 5.0, 5.0, 0.02, 1.0),
        warmup_cosine,
    ),
    Case(
        "piecewise_constant_schedule",
        lambda init, *pairs: gx.piecewise_constant_schedule(init, steps_and_scales(*pairs)),
        (0.8, 5.0, 0.5, 12.0, 3.0),
        piecewise,
        of_pairs(optax.piecewise_constant_schedule),
    ),
    interpolate("linear"),
    interpolate("cosine"),
    Case("join_schedules", join_of(gx), (0.1, 0.8, 5.0, 5.0, 0.8, 0.9, 20.0, 0.03), joined, join_of(optax)),
    Case(
        "then",
        lambda a, b, n, after, c: gx.linear_schedule(a, b, n).then(gx.constant_schedule(c), after=after),
        (0.1, 0.8, 5.0, 9.0, 0.3),
        lambda step, a, b, n, after, c: linear(step, a, b, n) if step < after else c,
    ),
    Case(
        "stretch",
        lambda a, b, n, factor: gx.linear_schedule(a, b, n).stretch(factor),
        (0.1, 0.8, 5.0, 2.0),
        lambda step, a, b, n, factor: linear(step / factor, a, b, n),
    ),
    Case(
        "a schedule as an argument of a schedule",
        lambda a, b, n, end, m: gx.linear_schedule(gx.linear_schedule(a, b, n), end, m),
        (0.1, 0.8, 5.0, 0.3, 20.0),
        lambda step, a, b, n, end, m: linear(step, linear(step, a, b, n), end, m),
    ),
    Case(
        "a schedule as a length",
        lambda a, b, n: gx.inverse_time_decay(0.7, gx.linear_schedule(a, b, n), 0.5),
        (1.0, 4.0, 20.0),
        lambda step, a, b, n: inverse_time(step, 0.7, linear(step, a, b, n), 0.5, 0.0),
    ),
    Case(
        "algebra",
        lambda a, b, n, c, d: (
            -(c - gx.linear_schedule(a, b, n) * 2.0) / (gx.inverse_time_decay(c, 1, d) + d)
            + 1 / gx.constant_schedule(d)
        ),
        (0.1, 0.8, 5.0, 0.3, 0.6),
        lambda step, a, b, n, c, d: -(c - linear(step, a, b, n) * 2.0) / (c / (1 + d * step) + d) + 1 / d,
    ),
]
FALLING = gx.linear_schedule(0.5, 0.1, 10)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield


def expected(case, steps=STEPS, **changes):
    numbers = [changes.get(f"n{k}", x) for k, x in enumerate(case.numbers)]
    with np.errstate(over="ignore"):  # growth without end, under a ceiling
        return np.array([case.formula(step, *numbers) for step in steps])


def curve(schedule, steps=STEPS):
    return jax.vmap(schedule)(jnp.asarray(steps))


def compiled_curve(schedule, steps=STEPS):
    """The curve by a program in which the numbers are constants and the step is not, as in a training loop."""
    return jax.jit(functools.partial(curve, schedule))(jnp.asarray(steps))


def equal(found, wanted, rounding):
    """To ``rounding``, relative to each value, or to the largest where terms cancel."""
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, rtol=rounding, atol=rounding * np.abs(wanted).max() / 10)


# Values ---------------------------------------------------------------------------------------------------------------


@every_case
@pytest.mark.usefixtures("double_precision")
def test_equals_its_formula_also_before_at_and_after_every_edge(case):
    equal(compiled_curve(case.build(*case.numbers)), expected(case), 1e-13)


@every_case
def test_equals_its_formula_in_float32(case):
    found = compiled_curve(case.build(*case.numbers))
    assert found.dtype == jnp.float32
    equal(found, expected(case), 1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case.optax], ids=lambda case: case.name)
def test_equals_the_schedule_of_that_name_in_optax(case):
    theirs = case.optax(*case.numbers)
    steps = STEPS.astype(np.int32)
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes dtypes
        wanted = compiled_curve(theirs, steps)
    equal(compiled_curve(case.build(*case.numbers), steps), wanted, 1e-6)


@every_case
def test_a_step_may_be_a_python_number_an_integer_array_or_a_float_array(case):
    schedule = case.build(*case.numbers)
    values = [schedule(step) for step in (7, np.int64(7), jnp.int32(7), 7.0, jnp.float32(7.0))]
    assert all(value.shape == () and value == values[0] for value in values)


def test_every_factory_of_schedules_has_a_case():
    modules = {_schedule.__name__, _schedules.__name__}
    factories = {name for name, x in vars(gx).items() if getattr(x, "__module__", "") in modules}
    factories = {name for name in factories if hasattr(getattr(gx, name), "call")}
    printed = " ".join(repr(case.build(*case.numbers)) for case in CASES)
    assert {name for name in factories if f"{name}(" not in printed} == {"function_of_step"}  # tested by name below


@pytest.mark.parametrize("length", [3, 7, 41, 47, 55, 61, 97])
def test_a_staircase_falls_at_the_very_step_of_its_boundary(length):
    boundaries = np.arange(1, 500) * length
    schedule = gx.inverse_time_decay(1.0, length, 1.0, staircase=True)
    found = compiled_curve(schedule, boundaries)
    np.testing.assert_allclose(found, 1 / (1 + np.arange(1, 500)), rtol=1e-6)


@pytest.mark.parametrize("factory", [gx.exponential_decay, gx.inverse_time_decay])
def test_a_period_of_no_length_gives_no_nan(factory):
    assert np.isfinite(curve(factory(0.5, 0, 0.9), np.arange(4.0))).all()


def test_a_mapping_of_boundaries_is_the_pairs_of_it_in_order():
    by_mapping = gx.piecewise_interpolate_schedule("linear", 1.0, {20: 0.25, 10: 0.5})
    assert by_mapping == gx.piecewise_interpolate_schedule("linear", 1.0, [(10, 0.5), (20, 0.25)])
    assert float(by_mapping(10)) == 0.5
    assert float(by_mapping(20)) == 0.125


@pytest.mark.parametrize(
    "schedule",
    [gx.piecewise_constant_schedule(0.5), gx.piecewise_interpolate_schedule("cosine", 0.5)],
    ids=["constant", "interpolate"],
)
def test_without_boundaries_a_piecewise_schedule_is_constant(schedule):
    assert curve(schedule).tolist() == [0.5] * len(STEPS)


# Numbers: traced, swept, differentiated -------------------------------------------------------------------------------


@every_case
@pytest.mark.usefixtures("double_precision")
def test_every_number_may_be_traced(case):
    equal(jax.jit(lambda numbers: curve(case.build(*numbers)))(case.numbers), expected(case), 1e-12)


@every_case
def test_the_schedule_itself_goes_through_jit_and_new_numbers_do_not_compile_again(case):
    traces = []

    @jax.jit
    def run(schedule):
        traces.append(schedule)
        return curve(schedule)

    equal(run(case.build(*case.numbers)), expected(case), 1e-6)
    changed = {f"n{k}": x + 0.125 for k, x in enumerate(case.numbers)}
    equal(run(case.build(*changed.values())), expected(case, **changed), 1e-6)
    assert len(traces) == 1


@every_case
@pytest.mark.usefixtures("double_precision")
def test_a_sweep_of_any_number_equals_the_formula_at_each_of_its_values(case):
    sweeps = [np.array([x, 0.75 * x + 0.25, x + 0.5]) for x in case.numbers]

    @jax.jit
    def run(sweeps):
        def swept(k, values):
            schedules = jax.vmap(lambda x: case.build(*case.numbers[:k], x, *case.numbers[k + 1 :]))(values)
            return jax.vmap(curve)(schedules)

        return [swept(k, values) for k, values in enumerate(sweeps)]

    for k, (found, values) in enumerate(zip(run(sweeps), sweeps, strict=True)):
        equal(found, [expected(case, **{f"n{k}": value}) for value in values], 1e-12)


@every_case
def test_derivatives_by_every_number_are_finite_at_every_step(case):
    slope = jax.grad(lambda numbers, step: case.build(*numbers)(step))
    slopes = jax.jit(jax.vmap(slope, (None, 0)))(case.numbers, jnp.asarray(STEPS, jnp.float32))
    broken = {k: STEPS[~np.isfinite(slope)].tolist() for k, slope in enumerate(slopes)}
    assert {k: steps for k, steps in broken.items() if steps} == {}


@every_case
@pytest.mark.usefixtures("double_precision")
def test_derivatives_by_every_number_are_those_of_the_formula(case):
    slopes = jax.jit(jax.jacfwd(lambda numbers: curve(case.build(*numbers), SMOOTH)))(case.numbers)
    for k, x in enumerate(case.numbers):
        if x == 0:  # the edge of a length: it has a derivative to one side only
            continue
        h = 1e-5 * x
        above, below = (expected(case, SMOOTH, **{f"n{k}": x + sign * h}) for sign in (1, -1))
        np.testing.assert_allclose(slopes[k], (above - below) / (2 * h), rtol=1e-6, atol=1e-8)


# Algebra and composition ----------------------------------------------------------------------------------------------

A, B = gx.linear_schedule(0.25, 1.0, 8), gx.exponential_decay(0.5, 4, 0.5)


def rising(step):
    return 0.25 + 0.75 * min(step / 8, 1)


def halving(step):
    return 0.5 * 0.5 ** (step / 4)


@pytest.mark.parametrize(
    "expression",
    [
        *("a + b", "a - b", "a * b", "a / b", "-a", "a - b * 2 / -a"),
        *("a + 2", "2 + a", "a - 2", "2 - a", "a * 2", "2 * a", "a / 2", "2 / a"),
        *("np.float64(2) * a", "np.float32(2) - a", "jnp.float32(2) / a", "a + jnp.float32(2)"),
        *("a * f", "f - a"),
    ],
)
def test_arithmetic_of_schedules_is_that_of_their_values(expression):
    steps = np.arange(12.0)
    a, b = (np.array([f(step) for step in steps], np.float32) for f in (rising, halving))
    schedule = eval(expression, {"np": np, "jnp": jnp, "a": A, "b": B, "f": lambda step: step + 1})
    values = eval(expression, {"np": np, "jnp": jnp, "a": a, "b": b, "f": np.float32(steps + 1)})
    assert isinstance(schedule, gx.Schedule)
    equal(curve(schedule, steps), values, 5e-7)


def test_then_starts_the_next_schedule_from_its_own_step_zero():
    both = gx.constant_schedule(1.0).then(A, after=10).then(B, after=30)
    found = curve(both, np.array([0.0, 9.0, 10.0, 14.0, 29.0, 30.0, 34.0]))
    assert found.tolist() == [1.0, 1.0, 0.25, 0.625, 1.0, 0.5, 0.25]


def test_a_schedule_kept_whole_moves_with_the_one_that_it_is_in():
    inner = gx.linear_schedule(gx.linear_schedule(0.0, 1.0, 2), 1.0, 4)
    steps = np.arange(0, 20, 2.0)
    assert curve(inner.stretch(2), steps).tolist() == curve(inner, steps / 2).tolist()
    assert curve(A.then(inner, after=4), steps + 4).tolist() == curve(inner, steps).tolist()


def test_boundaries_and_factors_may_themselves_be_schedules():
    assert float(A.then(gx.constant_schedule(7.0), after=gx.constant_schedule(4))(4)) == 7.0
    assert float(A.stretch(gx.constant_schedule(2))(8)) == float(A(4))


def test_a_schedule_of_a_run_of_length_one_stretches_to_the_run():
    fractions = gx.warmup_cosine_decay_schedule(0.0, 1e-3, 0.1, 1.0).stretch(10_000)
    steps = gx.warmup_cosine_decay_schedule(0.0, 1e-3, 1_000, 10_000)
    at = np.array([0, 1, 500, 999, 1_000, 1_001, 5_500, 9_999, 10_000, 20_000.0])
    np.testing.assert_allclose(curve(fractions, at), curve(steps, at), rtol=0, atol=1e-9)
    assert float(fractions(1_000)) == pytest.approx(1e-3, rel=1e-6)


# Schedules as values --------------------------------------------------------------------------------------------------

VALUES = {case.name: case.build(*case.numbers) for case in CASES} | {
    "function_of_step": gx.function_of_step(rising),
    "arithmetic with a function": rising * A,
    "piecewise_constant_schedule, no boundaries": gx.piecewise_constant_schedule(1.0),
    "an expression": (2 - A * B).stretch(3).then(-B / A, after=7),
}
every_value = pytest.mark.parametrize("schedule", VALUES.values(), ids=VALUES)


@every_value
def test_prints_as_an_expression_that_makes_it_again(schedule):
    again = eval(repr(schedule), {**vars(gx), "rising": rising})
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert repr(again) == repr(schedule)


@every_value
def test_pickles(schedule):
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule
    assert float(again(3)) == float(schedule(3))


def test_schedules_differ_by_factory_numbers_and_structure():
    values = [
        *VALUES.values(),
        stairs(gx.exponential_decay)(0.8, 4.0, 0.7, 3.5),
        gx.linear_schedule(0.1, 0.9, 8.0, 2.5),
        A + B,
    ]
    assert all((a == b) == (m == n) for m, a in enumerate(values) for n, b in enumerate(values))


def test_replace_exchanges_one_number():
    assert A.replace(end_value=2.0) == gx.linear_schedule(0.25, 2.0, 8)
    assert A.end_value == 1.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: gx.linear_schedule(0.0, 1.0, -5), "transition_steps: expected a number in"),
        (lambda: gx.linear_schedule(0.0, math.nan, 5), "end_value: expected a number, found nan"),
        (lambda: gx.linear_schedule(0.0, "1.0", 5), "end_value: expected a number, a schedule or a function"),
        (lambda: gx.linear_schedule(0.0, True, 5), "end_value: expected a number, a schedule or a function"),
        (lambda: gx.exponential_decay(1.0, 5, 0.9, 0, None, True), "staircase must be given by keyword"),
        (lambda: gx.linear_schedule(0.0, 1.0, transition_step=5), "did you mean 'transition_steps'"),
        (lambda: gx.join_schedules([A, B], [])(0), "one boundary fewer than schedules"),
        (lambda: gx.piecewise_interpolate_schedule("cubic", 1.0)(0), "expected 'linear' or 'cosine', found 'cubic'"),
    ],
    ids=[
        *("a negative length", "nan", "a string", "a bool", "structure by position", "a misspelt keyword"),
        *("a boundary too few", "an unknown interpolation"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(make, says):
    with pytest.raises(gx.TransformationError, match=says):
        make()


# As a learning rate ---------------------------------------------------------------------------------------------------


def updates_of(tx, steps=6):
    """The updates of the first steps, from constant gradients."""
    params = gradients = {"w": jnp.array([1.0, -3.0, 0.2]), "b": jnp.array(0.5)}

    def step(state, _):
        updates, state = tx.update(gradients, state, params)
        return state, updates

    state, updates = jax.jit(lambda: jax.lax.scan(step, tx.init(params), None, length=steps))()
    return updates, state


@pytest.mark.parametrize("factory", [gx.sgd, gx.adam, gx.adamw, gx.rmsprop])
def test_a_constant_schedule_is_the_number(factory):
    scheduled, number = updates_of(factory(gx.constant_schedule(0.1)))[0], updates_of(factory(0.1))[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2**-23), scheduled, number)


@pytest.mark.parametrize(
    ("rate", "values"),
    [
        (FALLING, [0.5, 0.46, 0.42, 0.38, 0.34, 0.3]),
        (lambda step: 0.5 / (step.astype(float) + 1), [0.5, 0.25, 0.5 / 3, 0.125, 0.1, 0.5 / 6]),
        (optax.linear_schedule(0.5, 0.1, 10), [0.5, 0.46, 0.42, 0.38, 0.34, 0.3]),
        (
            optax.join_schedules([lambda step: 0.5, optax.exponential_decay(0.4, 2, 0.25)], [2]),
            [0.5, 0.5, 0.4, 0.2, 0.1, 0.05],
        ),
        (gx.constant_schedule(0.5).then(optax.linear_schedule(0.4, 0.0, 4), after=2), [0.5, 0.5, 0.4, 0.3, 0.2, 0.1]),
        (2 * FALLING - 0.5, [0.5, 0.42, 0.34, 0.26, 0.18, 0.1]),
    ],
    ids=["a schedule", "a function", "of Optax", "joined by Optax", "then of Optax", "an expression"],
)
def test_a_learning_rate_follows(rate, values):
    updates, state = updates_of(gx.sgd(rate))
    np.testing.assert_allclose(updates["w"], -np.outer(values, [1.0, -3.0, 0.2]), rtol=1e-6)
    assert state["count"] == 6


def test_a_plain_function_may_index_a_table_by_the_step():
    table = jnp.array([0.5, 0.25, 0.125, 0.1, 0.05, 0.01])
    updates, _ = updates_of(gx.sgd(lambda step: table[step]))
    np.testing.assert_allclose(updates["b"], -0.5 * table, rtol=1e-6)


def test_hyperparameters_with_a_state_are_the_numbers_of_the_next_update():
    tx = gx.chain(
        gx.clip(gx.constant_schedule(4.0)), gx.adamw(FALLING, 0.8, weight_decay=lambda step: 0.1 * step.astype(float))
    )
    _, state = updates_of(tx, steps=3)
    assert gx.hyperparameters(tx)["adamw.learning_rate"] == FALLING
    now = {name: float(value) for name, value in gx.hyperparameters(tx, state).items()}
    assert now == pytest.approx(
        {
            "clip.max_delta": 4.0,
            "adamw.learning_rate": 0.38,
            "adamw.b1": 0.8,
            "adamw.b2": 0.999,
            "adamw.eps": 1e-8,
            "adamw.eps_root": 0.0,
            "adamw.weight_decay": 0.3,
        },
        rel=1e-6,
    )


def test_hyperparameters_resolve_under_jit():
    tx = gx.sgd(FALLING)
    rates = jax.jit(lambda tx, state: gx.hyperparameters(tx, state)["sgd.learning_rate"])
    assert float(rates(tx, updates_of(tx, steps=5)[1])) == pytest.approx(0.3)


def test_a_schedule_given_a_step_follows_that_and_not_the_count():
    tx, gradient = gx.sgd(FALLING), jnp.array(1.0)
    updates, state = tx.update(gradient, tx.init(gradient), step=5)
    assert float(updates) == pytest.approx(-0.3)
    assert state["count"] == 6


def test_the_rate_of_a_swept_schedule_is_that_of_each_lane():
    ends = jnp.array([0.1, 0.3, 0.5])
    txs = jax.vmap(lambda end: gx.sgd(gx.linear_schedule(0.5, end, 4)))(ends)
    lanes = jax.vmap(lambda tx: tx.update(jnp.array(1.0), {"count": jnp.int32(4)})[0])(txs)
    np.testing.assert_allclose(lanes, -ends, rtol=1e-6)
