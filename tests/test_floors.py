"""The house stands: imports go down only, files are short, and the door needs jax alone."""

import ast
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

# Floor by floor; on one floor a module may import those that stand before it. Siblings do not import each other at all.
FLOORS = [
    [
        "_errors",
        "_numbers",
        "_squares",
        "tree",
        "_frozen",
        "_links",
        "call",
        "_value",
        "_schedule",
        "_schedules",
        "_warmups",
        "_cycles",
        "_averages",
        "_surfaces",
        "_flat",
        "_lanczos",
        "initializers",
    ],
    ["_checks", "_elementwise", "_pack", "_rules", "_leaf", "_compose", "_transformation", "_objective", "_assertions"],
    ["_primitives.*", "_combinators.chain", "_combinators.fork", "_combinators.*", "_precision"],
    ["_optimizers.*"],
    [
        "_progress",
        "_fit",
        "sweep._rows",
        "sweep._distributions",
        "sweep._population",
        "sweep._selection",
        "sweep._lanes",
        "sweep._evolution",
        "sweep._plan",
        "sweep._units",
        "sweep._processes",
        "sweep._result",
        "sweep._storage",
        "sweep._course",
        "sweep._snapshot",
        "sweep._run",
        "sweep._study",
        "sweep._search",
        "sweep",
        "curvature",
        "diagnostics",
        "sharding",
        "interop",
        "_trials",
        "testing",
    ],
    [
        "_axes",
        "plot",
        "_report.figures",
        "_report.parallel",
        "_report.course",
        "_report.code",
        "_report.page",
        "_tensorboard",
        "_problems",
        "_own_problems",
    ],
    [
        "_catalogue",
        "_race",
        "_commands.words",
        "_commands.specs",
        "_commands.resume",
        "_commands.draw",
        "_commands.sweep",
        "__main__",
    ],
]
SIBLINGS = ("_primitives", "_optimizers")
ROOF = len(FLOORS) - 1  # up here the whole library is used as its users use it, by the door
EXTRAS = {  # who needs more than jax, and imports it where it is used
    "_progress": {"rich"},
    "plot": {"matplotlib"},
    "_report.page": {"plotly"},
    "_tensorboard": {"tensorboardX"},
    "_problems": {"sklearn", "mnist1d"},
    "sweep._storage": {"orbax"},
    "sweep._study": {"optuna", "sqlalchemy"},
    "_commands.words": {"click", "rich"},
    "_commands.resume": {"click", "rich"},
    "_commands.draw": {"click"},
    "_commands.sweep": {"click"},
    "__main__": {"click", "rich"},
    "interop": {"optax", "flax", "torch"},
}
PROGRAM = {
    "_commands.words",
    "_commands.resume",
    "_commands.draw",
    "_commands.sweep",
    "__main__",
}  # imported by nobody who uses the library
UPSTAIRS = {
    "sweep._result": {"plot", "_report.page", "_tensorboard"}
}  # who may reach up inside a function, to show what it has
FREE = {"jax", "numpy"} | sys.stdlib_module_names


def floor_of(module):
    """The floor of a module, and its place there; a package is one place, unless a file of it has its own."""
    package = module.partition(".")[0] + ".*"
    for level, names in enumerate(FLOORS):
        for name in (module, package):
            if name in names:
                return level, names.index(name)
    raise AssertionError(f"gradtx/{module.replace('.', '/')}.py stands on no floor: add it to the table")


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
    level, place = floor_of(module)
    for name, inside in own_imports(module):
        if inside and name in UPSTAIRS.get(module, ()):
            continue
        if name == "":
            assert level == ROOF, f"{module} imports the door"
            continue
        below, there = floor_of(name)
        siblings = module.partition(".")[0] == name.partition(".")[0]
        assert below < level or (below == level and there < place), f"{module} imports {name}, which stands no lower"
        assert not (siblings and module.partition(".")[0] in SIBLINGS), f"{module} imports its sibling {name}"


@pytest.mark.parametrize("module", MODULES)
def test_only_jax_numpy_and_the_standard_library_are_imported_at_the_top_of(module):
    for name, inside in imports(MODULES[module]):
        library = name.partition(".")[0]
        if library not in FREE | {"gradtx"}:
            assert library in EXTRAS.get(module, ()), f"{module} imports {library}, and is not listed as needing it"
            assert inside or module in PROGRAM, f"{module} imports {library} at its top"


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
    rest = [node for node in body if not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign)]
    assert [ast.unparse(node).partition("\n")[0] for node in rest] == [  # what type checkers see; and what opens later
        "if typing.TYPE_CHECKING:", "def __getattr__(name: str) -> typing.Any:", "def __dir__() -> list[str]:"
    ]  # fmt: skip


def test_namespaces_are_opened_where_they_are_first_used():
    code = "import sys, gradtx; before = set(sys.modules); gradtx.sweep.grid; print(*(sys.modules.keys() - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    opened = {name for name in run.stdout.split() if name.startswith("gradtx.")}
    assert "gradtx.sweep._run" in opened
    assert not opened & {"gradtx.curvature", "gradtx.testing"}
    with pytest.raises(AttributeError, match="module 'gradtx' has no attribute 'swep'"):
        gradtx.swep  # noqa: B018
    assert dir(gradtx) == gradtx.__all__


def test_the_door_lists_its_public_names_in_order():
    names = {name for name, x in vars(gradtx).items() if not name.startswith("_") and not inspect.ismodule(x)}
    namespaces = {name for name in gradtx.__all__ if inspect.ismodule(getattr(gradtx, name))}
    assert set(gradtx.__all__) == names | namespaces
    assert namespaces >= {"sweep", "testing", "tree"}
    assert list(gradtx.__all__) == sorted(gradtx.__all__)


RECIPES = {
    f"{module}.{node.name}": node
    for module, path in MODULES.items()
    if module.startswith("_optimizers.")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
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
        "plotly",
        "tensorboardX",
        "rich",
        "typer",
        "click",
        "sklearn",
        "torch",
        "optuna",
        "mnist1d",
    ]
    code = f"import sys, gradtx, gradtx.testing; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
