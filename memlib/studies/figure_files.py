"""Where figures land: pictures, their tables, and their provenance, in figures/<preset>."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from memlib.base.files import project_root, write_whole
from memlib.base.provenance import source_hashes, versions
from memlib.evidence.claims import Claim

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def folder_of(preset: str) -> Path:
    """The folder of a preset's figures; it is made if it is missing."""
    folder = project_root() / "figures" / preset
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_picture(figure: "Figure", name: str, preset: str) -> None:
    """Write `figures/<preset>/<name>` as png and pdf, without times, so equal figures are equal bytes."""
    figure.savefig(folder_of(preset) / f"{name}.png", metadata={"Software": None})
    figure.savefig(folder_of(preset) / f"{name}.pdf", metadata={"CreationDate": None})


def save_table(frame: pd.DataFrame, name: str, preset: str, digits: int | None = None) -> pd.DataFrame:
    """Write `figures/<preset>/<name>.csv` with 6 significant digits, or first round numbers to fewer.

    Returns:
        The file's content. A figure that is drawn from it is drawn from the file to the same bytes.
    """
    if digits:
        frame = frame.map(lambda v: float(f"{v:.{digits}g}") if isinstance(v, float) else v)
    frame.to_csv(folder_of(preset) / f"{name}.csv", index=False, float_format="%.6g")
    return read_table(name, preset)


def read_table(name: str, preset: str) -> pd.DataFrame:
    """Read what `save_table` wrote; only an empty field is a missing value, no text such as "None"."""
    return pd.read_csv(folder_of(preset) / f"{name}.csv", keep_default_na=False, na_values=[""])


def save_provenance(
    name: str, preset: str, parameters: dict[str, Any], modules: Sequence[str], claims: Sequence[Claim]
) -> None:
    """Write `figures/<preset>/<name>.json`: how the figure came about, and the claims that it carries.

    Args:
        modules: dotted names of those that made it; the sources that they reach are named with their hashes.
    """
    content = {
        "name": name,
        "preset": preset,
        "claims": [claim.as_dict() for claim in claims],
        "parameters": parameters,
        "python": platform.python_version(),
        "versions": versions(),
        "sources": source_hashes(modules),
    }
    write_whole(folder_of(preset) / f"{name}.json", json.dumps(content, indent=1, sort_keys=True) + "\n")
