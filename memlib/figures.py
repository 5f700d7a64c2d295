"""How figures look, and where they land with their data and provenance."""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
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


def errorbars(axis: Axes, x: Any, part: pd.DataFrame, name: str = "accuracy", **look: Any) -> None:
    """Draw a column of shares, in %, with the intervals that `low` and `high` beside it tell."""
    y, low, high = (100 * part[column] for column in (name, "low", "high"))
    style = {"markersize": 3.5, "linewidth": 1, "capsize": 1.5, "elinewidth": 0.8}
    axis.errorbar(x, y, (y - low, high - y), **style | look)


def fix_layout(figure: Figure) -> Figure:
    """Lay a constrained figure out once and for all: each further time, as for showing it, would move it a little."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


@dataclass(frozen=True)
class Drawing:
    """How a figure is drawn from what is kept of it; every study lists its figures so, in FIGURES."""

    plot: Callable[..., Figure]  #: takes the tables, then the parameters by name
    tables: tuple[str, ...]  #: names of csv files, such as "07_capacity_tolerance"
    parameters: tuple[str, ...] = ()  #: names of parameters in the figure's json file


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
