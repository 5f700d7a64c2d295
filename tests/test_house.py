"""The house's own rules, for every module of the package: docstrings, short functions, imports that point one way."""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

from memlib.base.provenance import PACKAGE

FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): ast.parse(path.read_text()) for path in FILES
}
#: From physics to figures: a package imports from floors below its own only.
FLOORS = (
    *(("base",), ("cells", "wires"), ("layers",), ("mapping",), ("tiles",), ("chip",), ("costs", "circuits")),
    *(("zoo",), ("training",), ("evidence",), ("sweeps",), ("exploration",), ("studies",), ("explorer",)),
    ("artifact",),
)
FLOOR = {package: number for number, floor in enumerate(FLOORS) for package in floor}
FACES = ["memlib", *(f"memlib.{package}" for package in FLOOR)]
LONGEST = 60


def definitions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Functions, classes and methods with their dotted names, those inside others too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{outer}.{node.name}", node
            inside = "" if isinstance(node, ast.ClassDef) else ".<locals>"
            yield from definitions(node, f"{outer}.{node.name}{inside}")
        else:
            yield from definitions(node, outer)


def package_of(module: str) -> str:
    """The folder that a module stands in; empty for those at the top."""
    return module.split(".")[1] if module.count(".") > 1 else ""


def imports(module: str) -> set[str]:
    """What a module imports of the package: modules, and faces by their package's name."""
    found = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "memlib"} - {module}


def modules_in(folder: Path) -> list[str]:
    """Names of the modules that stand in a folder itself."""
    return [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_has_a_docstring(module):
    """Modules, classes, functions and methods; an underscore, or a function around it, makes one private."""
    assert ast.get_docstring(MODULES[module])
    public = [(name, node) for name, node in definitions(MODULES[module]) if not re.search(r"\._|<locals>", name)]
    assert [name for name, node in public if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_short(module):
    """Signature and docstring counted."""
    functions = [(name, node) for name, node in definitions(MODULES[module]) if not isinstance(node, ast.ClassDef)]
    lengths = {name: node.end_lineno - node.lineno + 1 for name, node in functions}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_module_imports_itself_around_a_corner():
    """Imports make no cycle: else this raises CycleError."""
    TopologicalSorter({module: imports(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("package", FLOOR)
def test_a_package_imports_from_the_floors_below(package):
    """Wherever in a module the import stands, and modules only: no face, whose names hide where things are."""
    inside = [module for module in MODULES if package_of(module) == package]
    pairs = [(module, name) for module in inside for name in imports(module) if name != "memlib"]
    above = [(a, b) for a, b in pairs if package_of(b) != package and FLOOR[package_of(b)] >= FLOOR[package]]
    assert above == []
    assert [(a, b) for a, b in pairs if b not in MODULES] == []


@pytest.mark.parametrize("package", FLOOR)
def test_a_package_is_read_at_a_glance(package):
    """Few modules and no folders; in the studies one folder for each that has several modules, and one for all."""
    assert 3 <= len(modules_in(PACKAGE / package)) <= 10
    folders = [path for path in (PACKAGE / package).iterdir() if path.is_dir() and any(path.rglob("*.py"))]
    assert (
        all(re.fullmatch(r"shared|s\d\d_\w+", path.name) for path in folders) if package == "studies" else not folders
    )
    assert [path.name for path in folders if not 3 <= len(modules_in(path)) <= 10] == []


def test_every_folder_has_its_floor():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(FLOOR)


def test_no_two_files_bear_one_name():
    names = Counter(path.name for path in FILES if "studies" not in path.parts and not path.name.startswith("__"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("package", FACES)
def test_a_face_shows_its_names(package):
    """Each name is there, and is no module, which a function of its name would hide or be hidden by."""
    face = importlib.import_module(package)
    assert face.__all__
    assert dir(face) == face.__all__
    assert [name for name in face.__all__ if isinstance(getattr(face, name), ModuleType)] == []
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = face.no_such_name


@pytest.mark.parametrize("package", FACES)
def test_no_module_bears_the_name_of_a_function_beside_it(package):
    """The function, once on the face, would hide the module, or the module the function."""
    folder = PACKAGE.parent.joinpath(*package.split("."))
    names = {path.stem for path in folder.iterdir()}
    assert names & set(importlib.import_module(package).__all__) == set()


def test_importing_faces_imports_nothing_else():
    """Neither torch nor pandas: `import memlib` and tab completion take milliseconds."""
    code = f"import sys, {', '.join(FACES)}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "numpy", "pandas", "matplotlib", "scipy"}
    assert heavy & set(modules) == set()
    ours = {name for name in modules if name.split(".")[0] == "memlib"}
    assert ours == {*FACES, "memlib.base.faces"}
