"""Draws figures again from their committed tables, without a data set, a network or a simulation.

    python -m memlib.artifact.redraw --preset paper [--only 05]

A figure's json file stays as it is: it says what computed the tables.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from matplotlib import pyplot as plt

from memlib.base.files import project_root
from memlib.base.progress_bar import progress
from memlib.studies.drawing import set_style
from memlib.studies.figure_files import read_table, save_picture
from memlib.studies.registry import study_of_figure
from memlib.sweeps.cluster import what_fits

DRAWING_MEMORY = 0.8e9  #: of a process that draws, B


def figures(preset: str, only: str = "") -> list[Path]:
    """The json files of a preset's figures whose names start with `only`. Raises ValueError if there are none."""
    folder = project_root() / "figures" / preset
    known = sorted(folder.glob("[0-9][0-9]_*.json"))
    chosen = [path for path in known if path.stem.startswith(only)]
    if not chosen:
        there = ", ".join(path.stem for path in known) or "none"
        raise ValueError(f"{folder}: has no figure whose name starts with {only!r}; there are: {there}")
    return chosen


def redraw(path: Path) -> None:
    """Draw the figure of a json file again, from the tables beside it.

    Raises ValueError for a figure that no study knows, or a table, column or parameter that is missing.
    """
    how, preset = study_of_figure(path.stem).drawings[path.stem], path.parent.name
    set_style()
    try:
        content = json.loads(path.read_text())
        tables = [read_table(name, preset) for name in how.tables]
        parameters = {name: content["parameters"][name] for name in how.parameters}
        figure = how.plot(*tables, **parameters)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: its table {error.filename} is missing; restore it, or run its notebook") from error
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: it, or a table of {list(how.tables)}, is damaged or lacks {error}") from error
    save_picture(figure, path.stem, preset)
    plt.close(figure)


def _failure(path: Path) -> str:
    try:
        redraw(path)
    except ValueError as error:
        return str(error)
    return ""


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="run_all.sh redraw", description="Draw figures again from their tables.")
    parser.add_argument("--preset", default="paper", help="folder in figures/ (default: paper)")
    parser.add_argument("--only", metavar="05", default="", help="only figures whose name starts so")
    arguments = parser.parse_args(argv)
    try:
        chosen = figures(arguments.preset, arguments.only)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    workers = min(what_fits(DRAWING_MEMORY), len(chosen))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:  # starts no process before it is needed
        drawn = pool.map(_failure, chosen) if workers > 1 else map(_failure, chosen)
        failures = list(progress(drawn, total=len(chosen), unit="figures"))
    for failure in filter(None, failures):
        print(f"error: {failure}", file=sys.stderr)
    print(f"drew {failures.count('')} of {len(chosen)} figures in {chosen[0].parent}")
    return 1 if any(failures) else 0


if __name__ == "__main__":
    from memlib.artifact.redraw import main as imported  # the name by which other processes know what it sends

    sys.exit(imported())
