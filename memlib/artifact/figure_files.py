"""Where figures land, with their data and provenance."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from memlib.base.files import project_root, write_whole
from memlib.base.provenance import PACKAGE, source_hash, versions
from memlib.evidence.claims import Claim


def save(figure: Figure, name: str, preset: str, parameters: dict[str, Any], claims: Sequence[Claim] = ()) -> None:
    """Write `figures/<preset>/<name>` as png and pdf, and provenance with claims as json.

    The bytes depend on the results, the versions and the study's sources alone: no time and no commit.
    """
    save_picture(figure, name, preset)
    content = {
        "name": name,
        "preset": preset,
        "claims": [claim.as_dict() for claim in claims],
        **provenance(parameters, study_of(name)),
    }
    write_whole(_folder(preset) / f"{name}.json", json.dumps(content, indent=1, sort_keys=True) + "\n")


def save_picture(figure: Figure, name: str, preset: str) -> None:
    """Write `figures/<preset>/<name>` as png and pdf."""
    figure.savefig(_folder(preset) / f"{name}.png", metadata={"Software": None})
    figure.savefig(_folder(preset) / f"{name}.pdf", metadata={"CreationDate": None})


def save_table(frame: pd.DataFrame, name: str, preset: str) -> pd.DataFrame:
    """Write `figures/<preset>/<name>.csv` with 6 significant digits.

    Returns:
        What the file holds: a figure drawn from it can be drawn again from the file, to the same bytes.
    """
    frame.to_csv(_folder(preset) / f"{name}.csv", index=False, float_format="%.6g")
    return read_table(name, preset)


def read_table(name: str, preset: str) -> pd.DataFrame:
    """What `save_table` wrote; only an empty field is a missing value, no text such as "None"."""
    return pd.read_csv(_folder(preset) / f"{name}.csv", keep_default_na=False, na_values=[""])


def _folder(preset: str) -> Path:
    folder = project_root() / "figures" / preset
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def study_of(name: str) -> str | None:
    """The module that a figure is of: "07_capacity_layouts" is of "memlib.studies.s07_capacity"; or None."""
    stem = name.partition("_")[2]
    studies = [path.stem for path in (PACKAGE / "studies").glob("*.py") if stem.startswith(path.stem)]
    return f"memlib.studies.{max(studies, key=len)}" if studies else None


def provenance(parameters: dict[str, Any], module: str | None = None) -> dict[str, Any]:
    """What a figure was made from: parameters, versions, and the hash of the sources that `module` reaches, or all."""
    return {
        "parameters": parameters,
        "python": platform.python_version(),
        "versions": versions(),
        "sources": source_hash(module),
    }
