"""Problems of the user: a file of arrays (``data.npz``), or a function in a file of Python (``file.py:function``).

Whatever is wrong with them is a `TransformationError` of one line.
"""

import importlib.util
import inspect
import sys
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._cli import problems
from gradtx._cli.problems import Problem
from gradtx._cli.specs import needed_by_loss
from gradtx._training.model import checked, is_initializer
from gradtx._value.errors import TransformationError, in_words, suggest
from gradtx.sweep._choice.direction import direction_of

MOST_CLASSES = 1000


def is_own(text: str) -> bool:
    """Whether a text names a problem of the user, and no built-in one."""
    return text.endswith((".npz", ".py")) or ".py:" in text


def own_problem(text: str, seed: int) -> Problem:
    """The problem of ``data.npz`` or ``file.py:function``."""
    return arrays(Path(text), seed) if text.endswith(".npz") else function(text, seed)


def title(text: str) -> str:
    """A name for the folder of results."""
    return Path(text).stem if text.endswith(".npz") else text.rpartition(":")[2].removesuffix(".py")


# Files of arrays ------------------------------------------------------------------------------------------------------


def arrays(file: Path, seed: int = 0, hidden: tuple[int, ...] = (64, 64)) -> Problem:
    """A perceptron on arrays ``x`` and ``y`` of a file. Held out are ``x_test`` and ``y_test``, or a fifth of the rows.

    Where ``y`` is of floats, or of whole numbers with more than 1,000 values or a value for every fourth row, it is
    regression; else classification, of labels that may be words. ``x`` is standardised by the training rows.
    """
    found = _read(file)
    for name in ("x", "y"):
        if name not in found:
            raise TransformationError(f"{file}: expected arrays x and y, found {', '.join(found) or 'none'}")
    if ("x_test" in found) != ("y_test" in found):
        raise TransformationError(f"{file}: expected x_test and y_test both or neither, found {', '.join(found)}")
    for end in ("", "_test"):
        if f"x{end}" in found:
            _check_rows(file, f"x{end}", found[f"x{end}"], f"y{end}", found[f"y{end}"])
    if len(found["x"]) < 5:
        raise TransformationError(f"{file}: expected at least 5 rows, found {len(found['x']) or 'none'}")
    x, y = found["x"].reshape(len(found["x"]), -1), found["y"]
    held = (found["x_test"].reshape(len(found["x_test"]), -1), found["y_test"]) if "x_test" in found else None
    if held and held[0].shape[1] != x.shape[1]:
        raise TransformationError(
            f"{file}: x_test: expected {x.shape[1]} numbers a row, as x has, found {held[0].shape[1]}"
        )
    if _is_regression(y):
        return _regression(file, x, y, held, seed, hidden)
    return _classification(file, x, y, held, seed, hidden)


def _read(file: Path) -> dict[str, np.ndarray]:
    if not file.is_file():
        raise TransformationError(f"no file {str(file)!r}{_beside(file, '.npz')}")
    try:
        with open(file, "rb") as handle, np.load(handle, allow_pickle=False) as opened:
            found = {}
            for name in opened.files:
                try:
                    found[name] = opened[name]
                except ValueError:
                    raise TransformationError(f"{file}: {name}: expected numbers, found objects of Python") from None
            return found
    except TransformationError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile):
        raise TransformationError(
            f"{file} is no file of arrays: write one by numpy.savez(file, x=..., y=...)"
        ) from None


def _check_rows(file: Path, x_name: str, x: np.ndarray, y_name: str, y: np.ndarray) -> None:
    if x.dtype.kind not in "biuf" or x.ndim < 1:
        raise TransformationError(f"{file}: {x_name}: expected rows of real numbers, found {_described(x)}")
    if y.dtype.kind not in "biufUS" or y.ndim not in (1, 2) or (y.dtype.kind in "US" and y.ndim == 2):
        raise TransformationError(f"{file}: {y_name}: expected numbers or labels, one a row, found {_described(y)}")
    if len(x) != len(y):
        raise TransformationError(
            f"{file}: {x_name} has {len(x)} rows and {y_name} has {len(y)}: they should be as many"
        )
    for name, part in ((x_name, x), (y_name, y)):
        if not part.size:
            what = "expected numbers in its rows, found none" if len(part) else "expected at least one row, found none"
            raise TransformationError(f"{file}: {name}: {what}")
        if part.dtype.kind == "f" and not np.all(np.isfinite(part.astype(np.float64))):
            row = int(np.argwhere(~np.isfinite(part.astype(np.float64)))[0][0])
            raise TransformationError(f"{file}: {name}: row {row} is not finite")


def _described(x: np.ndarray) -> str:
    return f"{x.dtype} of shape {x.shape}"


def _is_regression(y: np.ndarray) -> bool:
    if y.dtype.kind == "f" or (y.ndim == 2 and y.shape[1] != 1):
        return True
    return y.dtype.kind in "iu" and len(np.unique(y)) > min(MOST_CLASSES, max(2, len(y) // 4))


def _regression(file: Path, x: Any, y: Any, held: Any, seed: int, hidden: tuple[int, ...]) -> Problem:
    y = y.reshape(len(y), -1)
    if held is None:
        x, x_held, y, y_held = problems.split(x, y, seed, by=np.array([]))
    else:
        x_held, y_held = held
        if y_held.dtype.kind not in "biuf" or y_held.size != len(y_held) * y.shape[1]:
            raise TransformationError(
                f"{file}: y_test: expected {y.shape[1]} numbers a row, found {_described(y_held)}"
            )
        y_held = y_held.reshape(len(y_held), -1)
    if not np.any(problems.standardised(y)[0]):
        raise TransformationError(f"{file}: y: expected numbers that differ, found {y.flat[0]:g} in every row")
    return problems.regression(file.stem, x, x_held, y, y_held, seed=seed, hidden=hidden)


def _classification(file: Path, x: Any, y: Any, held: Any, seed: int, hidden: tuple[int, ...]) -> Problem:
    labels, y = np.unique(y.reshape(-1), return_inverse=True)
    if len(labels) < 2:
        raise TransformationError(f"{file}: y: expected two classes or more, found one: {labels[0]}")
    if held is None:
        fair = np.min(np.bincount(y)) >= 2 and len(y) // 5 >= len(labels)
        x, x_held, y, y_held = problems.split(x, y, seed, by=None if fair else np.array([]))
    else:
        x_held, words = held[0], held[1].reshape(-1)
        other = next((word for word in words.tolist() if word not in set(labels.tolist())), None)
        if other is not None or len(words) != len(x_held):
            raise TransformationError(f"{file}: y_test: expected labels that y has, found {other!r}")
        y_held = np.searchsorted(labels, words)
    x, x_held = problems.standardised(x, x_held)
    return problems.classification(file.stem, x, x_held, y, y_held, seed=seed, hidden=hidden, classes=len(labels))


# Functions in files ---------------------------------------------------------------------------------------------------


def function(text: str, seed: int = 0) -> Problem:
    """What a function of the user returns: ``loss, params, data``, and ``evaluate`` if it likes.

    It may take ``seed``. The loss may take numbers, ``loss(params, batch, l2=0.0)``; params may be a function of a key.
    """
    path, _, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    file = Path(path)
    if not file.is_file():
        raise TransformationError(f"no file {path!r}{_beside(file, '.py')}")
    module = located(file, lambda: _imported(file))
    known = [key for key, x in vars(module).items() if inspect.isfunction(x) and x.__module__ == module.__name__]
    if not name:
        whole = [key for key in known if set(inspect.signature(vars(module)[key]).parameters) <= {"seed"}]
        first = next(iter(whole), "problem")
        raise TransformationError(f"{path}: say which function: {path}:{first}")
    make = getattr(module, name, None)
    if not callable(make):
        what = suggest(name, known) or f"; it has {', '.join(known) or 'none'}"
        raise TransformationError(f"{path} has no function {name!r}{what}")
    where = f"{path}:{name}"
    given = _arguments(where, make, seed)
    made = located(file, lambda: make(**given))
    if not isinstance(made, tuple) or len(made) not in (3, 4):
        found = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
        raise TransformationError(f"{where}: expected it to return loss, params, data, or also evaluate; found {found}")
    return _checked(where, file, made, seed)


def _arguments(where: str, make: Callable[..., Any], seed: int) -> dict[str, Any]:
    parameters = inspect.signature(make).parameters
    others = [
        name
        for name, p in parameters.items()
        if name != "seed" and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if others:
        raise TransformationError(
            f"{where}: expected a function of nothing or of seed, found one of {', '.join(others)}"
        )
    return {"seed": seed} if "seed" in parameters else {}


def _checked(where: str, file: Path, made: tuple[Any, ...], seed: int) -> Problem:
    loss, params, data, *more = made
    evaluate = cast(Any, more[0] if more else None)
    if not callable(loss):
        raise TransformationError(f"{where}: expected a loss first, a function, found {type(loss).__name__}")
    if evaluate is not None and not callable(evaluate):
        raise TransformationError(f"{where}: expected evaluate last, a function, found {type(evaluate).__name__}")
    if hasattr(data, "__next__"):
        raise TransformationError(
            f"{where}: data: expected arrays, found a {type(data).__name__}: batches in turn are for gradtx.sweep.run"
        )
    for path, x in zip(trees.paths(data), trees.flatten(data)[0], strict=True):
        if x is not None and np.asarray(x).dtype.kind not in "biufcV":
            raise TransformationError(
                f"{where}: data: {path and f'leaf {path}: '}expected numbers, found {np.asarray(x).dtype}"
            )
    sizes = {len(x) if np.ndim(x) else 0 for x in jax.tree.leaves(data)}
    if sizes == {0} and all(map(np.ndim, jax.tree.leaves(data))):
        raise TransformationError(f"{where}: data: expected at least one row, found none")
    if len(sizes) != 1 or sizes == {0}:
        found = ", ".join(str(np.shape(x)) for x in jax.tree.leaves(data)) or "none"
        raise TransformationError(f"{where}: data: expected arrays of as many rows each, found shapes {found}")
    init = params if is_initializer(params) else None
    start = located(file, lambda: checked(where, init(jax.random.key(seed)) if init else params))
    asked = {name: jax.random.key(0) if name == "key" else 0.0 for name in needed_by_loss(loss)}
    found = located(file, lambda: jax.eval_shape(lambda data: loss(start, data, **asked), data))
    if getattr(found, "shape", None) != () or not jnp.issubdtype(found.dtype, jnp.floating):
        raise TransformationError(f"{where}: loss: expected it to return one real number, found {in_words(found)}")
    names: list[str] = []  # in their order, which a tree of JAX would not keep
    if evaluate is not None:
        columns = located(file, lambda: jax.eval_shape(lambda: _named(cast(Any, evaluate)(start), names)))
        if not isinstance(columns, dict):
            raise TransformationError(
                f"{where}: evaluate: expected a mapping from names to numbers, found {in_words(columns)}"
            )
    rows = sizes.pop()
    many = sum(int(getattr(x, "size", 0)) for x in jax.tree.leaves(start))
    count = f"{many:,} parameter{'s' * (many != 1)}"
    summary, metric = f"{where}: {rows} rows to train on, {count}", [*names, "final_loss"][0]
    return Problem(loss, start, data, cast(Any, evaluate), summary, init, metric, direction_of(metric))


def _named(metrics: Any, names: list[str]) -> Any:
    """The metrics as they are; their names are added to a list."""
    names.extend(metrics if isinstance(metrics, dict) else [])
    return metrics


def _imported(file: Path) -> Any:
    name = f"gradtx_problem_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise TransformationError(f"{file} is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(file.parent.resolve()))  # as Python itself does for a program
    spec.loader.exec_module(module)
    return module


def located(file: Path, call: Callable[[], Any]) -> Any:
    """What a call into the user's file returns; an exception in it is told in one line, with the line it comes from."""
    try:
        return call()
    except TransformationError:
        raise
    except (Exception, SystemExit) as error:
        raise TransformationError(told(file, error)) from error


def told(file: Path, error: BaseException) -> str:
    """An exception in a line, with the last line of the file that led to it."""
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == file.resolve()
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == file.resolve():
        lines = [error.lineno]
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError):
        text = "it is compiled, so if, float() and NumPy cannot be used on its arrays: take jax.numpy"
    first = next((line for line in text.splitlines() if line.strip()), "")
    place = f"{file}, line {lines[-1]}" if lines else str(file)
    return f"{place}: {type(error).__name__}{f': {first.strip()}' if first else ''}"


def _beside(file: Path, end: str) -> str:
    folder = file.parent
    return suggest(file.name, [path.name for path in folder.glob(f"*{end}")]) if folder.is_dir() else ""
