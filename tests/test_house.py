"""The house's own rules, for every module of the package: docstrings, short functions, imports that point one way."""

import ast
import itertools
from collections.abc import Iterator
from graphlib import TopologicalSorter

import pytest

from memlib.base.provenance import PACKAGE, reached

MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
}
#: What all else stands on, in this order: each knows only those before it, and what belongs to none of them.
LAYERS = [
    *("device", "tile", "mapping", "placement", "conduction", "programming", "reads", "analog", "chip", "accuracy"),
    *("sweep", "search", "figures", "runner"),
]
LONGEST = 60


def definitions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Functions, classes and methods with their dotted names, those inside others too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{outer}.{node.name}", node
            yield from definitions(node, f"{outer}.{node.name}")
        else:
            yield from definitions(node, outer)


def imports(module: str) -> set[str]:
    """The package's modules that a module imports when it is imported itself."""
    found = set()
    for node in MODULES[module].body:
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_has_a_docstring(module):
    """Modules, classes, functions, methods, and functions inside others; an underscore makes them private."""
    assert ast.get_docstring(MODULES[module])
    public = [(name, node) for name, node in definitions(MODULES[module]) if "._" not in name]
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


def test_imports_point_from_figures_to_devices():
    """No module of the core imports a study, and of `LAYERS` none reaches a later one."""
    core = [module for module in MODULES if not module.startswith("memlib.studies")]
    assert [module for module in core if any(name.startswith("memlib.studies") for name in imports(module))] == []
    for below, above in itertools.combinations(LAYERS, 2):
        assert PACKAGE / f"{above}.py" not in reached(f"memlib.{below}"), f"{below} reaches {above}"
