"""Where the project keeps what it makes: `figures`, `results` and `data` under one root."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a killed run leaves the old one or the new one, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)


def project_root() -> Path:
    """The folder named by MEMLIB_ROOT, else the nearest folder upwards that holds run_all.sh, else the current one."""
    if "MEMLIB_ROOT" in os.environ:
        return Path(os.environ["MEMLIB_ROOT"])
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "run_all.sh").exists()), here)
