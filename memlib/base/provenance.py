"""Provenance: the versions of the packages that decide results, and hashes of the package's own sources."""

import ast
import hashlib
import platform
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from memlib.base.checks import fail

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn")


def versions() -> dict[str, str]:
    """Version of each of `PACKAGES`, without build tags such as +cpu."""
    return {name: version(name).split("+")[0] for name in PACKAGES}


@lru_cache
def source_hash(folder: Path = PACKAGE) -> str:
    """SHA-256 over all modules of the package in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def source_hashes(modules: Iterable[str]) -> dict[str, str]:
    """The files that modules reach, with the first 12 digits of each one's SHA-256.

    Modules are dotted names, such as "memlib.studies.s06_power.study". Those of other packages are passed over.
    """
    own = [name for name in modules if name.partition(".")[0] == PACKAGE.name]
    files = sorted(set().union(*map(reached, own)))
    return {path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in files}


@lru_cache
def reached(module: str, folder: Path = PACKAGE) -> frozenset[Path]:
    """The files of the package that a module reaches by its imports, wherever in the file they stand; its own too.

    Raises ValueError if the package has no module of this dotted name.
    """
    start = _file_of(module, folder)
    if start is None:
        fail("module", module, f"one of those in {folder}")
    found, left = {start}, [start]
    while left:
        for name in _imported(left.pop()):
            file = _file_of(name, folder) or _file_of(name.rpartition(".")[0], folder)
            if file and file not in found:
                found.add(file)
                left.append(file)
    return frozenset(found)


def _imported(file: Path) -> Iterator[str]:
    """Dotted names of what a file imports: modules, or what stands in them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            before = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            yield from (before + alias.name for alias in node.names)


def _file_of(module: str, folder: Path) -> Path | None:
    package, *parts = module.split(".")
    path = folder.joinpath(*parts)
    candidates = (path / "__init__.py", path.with_name(path.name + ".py")) if package == folder.name else ()
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@lru_cache
def fingerprint() -> str:
    """The text that two processes must share to compute the same: Python, torch, numpy, and this package's sources."""
    found = versions()
    python = ".".join(platform.python_version_tuple()[:2])
    return f"Python {python}, torch {found['torch']}, numpy {found['numpy']}, memlib sources {source_hash()[:12]}"
