"""How figures look, and where they land with their data and provenance."""

import json
import platform
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from memlib.claims import Claim
from memlib.identity import PACKAGE, source_hash, versions
from memlib.paths import project_root, write_whole


def set_style() -> None:
    """Small, quiet axes for print; text stays text in PDFs."""
    sns.set_theme(context="paper", style="ticks", font_scale=0.9)
    mpl.rcParams.update(
        {"figure.dpi": 80, "savefig.dpi": 200, "pdf.fonttype": 42, "axes.grid": True, "grid.alpha": 0.3}
    )


def severity_colors(n: int) -> list[Any]:
    """Dark to light, in an order that survives greyscale and colour blindness."""
    return sns.color_palette("viridis", n)


def save(
    figure: Figure, frame: pd.DataFrame, name: str, preset: str, parameters: dict[str, Any], claims: list[Claim] = ()
) -> None:
    """Write `figures/<preset>/<name>` as png and pdf, the tidy data as csv, and provenance with claims as json.

    The bytes depend on the results, the versions and the study's sources alone: no time and no commit.
    """
    folder = project_root() / "figures" / preset
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
    save_table(frame, name, preset)
    content = {
        "name": name,
        "preset": preset,
        "claims": [claim.as_dict() for claim in claims],
        **provenance(parameters, study_of(name)),
    }
    write_whole(folder / f"{name}.json", json.dumps(content, indent=1, sort_keys=True) + "\n")


def save_table(frame: pd.DataFrame, name: str, preset: str) -> None:
    """Write `figures/<preset>/<name>.csv` with 6 significant digits."""
    folder = project_root() / "figures" / preset
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")


def study_of(name: str) -> str | None:
    """The module that a figure is of: "07_capacity_layouts" is of "memlib.studies.capacity"; None if there is none."""
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
