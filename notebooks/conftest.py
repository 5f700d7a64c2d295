"""For the check of the notebooks' outputs: leave out those whose programs are not installed, and say so."""

import os
from pathlib import Path

from memlib.artifact.programs import left_out

os.environ["MEMLIB_PROGRESS"] = os.devnull  # bars are no output of a cell, as when the runner executes the notebooks
REASONS = {path.name: left_out(path) for path in Path(__file__).parent.glob("[0-9][0-9]_*.ipynb")}
collect_ignore = [name for name, why in REASONS.items() if why]


def pytest_report_header():
    return [f"note: {why}" for why in REASONS.values() if why]
