"""Public faces of packages: a name imports its module when it is first asked for (PEP 562).

A package's `__init__` imports its public names under `if TYPE_CHECKING`, where type checkers and editors see them, and
binds `lazy_face(__name__)` in the `else` branch. So each name stands there once, and importing a package is instant.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_face(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package, read from the imports in its `if TYPE_CHECKING`."""
    face = sys.modules[package]
    blocks = [node for node in ast.parse(Path(str(face.__file__)).read_text()).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    modules = {alias.name: str(node.module) for node in imports for alias in node.names}

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules[name]), name)
        setattr(face, name, value)
        return value

    return getattribute, lambda: sorted(modules), sorted(modules)
