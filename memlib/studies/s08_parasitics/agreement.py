"""The same column currents by three programs: the solver of tiles, nodal analysis, and ngspice."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.cells.device import Device
from memlib.studies.drawing import MARKERS, legend_beside, tick_values
from memlib.studies.run import Run
from memlib.studies.s08_parasitics.arrays import V0, uniform_conductances, uniform_voltages
from memlib.wires import ngspice
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance

#: Sizes of the arrays whose currents are compared, and resistances, ohm.
SIZES = (2, 4, 8, 16, 32, 64)
RESISTANCES = {
    "wires": Wires(row=1.0, col=1.0),
    "wires, drivers": Wires(row=1.0, col=1.0, driver=50.0),
    "wires, sense": Wires(row=1.0, col=1.0, sense=20.0),
    "wires, transistors": Wires(row=1.0, col=1.0, transistor=1e3),
    "all, unequal wires": Wires(row=0.5, col=5.0, driver=50.0, sense=20.0, transistor=1e3),
}
#: For those who have no ngspice.
NO_NGSPICE = (
    "ngspice was not found. To compare with it, install it (Debian, Ubuntu: apt-get install ngspice; conda: "
    "conda install -c conda-forge ngspice) and run this notebook again."
)


def agreement(sizes: Sequence[int]) -> pd.DataFrame:
    """Column currents of the same arrays by three programs.

    Returns:
        A row per size, resistances and law of the cells. "current" is that of the last column, A, by `wires.nodal`;
        "parasitics" and "ngspice" are the largest relative differences of any column to it, by `wires.solver` (linear
        cells only) and by ngspice (nan if it is missing); "ngspice current" is ngspice's.
    """
    rows = []
    for size, (name, wires), v0 in itertools.product(sizes, RESISTANCES.items(), (None, V0[0])):
        g, v = uniform_conductances(Device(), size, 1)[0], uniform_voltages(size, 1)[0, 0]
        currents = solve_array(g, v, wires, v0).output_currents
        others = {"parasitics": None if v0 else (v @ effective_conductance(g, *wires)).numpy()}
        others["ngspice"] = ngspice.array_currents(g, v, wires, v0) if ngspice.find_ngspice() else None
        row = {"size": size, "resistances": name, "cells": "sinh" if v0 else "linear", "current": currents[-1]}
        row |= {k: np.nan if i is None else np.abs(i / currents - 1).max() for k, i in others.items()}
        rows.append(row | {"ngspice current": np.nan if others["ngspice"] is None else others["ngspice"][-1]})
    return pd.DataFrame(rows)


def agreement_of(run: Run) -> pd.DataFrame:
    """The `agreement` on arrays up to half the largest tile, as ngspice's time grows fast with a mesh."""
    return agreement([size for size in SIZES if 2 * size <= max(run.p.tile_sizes)])


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """The differences of an `agreement`, which are rounding: they differ between computers."""
    return table[["size", "resistances", "cells", "parasitics", "ngspice"]]


def currents(table: pd.DataFrame, column: str = "current") -> pd.DataFrame:
    """The currents of an `agreement`, the same on every computer; in `column` those of nodal analysis or ngspice."""
    return table[["size", "resistances", "cells", column]].rename(columns={column: "current"})


def verdict(table: pd.DataFrame) -> str:
    """Whether all currents of an `agreement` are equal, in words, and how to get ngspice if it is missing."""
    lines = []
    for name, limit in (("parasitics", 1e-10), ("ngspice", 1e-6)):
        largest = table[name].max()
        if np.isnan(largest):
            lines.append(f"{name}: not compared. {NO_NGSPICE}")
            continue
        answer = "yes" if largest < limit else "NO"
        lines.append(f"{name} agrees with nodal analysis within {limit:g}: {answer} (largest difference {largest:.1e})")
    return "\n".join(lines)


def plot_agreement(table: pd.DataFrame) -> Figure:
    """`differences` over the size of arrays. Open marks are sets of resistances, lines join the largest."""
    figure, axis = plt.subplots(figsize=(5.6, 3.0))
    kinds = [("parasitics", "linear"), ("ngspice", "linear"), ("ngspice", "sinh")]
    for (name, cells), color, marker in zip(kinds, sns.color_palette("colorblind"), MARKERS, strict=False):
        group = table[(table["cells"] == cells) & table[name].notna()]
        if group.empty:
            continue
        shown = group.assign(difference=group[name].clip(lower=2**-53))
        largest = shown.groupby("size")["difference"].max()
        axis.plot(shown["size"], shown["difference"], marker, color=color, markersize=3.5, markerfacecolor="none")
        axis.plot(largest.index, largest, color=color, marker=marker, markersize=3.5, label=f"{name}, {cells} cells")
    axis.axhline(2**-52, color="0.5", linewidth=0.8, linestyle=":")
    axis.set(yscale="log", xlabel="rows and columns", ylabel="largest relative difference\nto nodal analysis")
    tick_values(axis, table["size"])
    legend_beside(axis, "filled: the largest of\n5 sets of resistances;\ndotted: float64's rounding")
    figure.tight_layout()
    return figure
