"""From the power of arrays to what whole machines take: energy, time and area of an inference."""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from memlib.base.canonical import deciding
from memlib.costs.cost_table import cost_of
from memlib.costs.machine import balanced_copies, totals
from memlib.evidence.intervals import Interval, crossed_interval
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN
from memlib.studies.shared.trained_networks import INPUT_SHAPE, by_layer, model_of

#: Names of the technologies in figures and claims.
NAMES = {"isaac": "ISAAC, 32 nm", "li2022": "Li et al. 2022, 22 nm"}


@dataclass(frozen=True)
class Machine:
    """A network in one layout, with the chips whose arrays were measured."""

    checkpoint: str
    layout: str
    chips: pd.DataFrame  #: results of a sweep, a row per chip

    @classmethod
    def of(cls, results: pd.DataFrame, checkpoint: str, layout: str) -> "Machine":
        """The machine with its chips among the results of a sweep."""
        chosen = (results["checkpoint"] == checkpoint) & (results["layout_label"] == layout)
        return cls(checkpoint, layout, results[chosen].sort_values("seed"))

    @property
    def hardware(self) -> dict[str, Hardware]:
        """The hardware of each layer."""
        point = deciding(self.chips.iloc[0].dropna())
        return by_layer(self.checkpoint, {name: point[name] for name in (*FROZEN, "windows") if name in point})

    @property
    def layer_powers(self) -> dict[str, float]:
        """Power of each layer's array, W, mean over chips."""
        powers = self.chips[[name for name in self.chips if name.startswith("W ")]].dropna(axis=1)
        return powers.rename(columns=lambda name: name.removeprefix("W ")).mean().to_dict()

    @property
    def block_powers(self) -> np.ndarray:
        """(chips, blocks of images) what all arrays draw, W."""
        return np.array([json.loads(text) for text in self.chips["blocks"]])

    def cost(self, technology: str, converters: str = "serial", **more: Any) -> pd.DataFrame:
        """The table of `cost_of`, by layer and component."""
        model = model_of(self.checkpoint)
        return cost_of(model, INPUT_SHAPE, self.hardware, self.layer_powers, technology, converters, **more)

    def energies(self, technology: str) -> np.ndarray:
        """(chips, blocks of images) energy of an inference, J. Only the arrays' part differs."""
        table = self.cost(technology)
        array = table[table["component"] == "array"]["energy"].sum()
        return table["energy"].sum() - array + array * self.block_powers / sum(self.layer_powers.values())

    def footprint(self) -> pd.Series:
        """Sums over the layers of `footprint`, such as how often ADCs convert in an inference."""
        return footprint(model_of(self.checkpoint), INPUT_SHAPE, self.hardware).sum(numeric_only=True)

    def interval(self, values: np.ndarray) -> Interval:
        """Mean of (chips, blocks of images) values; its interval covers both."""
        i = crossed_interval(values, low=0, high=math.inf, extra=0)
        return Interval(i.mean, i.low, i.high, i.n, int(self.chips["images"].iloc[0]))

    def with_copies(self, technology: str, **goal: float) -> dict[str, float]:
        """Totals with as many copies of each layer as `balanced_copies` finds for a goal."""
        return whole(self.cost(technology, copies=balanced_copies(self.cost(technology), **goal)))


def whole(cost: pd.DataFrame) -> dict[str, float]:
    """Totals of a cost table; layers are pipelined."""
    machine = totals(cost, pipelined=True)
    names = ("energy", "latency", "interval", "area", "power", "tops_per_watt", "tops_per_mm2")
    sums = {name: getattr(machine, name) for name in names}
    return sums | {"writing_energy": float(cost["writing_energy"].sum())}


def all_machines(results: pd.DataFrame) -> Iterator[tuple[Machine, str, dict[str, str]]]:
    """Every machine of a sweep in every technology, and the columns that name both in a table."""
    simulated = results[["checkpoint", "layout_label"]].drop_duplicates().itertuples(index=False, name=None)
    for (checkpoint, layout), technology in itertools.product(simulated, NAMES):
        labels = {"checkpoint": checkpoint, "layout": layout, "technology": technology}
        yield Machine.of(results, checkpoint, layout), technology, labels


def machines(results: pd.DataFrame) -> pd.DataFrame:
    """A row per machine, technology and kind of converters: energy with its interval, latency, area, efficiency."""
    rows = []
    for machine, technology, labels in all_machines(results):
        i = machine.interval(machine.energies(technology))
        interval = {"energy_low": i.low, "energy_high": i.high, "n": i.n, "images": i.images}
        for converters in ("serial", "parallel"):
            totals_of = whole(machine.cost(technology, converters))
            rows.append({**labels, "converters": converters, **totals_of, **interval})
    return pd.DataFrame(rows)


def comparison(results: pd.DataFrame) -> pd.DataFrame:
    """Sparse beside dense as built, with copies to the sparse machine's area, and with copies to its speed."""
    rows = []
    for checkpoint, technology in itertools.product(dict.fromkeys(results["checkpoint"]), NAMES):
        dense, sparse = (Machine.of(results, checkpoint, layout) for layout in ("dense", "sparse"))
        goal = whole(sparse.cost(technology))
        compared = {
            "sparse": goal,
            "dense": whole(dense.cost(technology)),
            "dense, equal area": dense.with_copies(technology, area=goal["area"]),
            "dense, equal speed": dense.with_copies(technology, interval=goal["interval"]),
        }
        for name, values in compared.items():
            rows.append({"checkpoint": checkpoint, "technology": technology, "machine": name, **values})
    return pd.DataFrame(rows)
