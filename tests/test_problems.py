"""Problems: real data by name, arrays in a file, functions in a file; and what is said where they are wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx._cli import own_problems, problems

SHAPES = {  # rows to train, rows held out, numbers a row, classes
    "digits": (1437, 360, 64, 10),
    "iris": (120, 30, 4, 3),
    "wine": (142, 36, 13, 3),
    "breast_cancer": (455, 114, 30, 2),
    "mnist1d": (4000, 1000, 40, 10),
}


@pytest.mark.parametrize("name", problems.PROBLEMS)
def test_a_problem_has_its_shapes_and_its_first_loss(name):
    rows, held, wide, classes = SHAPES[name]
    task = problems.PROBLEMS[name](0)
    assert task.data["x"].shape == (rows, wide)
    assert f"{rows} " in task.summary
    assert f"{held} held out" in task.summary
    assert task.data["x"].dtype == np.float32
    assert task.params[-1]["w"].shape[1] == classes
    assert set(np.unique(task.data["y"])) == set(range(classes))
    zero = jax.tree.map(jnp.zeros_like, task.params)
    batch = jax.tree.map(jnp.asarray, task.data)
    assert float(task.loss(zero, batch)) == pytest.approx(np.log(classes), rel=1e-5)
    assert (task.metric, task.better) == ("held_out_accuracy", "higher")
    assert 0 <= float(task.evaluate(task.params)["held_out_accuracy"]) <= 1


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_tables_are_standardised_by_the_rows_that_train(name):
    x = problems.PROBLEMS[name](0).data["x"]
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-5)


def test_curves_leave_the_generators_of_others_alone_and_are_the_published_ones():
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.RandomState(7).rand()
    problems._curves.cache_clear()
    x = problems.mnist1d().data["x"]
    assert np.random.rand() == expected  # noqa: NPY002
    assert abs(float(np.concatenate([x, problems._curves()[1]]).std()) - 1) < 1e-4


def test_a_seed_is_of_split_and_weights():
    a, b, again = problems.iris(0), problems.iris(1), problems.iris(0)
    assert not np.array_equal(a.data["x"], b.data["x"])
    np.testing.assert_array_equal(a.data["x"], again.data["x"])
    made = a.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, made, a.params)


# Arrays in a file -----------------------------------------------------------------------------------------------------


def arrays(tmp_path, **found):
    np.savez(tmp_path / "data.npz", **found)
    return own_problems.own_problem(str(tmp_path / "data.npz"), 0)


def test_words_are_classes_and_a_line_is_learned(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, (100, 2, 2))
    y = np.where(x[:, 0, 0] > 5, "yes", "no")
    task = arrays(tmp_path, x=x, y=y)
    assert task.data["x"].shape == (80, 4)
    assert "20 held out" in task.summary
    fit = gradtx.fit(task.loss, task.params, gradtx.adam(0.01), task.data, steps=200)
    assert float(task.evaluate(fit.params)["held_out_accuracy"]) > 0.8


def test_floats_are_regressed_and_an_error_of_1_is_that_of_the_mean(tmp_path):
    x = np.linspace(-1, 1, 50)[:, None]
    task = arrays(tmp_path, x=x, y=1000 + 30 * x[:, 0], x_test=x, y_test=1000 + 30 * x[:, 0])
    assert (task.metric, task.better) == ("held_out_error", "lower")
    zero = jax.tree.map(jnp.zeros_like, task.params)
    assert float(task.evaluate(zero)["held_out_error"]) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (np.arange(100), "error"),  # a value for every row
        (np.arange(100) % 7 - 3, "accuracy"),
        (np.arange(100) % 2 == 0, "accuracy"),
        (np.arange(100.0) % 2, "error"),
        (np.eye(100, 3), "error"),
        (np.arange(100)[:, None] % 3, "accuracy"),
        (np.array([0] * 99 + [1]), "accuracy"),  # too few of one class to be stratified
    ],
)
def test_what_y_is_decides(tmp_path, y, kind):
    assert kind in arrays(tmp_path, x=np.random.default_rng(0).random((100, 2)), y=y).metric


X = np.zeros((10, 2))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"x": X}, "expected arrays x and y, found x"),
        ({"x": X, "y": np.zeros(9)}, "x has 10 rows and y has 9: they should be as many"),
        ({"x": np.array([{}] * 10), "y": np.zeros(10)}, "x: expected numbers, found objects of Python"),
        ({"x": X.astype("S"), "y": np.zeros(10)}, "x: expected rows of real numbers, found |S"),
        ({"x": X * 1j, "y": np.zeros(10)}, "x: expected rows of real numbers, found complex128 of shape (10, 2)"),
        ({"x": np.array(1.0), "y": np.zeros(10)}, "x: expected rows of real numbers"),
        ({"x": np.where(X == 0, np.nan, X), "y": np.zeros(10)}, "x: row 0 is not finite"),
        ({"x": X, "y": np.zeros(10, int)}, "y: expected two classes or more, found one: 0"),
        ({"x": X[:3], "y": np.arange(3)}, "expected at least 5 rows, found 3"),
        ({"x": X, "y": np.zeros(10), "x_test": X}, "expected x_test and y_test both or neither"),
        (
            {"x": X, "y": np.arange(10) % 2, "x_test": X[:, :1], "y_test": np.arange(10)},
            "x_test: expected 2 numbers a row, as x has, found 1",
        ),
        (
            {"x": X, "y": np.arange(10) % 2, "x_test": X, "y_test": np.arange(10)},
            "y_test: expected labels that y has, found 2",
        ),
    ],
)
def test_wrong_arrays_are_told_in_a_line(tmp_path, found, says):
    with pytest.raises(gradtx.TransformationError) as error:
        arrays(tmp_path, **found)
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_files_that_are_none(tmp_path):
    np.savez(tmp_path / "data.npz", x=X, y=np.zeros(10))
    (tmp_path / "bad.npz").write_text("no arrays")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "data.npz").read_bytes()[:100])
    for name, says in {
        "dat.npz": "did you mean 'data.npz'?",
        "bad.npz": "no file of arrays",
        "cut.npz": "no file of arrays",
    }.items():
        with pytest.raises(gradtx.TransformationError, match=says):
            own_problems.own_problem(str(tmp_path / name), 0)


# Functions in a file --------------------------------------------------------------------------------------------------

GOOD = """
import jax, jax.numpy as jnp
import helper

def loss(params, batch, l2=0.0):
    return jnp.mean((params * batch["x"] - 3 * batch["x"]) ** 2) + l2 * params**2

def plain():
    return loss, helper.start, {"x": jnp.arange(8.0)}

def with_seed(seed):
    return loss, lambda key: jax.random.normal(key), {"x": jnp.arange(8.0) + seed}, lambda p: {"distance": abs(p - 3)}
"""


def function(tmp_path, text, name="make"):
    (tmp_path / "own.py").write_text(text)
    (tmp_path / "helper.py").write_text("start = 0.5\n")
    return own_problems.own_problem(f"{tmp_path}/own.py:{name}", 3)


def test_a_function_with_and_without_a_seed(tmp_path):
    task = function(tmp_path, GOOD, "plain")
    assert float(task.params) == 0.5
    assert (task.metric, task.better, task.rows, task.evaluate, task.init) == ("final_loss", "lower", 8, None, None)
    task = function(tmp_path, GOOD, "with_seed")
    assert float(task.data["x"][0]) == 3
    assert float(task.params) == float(task.init(jax.random.key(3)))
    assert set(task.evaluate(task.params)) == {"distance"}


HEAD = "import jax.numpy as jnp\nimport numpy as np\nloss = lambda p, b: jnp.sum(p) * jnp.mean(b)\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def mak():\n    return 1\n", "has no function 'make' (did you mean 'mak'?)"),
        ("zzz = 1\n", "has no function 'make'; it has none"),
        ("def make(:\n", "own.py, line 1: SyntaxError"),
        ("import sys\n\nsys.exit(3)\n", "own.py, line 3: SystemExit: 3"),
        ("\nimport no_such_module\n", "own.py, line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def make():\n    x = 1\n    return 1 / 0\n", "own.py, line 3: ZeroDivisionError: division by zero"),
        ("def make():\n    raise ValueError('a\\nb')\n", "own.py, line 2: ValueError: a"),
        ("def make(a, b):\n    return 1\n", "expected a function of nothing or of seed, found one of a, b"),
        ("def make():\n    return {}\n", "expected it to return loss, params, data, or also evaluate; found dict"),
        ("def make():\n    return 1, 2\n", "found a tuple of 2"),
        ("def make():\n    return 1, 2, 3\n", "expected a loss first, a function, found int"),
        (HEAD + "def make():\n    return loss, 0., jnp.ones(3), 4\n", "expected evaluate last, a function, found int"),
        (
            HEAD + "def make():\n    return loss, 0., {'a': np.ones(3), 'b': np.ones(4)}\n",
            "of as many rows each, found shapes (3,), (4,)",
        ),
        (HEAD + "def make():\n    return loss, 0., 3.0\n", "of as many rows each, found shapes ()"),
        (HEAD + "def make():\n    return loss, 0., {}\n", "of as many rows each, found shapes none"),
        (
            HEAD + "def make():\n    return loss, 0., {'a': np.array(['b'])}\n",
            "data: leaf a: expected numbers, found <U1",
        ),
        (
            HEAD + "def make():\n    return lambda p, b: b, 0., np.ones(3)\n",
            "loss: expected it to return one real number",
        ),
        (HEAD + "def make():\n    return lambda p, b: p['a'], 0., np.ones(3)\n", "own.py, line 5: "),
        (HEAD + "def make():\n    return lambda p: p, 0., np.ones(3)\n", "own.py: TypeError: "),
        (
            HEAD + "def make():\n    return loss, 'text', np.ones(3)\n",
            "own.py:make: params: expected at least one array, found 'text'",
        ),
        (HEAD + "def make():\n    return loss, 0., np.ones(3), lambda p: p\n", "evaluate: expected a mapping"),
    ],
)
def test_wrong_functions_are_told_in_a_line_with_the_line_of_the_file(tmp_path, text, says):
    with pytest.raises(gradtx.TransformationError) as error:
        function(tmp_path, text)
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_without_a_function_says_how_it_is_written(tmp_path):
    (tmp_path / "own.py").write_text("def make():\n    pass\n")
    with pytest.raises(gradtx.TransformationError, match=r"say which function: .*own\.py:make"):
        own_problems.own_problem(f"{tmp_path}/own.py", 0)
    with pytest.raises(gradtx.TransformationError, match=r"no file .*owl\.py' \(did you mean 'own\.py'\?\)"):
        own_problems.own_problem(f"{tmp_path}/owl.py:make", 0)


# Numbers of any dtype, and columns that say nothing -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64"])
def test_features_are_standardised_in_double_precision_whatever_their_dtype(dtype):
    x = np.random.default_rng(0).uniform(0, 255, (400, 3)).astype(dtype)
    made, held = problems.standardised(x, x[:7])
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(held, made[:7])
    assert made.dtype == np.float32


def test_float16_features_are_learned_as_well_as_float32_ones(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (400, 4))
    y = (x[:, 0] + x[:, 1] > 255).astype(int)
    for dtype in ("float16", "float32"):
        task = arrays(tmp_path, x=x.astype(dtype), y=y)
        fit = gradtx.fit(task.loss, task.params, gradtx.adam(0.01), task.data, steps=200)
        assert float(task.evaluate(fit.params)["held_out_accuracy"]) > 0.93


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1.0, 1e200, 1e307])
def test_the_unit_of_a_feature_does_not_matter(scale):
    x = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(problems.standardised(x * scale)[0], problems.standardised(x)[0], atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "column",
    [np.full(20, 0.1), np.resize([0.1 + 0.2, 0.3], 20), np.zeros(20), np.full(20, -1e4), np.full(20, 7e-5)],
    ids=["a tenth", "a sum and its value", "zero", "large", "small"],
)
def test_a_column_that_is_constant_to_rounding_says_nothing(column, dtype):
    x = np.stack([column, np.arange(20.0)], axis=1).astype(dtype)
    made, held = problems.standardised(x, np.array([[0.2, 3.0], [1e300, 4.0]]))
    np.testing.assert_array_equal(made[:, 0], 0)
    np.testing.assert_array_equal(held[:, 0], 0)
    np.testing.assert_allclose(made[:, 1].std(), 1, rtol=1e-6)


def test_a_column_that_varies_a_little_is_no_constant():
    for dtype, step in [("float64", 1e-12), ("float32", 1e-4), ("float16", 1.0)]:
        x = (1000 + step * np.arange(20.0))[:, None].astype(dtype)
        assert len(np.unique(x)) > 3
        np.testing.assert_allclose(problems.standardised(x)[0].std(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"x": np.zeros((0, 3)), "y": np.zeros(0)}, "data.npz: x: expected at least one row, found none"),
        ({"x": np.zeros((9, 0)), "y": np.zeros(9)}, "data.npz: x: expected numbers in its rows, found none"),
        ({"x": np.ones((9, 2)), "y": np.zeros((9, 0))}, "data.npz: y: expected numbers in its rows, found none"),
        ({"x": np.ones((3, 2)), "y": np.ones(3)}, "expected at least 5 rows, found 3"),
        ({"x": np.eye(9), "y": np.full(9, 0.1)}, "y: expected numbers that differ, found 0.1 in every row"),
        (
            {"x": np.eye(9), "y": np.arange(9), "x_test": np.zeros((0, 9)), "y_test": np.zeros(0)},
            "data.npz: x_test: expected at least one row, found none",
        ),
    ],
)
def test_arrays_without_rows_or_numbers_are_said_in_a_line(tmp_path, found, says):
    with pytest.raises(gradtx.TransformationError, match=says) as error:
        arrays(tmp_path, **found)
    assert len(str(error.value).splitlines()) == 1


# Modules as parameters ------------------------------------------------------------------------------------------------

MODULE = """
import dataclasses
import jax, jax.numpy as jnp

@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Line:
    w: jax.Array
    activation: object = None
    def __call__(self, x):
        return x @ self.w

DATA = {"x": jnp.ones((20, 3)), "y": jnp.ones(20)}

def loss(params, batch):
    return jnp.mean((params(batch["x"]) - batch["y"]) ** 2)

def filtered():
    return loss, Line(jnp.zeros(3)), DATA

def whole():
    return loss, Line(jnp.zeros(3), jax.nn.relu), DATA

def starts():
    return loss, jax.tree_util.Partial(lambda n, key: Line(jax.random.normal(key, (n,))), 3), DATA

def none():
    return loss, Line(jnp.zeros(3)), {"x": jnp.ones((0, 3)), "y": jnp.ones(0)}
"""


def test_a_module_that_can_be_called_is_parameters_and_a_function_of_a_key_is_not(tmp_path):
    task = function(tmp_path, MODULE, "filtered")
    assert task.init is None
    result = gradtx.sweep.run(
        task.loss, task.params, gradtx.sweep.grid(gradtx.sgd, learning_rate=[0.1]), task.data, steps=3
    )
    assert result.params.w.shape == (1, 3)
    assert function(tmp_path, MODULE, "starts").init is not None
    whole = function(tmp_path, MODULE, "whole")
    assert whole.params.activation is jax.nn.relu  # a function among the leaves is a constant
    assert "3 parameters" in whole.summary
    with pytest.raises(gradtx.TransformationError, match=r"own.py:none: data: expected at least one row, found none"):
        function(tmp_path, MODULE, "none")


def test_an_equinox_module_is_trained_by_the_command_line(tmp_path):
    import equinox as eqx

    source = """
import equinox as eqx, jax, jax.numpy as jnp
def make(seed):
    model = eqx.nn.MLP(2, "scalar", 8, 1, key=jax.random.key(seed))
    _, static = eqx.partition(model, eqx.is_array)
    def loss(params, batch):
        return jnp.mean((jax.vmap(eqx.combine(params, static))(batch) - 1.0) ** 2)
    return loss, eqx.filter(model, eqx.is_array), jnp.ones((9, 2))
def whole(seed):
    model = eqx.nn.MLP(2, "scalar", 8, 1, key=jax.random.key(seed))
    return lambda model, batch: jnp.mean((jax.vmap(model)(batch) - 1.0) ** 2), model, jnp.ones((9, 2))
"""
    whole = function(tmp_path, source, "whole")
    assert "33 parameters" in whole.summary
    assert whole.params(jnp.ones(2)).shape == ()
    task = function(tmp_path, source, "make")
    assert task.init is None
    assert isinstance(task.params, eqx.nn.MLP)
