"""Programs beyond the locked packages. A notebook that needs one is left out without it."""

import json
import shutil
from pathlib import Path

#: Programs that a notebook may name in its metadata, {"memlib": {"programs": [...]}}, and how to get each.
PROGRAMS = {"ngspice": "Debian, Ubuntu: apt-get install ngspice; conda: conda install -c conda-forge ngspice"}


def left_out(path: Path) -> str:
    """Why a notebook cannot run here, and what to install; "" if it can. Raises ValueError for an unknown program."""
    needed = json.loads(path.read_text())["metadata"].get("memlib", {}).get("programs", [])
    for name in needed:
        if name not in PROGRAMS:
            raise ValueError(f"{path.name}: needs {name!r}, which is not among {', '.join(PROGRAMS)} ({__file__})")
    missing = [name for name in needed if shutil.which(name) is None]
    ways = "; ".join(f"to install {name}: {PROGRAMS[name]}" for name in missing)
    return f"{path.stem} is left out, as {' and '.join(missing)} was not found; {ways}" if missing else ""
