"""What computes here: the versions of the packages that decide results, and the package's own sources."""

import hashlib
import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn")


def versions() -> dict[str, str]:
    """Version of each of `PACKAGES`, without build tags such as +cpu."""
    return {name: version(name).split("+")[0] for name in PACKAGES}


@lru_cache
def source_hash() -> str:
    """SHA-256 over all modules of the package."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@lru_cache
def fingerprint() -> str:
    """What two processes must have in common to compute the same: Python, torch, numpy, and this package's sources."""
    found = versions()
    python = ".".join(platform.python_version_tuple()[:2])
    return f"Python {python}, torch {found['torch']}, numpy {found['numpy']}, memlib sources {source_hash()[:12]}"
