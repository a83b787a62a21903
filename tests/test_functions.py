"""What a function is: two are the same structure where they would compute the same, and never where they would not."""

import functools
import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import TransformationError, adamw, chain, scale, sgd, sweep, transformation
from gradtx._value.functions import LARGE, Look

LIMIT = 1
P = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}


def same(f, g):
    return Look(f).key == Look(g).key and hash(Look(f).key) == hash(Look(g).key)


def closing_over(x):
    return lambda step: x


def with_default(x):
    return lambda step, x=x: x


def with_keyword(x):
    def f(step, *, x=x):
        return x

    return f


def inside_another(x):
    def make():
        return lambda step: x

    return make()


def in_a_tuple(x):
    parts = (1, (x, "a"))
    return lambda step: parts[1][0]


def through_another(x):
    f = closing_over(x)
    return lambda step: f(step)


def partial(x):
    return functools.partial(closing_over(0.0), step=x)


def with_attribute(x):
    def f(step):
        return f.x

    f.x = x
    return f


def about_itself(x):
    def even(step):
        return x if step == 0 else odd(step - 1)

    def odd(step):
        return 0 if step == 0 else even(step - 1)

    return even


class Scaled:
    def __init__(self, x):
        self.x = x

    def at(self, step):
        return self.x


MAKERS = [
    closing_over,
    with_default,
    with_keyword,
    inside_another,
    in_a_tuple,
    through_another,
    partial,
    with_attribute,
    about_itself,
]


@pytest.mark.parametrize("make", MAKERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("x", "other"),
    [
        (0.1, 0.2),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ("a", "b"),
        (None, 0),
        (np.arange(3), np.arange(3.0)),
        ((1,), (1, 1)),
    ],
    ids=str,
)
def test_a_function_is_its_code_and_all_that_it_holds(make, x, other):
    assert same(make(x), make(x))
    assert not same(make(x), make(other))


def test_the_globals_that_a_function_reads_are_part_of_it():
    source = "lambda p: limit * scale(p)"
    names = {"limit": 1, "scale": scale, "not_read": 1}
    f = eval(source, names)
    assert same(f, eval(source, names | {"not_read": 2}))
    assert not same(f, eval(source, names | {"limit": 2}))
    assert not same(f, eval(source, names | {"scale": sgd}))
    assert not same(f, eval("lambda p: limit + scale(p)", names))
    assert not same(f, eval("lambda q: limit * scale(q)", names))  # links ask for arguments by name
    assert same(f, eval(f"\n\n{source}", names))
    g = eval("lambda p: (lambda: limit)()", {"limit": 1})
    assert not same(g, eval("lambda p: (lambda: limit)()", {"limit": 2}))


def test_arrays_are_compared_by_value_and_what_may_change_as_itself():
    for array in (np.arange(3.0), jnp.arange(3.0)):
        assert same(closing_over(array), closing_over(array + 0))
        assert not same(closing_over(array), closing_over(array + 1))
    large = np.zeros(LARGE)
    assert same(closing_over(large), closing_over(large))
    assert not same(closing_over(large), closing_over(large.copy()))
    for changing in ([1], {"a": 1}, {1}, Scaled(1)):
        assert same(closing_over(changing), closing_over(changing))
    assert not same(closing_over([1]), closing_over([1]))
    assert not same(closing_over({"a": 1}), closing_over({"a": 1}))
    a, b = Scaled(1), Scaled(1)
    assert same(a.at, a.at)
    assert not same(a.at, b.at)
    jax.jit(lambda x: [same(closing_over(x), closing_over(x)), Look(closing_over(x + 1))] and x)(1.0)  # tracers


def test_what_can_be_imported_is_itself():
    assert Look(closing_over).reads == []
    assert same(closing_over, pickle.loads(pickle.dumps(closing_over)))
    assert not same(closing_over, with_default)


def test_a_value_equals_one_that_is_made_alike():
    def make(limit, rate=lambda step: 0.1):
        @transformation
        def doubled(factor, *, n=limit):
            return scale(factor * n)

        @transformation
        def twice(factor):
            return chain(doubled(factor), doubled(factor))

        mask = lambda p: jax.tree.map(lambda x: x.ndim > limit, p)  # noqa: E731
        return chain(optax.clip(1.0), optax.adamw(lambda s: 0.1), adamw(rate, mask=mask), twice(2.0))

    assert make(1) == make(1)
    assert hash(make(1)) == hash(make(1))
    assert jax.tree.structure(make(1)) == jax.tree.structure(make(1))
    assert make(1) != make(2)
    assert make(1) != make(1, lambda step: 0.2)
    tx = make(1)
    assert jax.tree.map(jnp.add, tx, make(1)) == jax.tree.map(lambda x: jnp.add(x, x), tx)


def counted():
    """A schedule whose rate may be set, and what sets it."""
    rate = 1.0

    def put(x):
        nonlocal rate
        rate = x

    return sgd(lambda step: rate), put


@pytest.mark.parametrize("first", [0, 1])
def test_a_variable_that_is_bound_again_makes_another_function(first):
    # both are equal when they are made; compiled calls are kept by structure and must not be mixed up
    (a, _), (b, put) = counted(), counted()
    assert a == b
    put(2.0)
    assert a != b
    pair = [(a, -1.0), (b, -2.0)]
    for tx, wanted in (pair[first], pair[1 - first], pair[first]):
        assert float(tx.update(jnp.array(1.0), tx.init(jnp.array(1.0)))[0]) == wanted
    put(1.0)
    assert a == b
    c, _ = counted()
    for tx in (b, c, a):
        assert float(tx.update(jnp.array(1.0), tx.init(jnp.array(1.0)))[0]) == -1.0


def test_an_array_that_is_written_to_makes_another_function():
    a, b = np.ones(2), np.ones(2)
    first, second = (sgd(lambda step, x=x: jnp.asarray(x)[0]) for x in (a, b))
    assert first == second
    b[0] = 2.0
    for tx, wanted in ((first, -1.0), (second, -2.0), (first, -1.0)):
        assert float(tx.update(jnp.array(1.0), tx.init(jnp.array(1.0)))[0]) == wanted


def test_functions_of_a_loop_that_share_a_variable():
    made = [sgd(lambda step: rate) for rate in (1.0, 2.0)]  # noqa: B023
    for tx in made:  # Python's way: both read the last
        assert float(tx.update(jnp.array(1.0), tx.init(jnp.array(1.0)))[0]) == -2.0
    assert made[0] == made[1]


# In sweeps ------------------------------------------------------------------------------------------------------------


def decayed(learning_rate):
    return adamw(learning_rate, weight_decay=0.5, mask=lambda p: jax.tree.map(lambda x: x.ndim > LIMIT, p))


def clipped(learning_rate):
    return chain(optax.clip(1.0), sgd(learning_rate))


def scheduled(learning_rate):
    return chain(sgd(lambda step: jnp.where(step < 5, 0.5, 0.1)), scale(learning_rate))


@pytest.mark.parametrize("make", [decayed, clipped, scheduled], ids=lambda f: f.__name__)
def test_functions_that_are_made_for_each_lane_are_one_program(make):
    rates = np.linspace(0.1, 0.9, 16).tolist()
    population = sweep.grid(make, learning_rate=rates)
    assert len(population.groups) == 1
    lanes = jax.vmap(lambda tx: tx.update(P, tx.init(P), P)[0])(population.tx)
    for n in (0, 15):
        alone = make(rates[n])
        wanted = alone.update(P, alone.init(P), P)[0]
        jax.tree.map(lambda x, y, n=n: np.testing.assert_allclose(x[n], y, rtol=1e-6), lanes, wanted)


def test_lanes_that_look_alike_and_differ_are_said():
    def make(learning_rate, limit=1):
        return adamw(learning_rate, mask=lambda p: jax.tree.map(lambda x: x.ndim > limit, p))

    def of_names(learning_rate):
        names = ["w"]
        return adamw(learning_rate, mask=lambda p: {k: k in names for k in p})

    with pytest.warns(UserWarning, match=r"lanes 0 and 1 look alike and differ in adamw\.mask: .*limit, .*: 1 and 2;"):
        assert len(sweep.stack([make(0.1, 1), make(0.1, 2)]).groups) == 2
    with pytest.warns(UserWarning, match=r"names, which it closes over: two of type list, made anew") as found:
        sweep.grid(of_names, learning_rate=[0.1, 0.2])
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep.stack([sgd(0.1), sgd(0.1, 0.9), adamw(0.1)])
        sweep.grid(sgd, learning_rate=[lambda step: 0.1, closing_over(0.1), closing_over(0.2)])  # as asked
        sweep.grid(adamw, learning_rate=[0.1], mask=["w", "b", None])
        sweep.stack([sgd(lambda step: 0.1), sgd(lambda step: 0.2)])  # as written
    with pytest.raises(TransformationError, match=r"40 lanes of 40 structures.*sgd\.learning_rate.*x, which it clos"):
        sweep.stack([sgd(closing_over(float(rate))) for rate in range(40)])


def test_unpicklable_and_unhashable_structure_is_refused_as_before():
    with pytest.raises(TransformationError, match="mask: expected something hashable"):
        adamw(0.1, mask={1})
    assert gradtx.masked(sgd(0.1), {"w": [True, False]}) == gradtx.masked(sgd(0.1), {"w": [True, False]})
