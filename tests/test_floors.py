"""The house stands: imports go down only, files are short, and the door needs jax alone."""

import ast
import graphlib
import importlib
import inspect
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import gradtx

HOUSE = Path(gradtx.__file__).parent
MODULES = {
    ".".join(path.relative_to(HOUSE).with_suffix("").parts): path
    for path in sorted(HOUSE.rglob("*.py"))
    if path.name != "__init__.py"
}

# Floor by floor: rooms (folders) and files. On one floor nothing is imported in a circle.
FLOORS = [
    {"_value"},
    {"_schedules", "_tree", "tree", "initializers"},
    {"_rules"},
    {"_links", "_wrappers", "_roles", "_curvature", "_numeric", "projections"},
    {"_optimizers"},
    {"_training", "sweep", "curvature", "_testing", "testing", "_interop", "interop", "_tune", "tune"},
    {"_report", "plot"},
    {"_cli", "_prove", "__main__", "_optax", "optax"},
]
SIBLINGS = ("_links", "_wrappers")  # in these rooms nobody imports a neighbour
ROOF = len(FLOORS) - 1  # up here the whole library is used as its users use it, by the door
EXTRAS = {  # who needs more than jax, and imports it where it is used
    "_training.progress": {"rich"},
    "plot": {"matplotlib"},
    "_report.wandb": {"wandb"},
    "_report.mlflow": {"mlflow", "alembic"},
    "_report.tensorboard": {"tensorboardX"},
    "_report.canvas": {"matplotlib"},
    "_interop.optax": {"optax"},
    "_interop.optax_states": {"optax"},
    "_cli": {"click", "rich"},
    "_cli.problems": {"sklearn", "mnist1d"},
    "_prove.scikit_learn": {"sklearn"},
    "sweep._disk.storage": {"orbax"},
    "sweep._files": {"orbax"},
    "sweep._disk.study": {"optuna", "sqlalchemy"},
    "sweep._studies.forest": {"sklearn"},
    "sweep._engines.sending": {"cloudpickle"},
    "sweep._engines.submitit": {"submitit"},
    "sweep._engines.ray": {"ray"},
    "sweep._engines.dask": {"distributed"},
}
PROGRAM = {"_cli", "__main__"}  # imported by nobody who uses the library
UPSTAIRS = {
    "sweep._result": {"plot", "_report.tensorboard", "_report.wandb", "_report.mlflow"},
    "sweep._files": {"plot", "_report.page"},
    "sweep._studies.horizons": {"_report.studies"},
    "sweep._studies.importance": {"_report.studies"},
    "sweep._studies.lr_finder": {"_report.studies"},
    "_tune.tuned": {"_report.tuning"},
    "_tune.coordinate_check": {"_report.tuning"},
}  # who may reach up inside a function, to show what it has
FREE = {"jax", "numpy"} | sys.stdlib_module_names


def room_of(module):
    """The room of a module: its folder, or the file itself where it stands in the hall."""
    return module.partition(".")[0]


def floor_of(module):
    """The floor of a module: that of its room, unless it has one of its own."""
    for level, names in enumerate(FLOORS):
        if module in names:
            return level
    for level, names in enumerate(FLOORS):
        if room_of(module) in names:
            return level
    raise AssertionError(f"gradtx/{module.replace('.', '/')}.py stands on no floor: add its room to the table")


def imports(path):
    """What a file imports: pairs of a module and whether that happens inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.Lambda) for n in ast.walk(f)}
    for node in ast.walk(tree):
        inside = id(node) in inner
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are written from the door, not relative"
            own = node.module.partition(".")[0] == "gradtx"
            for alias in node.names:  # a file of a package is imported, not the package
                full = f"{node.module}.{alias.name}"
                yield (full if own and full.removeprefix("gradtx.") in MODULES else node.module), inside


def own_imports(module):
    return [
        (name.removeprefix("gradtx").lstrip("."), i)
        for name, i in imports(MODULES[module])
        if name.startswith("gradtx")
    ]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only_from(module):
    level = floor_of(module)
    for name, inside in own_imports(module):
        if inside and name in UPSTAIRS.get(module, ()):
            continue
        if name == "":
            assert level == ROOF, f"{module} imports the door"
            continue
        assert floor_of(name) <= level, f"{module} imports {name}, which stands higher"
        neighbours = room_of(module) == room_of(name) and room_of(module) in SIBLINGS
        assert not neighbours, f"{module} imports its neighbour {name}"


def test_nothing_is_imported_in_a_circle():
    below = {module: {name for name, _ in own_imports(module) if name in MODULES} for module in MODULES}
    for module, names in UPSTAIRS.items():
        below[module] -= names
    assert list(graphlib.TopologicalSorter(below).static_order())


@pytest.mark.parametrize("module", MODULES)
def test_only_jax_numpy_and_the_standard_library_are_imported_at_the_top_of(module):
    for name, inside in imports(MODULES[module]):
        library = name.partition(".")[0]
        if library not in FREE | {"gradtx"}:
            needed = EXTRAS.get(module, set()) | EXTRAS.get(room_of(module), set())
            assert library in needed, f"{module} imports {library}, and is not listed as needing it"
            assert inside or room_of(module) in PROGRAM, f"{module} imports {library} at its top"


def test_who_is_let_upstairs_still_goes_there():
    for module, names in UPSTAIRS.items():
        assert names <= {name for name, inside in own_imports(module) if inside}


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_file_is_longer_than_400_lines(path):
    assert lines_of(path) <= 400


def test_the_median_file_is_shorter_than_150_lines():
    assert statistics.median(lines_of(path) for path in MODULES.values()) < 150


def test_the_door_does_nothing_but_open():
    body = ast.parse((HOUSE / "__init__.py").read_text(encoding="utf-8")).body
    rest = [node for node in body if not isinstance(node, ast.Expr | ast.Import | ast.Assign)]
    assert [ast.unparse(node).partition("\n")[0] for node in rest] == [
        "def __getattr__(name: str) -> typing.Any:", "def __dir__() -> list[str]:"
    ]  # fmt: skip


def test_type_checkers_find_each_name_where_the_door_opens():
    told = ast.parse((HOUSE / "__init__.pyi").read_text(encoding="utf-8")).body
    imports = [node for node in told if isinstance(node, ast.ImportFrom)]
    found = {str(x.asname): (str(node.module), x.name) for node in imports for x in node.names}
    names = {name: home for name, home in found.items() if not name.startswith("_")}
    for node in told:
        if isinstance(node, ast.Assign):
            (name,), of = map(ast.unparse, node.targets), node.value
            assert isinstance(of, ast.Attribute)
            names[name] = ".".join(found[ast.unparse(of.value)]), of.attr
    opened = {name: (f"gradtx.{home}", found) for name, (home, found) in gradtx._HOMES.items()}
    assert names == opened | {name: ("gradtx", name) for name in gradtx._NAMESPACES}
    for name, (home, found) in opened.items():
        assert getattr(gradtx, name) is getattr(importlib.import_module(home), found)


def test_namespaces_are_opened_where_they_are_first_used():
    code = "import sys, gradtx; before = set(sys.modules); gradtx.sweep.grid; print(*(sys.modules.keys() - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    opened = {name for name in run.stdout.split() if name.startswith("gradtx.")}
    assert "gradtx.sweep._run" in opened
    assert not opened & {"gradtx.curvature", "gradtx.interop", "gradtx.projections", "gradtx.testing"}
    with pytest.raises(AttributeError, match="module 'gradtx' has no attribute 'swep'"):
        gradtx.swep  # noqa: B018
    assert dir(gradtx) == gradtx.__all__


def test_the_door_lists_its_public_names_in_order():
    namespaces = {name for name in gradtx.__all__ if inspect.ismodule(getattr(gradtx, name))}
    assert namespaces == set(gradtx._NAMESPACES)
    assert namespaces >= {"sweep", "testing", "tree"}
    assert list(gradtx.__all__) == sorted({*gradtx._HOMES, *namespaces})


RECIPES = {
    f"{module}.{node.name}": node
    for module, path in MODULES.items()
    if module.startswith("_optimizers.")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list and not node.name.startswith("scale_by_")
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_at_most_12_lines(name):
    docstring, *body = RECIPES[name].body
    assert isinstance(docstring, ast.Expr)
    assert body[-1].end_lineno - body[0].lineno + 1 <= 12


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_returns_a_transformation_that_is_made_of_links(name):
    factory = getattr(gradtx, name.rpartition(".")[2])
    assert inspect.signature(factory.call.body).return_annotation in (
        "GradientTransformation",
        gradtx.GradientTransformation,
    )


def test_importing_gradtx_needs_jax_alone():
    heavy = [
        "chex",
        "optax",
        "flax",
        "orbax",
        "matplotlib",
        "wandb",
        "mlflow",
        "tensorboardX",
        "rich",
        "typer",
        "click",
        "sklearn",
        "torch",
        "optuna",
        "mnist1d",
        "submitit",
        "ray",
        "distributed",
    ]
    code = f"import sys, gradtx, gradtx.testing; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
