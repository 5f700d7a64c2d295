"""Results of the sweep by what a circuit is, and what is varied of it."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from memlib.evidence.answers import unpack
from memlib.mapping.point_fields import complete
from memlib.studies.run import Run
from memlib.studies.s11_spice.circuits import NOMINAL

#: Most images of a point, which are one deck of ngspice.
BLOCK = 250
#: The fields of a circuit that are varied one at a time, and the parameters that hold their values.
VARIED = {
    "gain": "gains",
    "full_scale": "full_scales",
    "hidden": "widths",
    "input_bits": "input_bits",
    "offset": "offsets",
    "program_error": "program_error",
    "d2d": "d2d",
    "r_wire": "r_wire",
}


def varied(p: SimpleNamespace) -> list[tuple[str, Any]]:
    """Each field of `NOMINAL` that is varied by itself, with each of its values, ascending."""
    values = {field: getattr(p, parameter) for field, parameter in VARIED.items()}
    return [(field, value) for field, several in values.items() for value in sorted(several, key=rank(field))]


def rank(effect: str) -> Callable[[Any], float]:
    """The key that sorts values of a field. 0 bits are exact and come last."""
    return lambda value: value or (math.inf if effect == "input_bits" else 0)


def blocks(images: int) -> list[tuple[int, int]]:
    """First image, and number of images, of each point of so many."""
    return [(first, min(BLOCK, images - first)) for first in range(0, images, BLOCK)]


# Results


class Results:
    """The results of a sweep, found by what a circuit is."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = complete(table, "program_error", "d2d_on", "r_row")
        self.table = table.assign(d2d=table["d2d_on"], r_wire=table["r_row"])

    def rows(self, method: str, images: int, seeds: int, **changes: Any) -> pd.DataFrame:
        """A circuit's results on the first seeds and images, in order; fewer if they were not simulated."""
        t = self.table
        chosen = (t["method"] == method) & (t["seed"] < seeds)
        for name, value in (NOMINAL | changes).items():
            chosen &= t[name] == value
        parts = [t[chosen & (t["first"] == first) & (t["images"] == size)] for first, size in blocks(images)]
        return pd.concat(parts).sort_values(["seed", "first"])

    def hits(self, method: str, images: int, seeds: int, **changes: Any) -> np.ndarray:
        """(seeds, images) 1.0 where right, else 0.0."""
        rows = self.rows(method, images, seeds, **changes)
        by_seed = [
            np.concatenate([unpack(text, size) for text, size in zip(part["correct"], part["images"], strict=True)])
            for _, part in rows.groupby("seed")
        ]
        return np.stack(by_seed).astype(float)


def results_of(run: Run) -> Results:
    """All results of the study."""
    return Results(run.sweep("circuits"))
