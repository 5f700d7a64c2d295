"""Where the project keeps what it makes: `figures`, `results` and `data` under one root."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, put in the place of `path` at the end: what fails or is killed leaves the old file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, or leave the old one if killed."""
    with replacing(path) as part:
        part.write_text(text)


def project_root() -> Path:
    """The folder named by MEMLIB_ROOT, else the nearest folder upwards that holds run_all.sh, else the current one."""
    if "MEMLIB_ROOT" in os.environ:
        return Path(os.environ["MEMLIB_ROOT"])
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "run_all.sh").exists()), here)
