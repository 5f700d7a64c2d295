"""Sweeps as data: what to evaluate and where to keep it, as a study or a TOML file says it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memlib.base.checks import fail, is_number, one_of
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
from memlib.sweeps.engine import Seeds, sweep
from memlib.sweeps.points import Axes, Evaluate, import_function

FIELDS = ("evaluate", "axes", "points", "seeds", "store")


@dataclass(frozen=True)
class Plan:
    """What to evaluate, and where to keep it."""

    parts: tuple[tuple[Axes, Seeds], ...]  #: axes or points, and their seeds
    evaluate: Evaluate
    store: Path

    def run(self, **options: Any) -> pd.DataFrame:
        """Evaluate what is not finished yet, and return the results of all parts, one below another.

        Arguments and errors are those of `sweep`.
        """
        for axes, seeds in self.parts:  # all are tried before the errors of any are raised
            sweep(axes, self.evaluate, self.store, seeds, **(options | {"errors": "keep"}))
        options = options | {"retry": False}
        tables = [sweep(axes, self.evaluate, self.store, seeds, **options) for axes, seeds in self.parts]
        return pd.concat(tables, ignore_index=True)


def file_plan(path: Path) -> Plan:
    """The sweep that a TOML file describes.

        evaluate = "my_study:evaluate"        # module:function; the module is installed, or in the current folder
        seeds = 10                            # or a list, or { width = 0.01, of = "accuracy", first = 5, most = 50 }
        store = "results/my_study.sqlite"     # default: results/<name of this file>.sqlite in the current folder

        [axes]                                # all combinations; or [[points]], one table for each point
        rows = [64, 128]
        adc_bits = [4, 6, 8]

    Raises ValueError for a file that is not TOML, an unknown or missing field, or a value that cannot be.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a sweep ({error})") from error
    for name in content:
        one_of(f"{path}: field", name, FIELDS)
    if not isinstance(content.get("evaluate"), str) or ("axes" in content) == ("points" in content):
        raise ValueError(f"{path}: must have 'evaluate', and either [axes] or [[points]]")
    kinds = {"points": (list, "[[points]], a table each"), "axes": (dict, "a table of lists"), "store": (str, "a text")}
    for name, (kind, what) in kinds.items():
        if not isinstance(content.get(name, kind()), kind):
            fail(f"{path}: {name}", content[name], what)
    for name, values in content.get("axes", {}).items():
        if not isinstance(values, list):
            fail(f"{path}: axes.{name}", values, "a list of values")
    axes = content["axes"] if "axes" in content else content["points"]
    seeds = _seeds(path, content.get("seeds", 10))
    try:
        evaluate = import_function(content["evaluate"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Plan(((axes, seeds),), evaluate, Path(content.get("store", f"results/{path.stem}.sqlite")))


def _seeds(path: Path, value: Any) -> Seeds:
    if isinstance(value, dict):
        try:
            return AdaptiveSeeds(**value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: seeds: {error}") from error
    if isinstance(value, list):
        return value
    if not is_number(value) or not isinstance(value, int) or value < 1:
        fail(f"{path}: seeds", value, "a number of seeds, a list of them, or a table with a width")
    return range(value)
