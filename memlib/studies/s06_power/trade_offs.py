"""Trade-offs of the layouts: energy for time, time for area, and how much hangs on the energy of a DAC."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from memlib.costs.activity import FETCHES
from memlib.costs.machine import balanced_copies
from memlib.costs.technology import TECHNOLOGIES
from memlib.studies.s06_power.array_power import BEST
from memlib.studies.s06_power.components import MARKERS
from memlib.studies.s06_power.machines import NAMES, Machine
from memlib.studies.shared.trained_networks import label

#: Names of the lines of the trade-off figure.
COPIES = "dense with copies"
FETCH_LINES = {fetch: f"sparse by dense, fetch {fetch}" for fetch in FETCHES}
#: Published energies of a row's DAC at 8 bits, J, or scaled to 8 bits as `Circuit.energy` does.
DAC_ENERGIES = {
    "ZigZag-IMC": 50e-15 * 8 * 0.9**2,
    "Li et al.": TECHNOLOGIES["li2022"].circuits["DAC"].energy(8),
    "ISAAC": TECHNOLOGIES["isaac"].circuits["DAC"].energy(8),
}


def copies_curve(dense: Machine, technology: str) -> pd.DataFrame:
    """Area (m2) and interval (s) of the dense layout from single copies to a thousand times their speed."""
    single = dense.cost(technology)
    layers = single.groupby("layer")[["busy", "area"]].sum()
    rows = []
    for goal in layers["busy"].max() * np.geomspace(1, 1e-3, 40):
        copies = pd.Series(balanced_copies(single, interval=goal))
        rows.append({"area": (layers["area"] * copies).sum(), "interval": (layers["busy"] / copies).max()})
    return pd.DataFrame(rows)


def dac_curve(dense: Machine, sparse: Machine, technology: str, fetch: str) -> pd.DataFrame:
    """Energy of the sparse layout over that of the dense one, by the energy of one DAC use (J)."""
    energy = np.geomspace(1e-14, 1e-9, 61)
    sums = []
    for machine in (dense, sparse):
        cost = machine.cost(technology, fetch=fetch)
        rows = machine.footprint()["row_activations"]
        sums.append(cost[cost["component"] != "DAC"]["energy"].sum() + rows * energy)
    return pd.DataFrame({"dac_energy": energy, "ratio": sums[1] / sums[0]})


def curves(results: pd.DataFrame) -> pd.DataFrame:
    """The lines of the figure: `copies_curve` and `dac_curve` of every network and technology."""
    tables = []
    for checkpoint, technology in itertools.product(dict.fromkeys(results["checkpoint"]), NAMES):
        labels = {"checkpoint": checkpoint, "technology": technology}
        dense, sparse = (Machine.of(results, checkpoint, layout) for layout in ("dense", "sparse"))
        tables.append(copies_curve(dense, technology).assign(line=COPIES, **labels))
        for fetch, line in FETCH_LINES.items():
            tables.append(dac_curve(dense, sparse, technology, fetch).assign(line=line, **labels))
    return pd.concat(tables, ignore_index=True)


def plot_trade_offs(machines: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Energy over latency, speed over area with copies of the dense layout, and what a DAC decides. Rows: technologies.

    Args:
        machines: the table of `s06_power.machines.machines`.
        lines: that of `curves`.
    """
    machines = machines[machines["layout"] != "sparse, unformed"]  # it would lie on the sparse layout's marks
    technologies, checkpoints = (list(machines[name].unique()) for name in ("technology", "checkpoint"))
    colors = dict(zip(checkpoints, sns.color_palette("colorblind"), strict=False))
    figure, axes = plt.subplots(len(technologies), 3, figsize=(10.2, 3.0 * len(technologies) + 0.7), squeeze=False)
    for technology, (trade, copies, dac) in zip(technologies, axes, strict=True):
        for checkpoint, color in colors.items():
            built, line = (
                t[(t["checkpoint"] == checkpoint) & (t["technology"] == technology)] for t in (machines, lines)
            )
            _trade(trade, built, color)
            _copies(copies, built[built["converters"] == "serial"], line[line["line"] == COPIES], color)
            for name, style in zip(FETCH_LINES.values(), ("-", "-."), strict=True):
                ratio = line[line["line"] == name]
                dac.plot(1e12 * ratio["dac_energy"], ratio["ratio"], color=color, linewidth=1.2, linestyle=style)
        _finish(trade, "latency of an inference (µs)", f"{NAMES[technology]}\nenergy of an inference (µJ)")
        _finish(copies, "area (mm²)", "inferences per second")
        _mark_dacs(dac)
    axes[0, 0].set_title("converters serial (filled), parallel (open)")
    axes[0, 1].set_title("pipelined layers; line: dense, with copies")
    axes[0, 2].set_title("solid: inputs fetched every pass; else once")
    _legend(figure, colors, [name for name in MARKERS if name in set(machines["layout"])])
    figure.tight_layout(rect=(0, 0.09, 1, 1), h_pad=1.2, w_pad=1.2)
    return figure


def _trade(axis: Axes, built: pd.DataFrame, color: Any) -> None:
    """Energy over latency of one network, with serial and with parallel converters."""
    for converters, fill in (("serial", color), ("parallel", "white")):
        group = built[built["converters"] == converters]
        family = group[group["layout"] != BEST].sort_values("latency")
        axis.plot(1e6 * family["latency"], 1e6 * family["energy"], color=color, linewidth=0.8, zorder=1)
        _points(axis, group["layout"], 1e6 * group["latency"], 1e6 * group["energy"], color, fill)


def _copies(axis: Axes, built: pd.DataFrame, line: pd.DataFrame, color: Any) -> None:
    """Speed over area of one network, and of its dense layout with copies."""
    axis.plot(1e6 * line["area"], 1 / line["interval"], color=color, linewidth=1)
    _points(axis, built["layout"], 1e6 * built["area"], 1 / built["interval"], color, color)


def _mark_dacs(axis: Axes) -> None:
    """Axes and published energies of the panel about DACs."""
    axis.set_ylim(0.2, 3)
    _finish(axis, "energy of an 8-bit DAC per use (pJ)", "sparse energy / dense energy")
    axis.axhline(1, color="0.4", linewidth=0.8, linestyle=":")
    look: dict[str, Any] = {"ha": "right", "va": "top", "rotation": 90, "fontsize": 6.5, "color": "0.35"}
    for source, energy in DAC_ENERGIES.items():
        axis.axvline(1e12 * energy, color="0.6", linewidth=0.8, linestyle="--")
        place = (1e12 * energy, 0.98), (-2, 0), ("data", "axes fraction"), "offset points"
        axis.annotate(source, *place, **look)


def _points(axis: Axes, layouts: pd.Series, x: pd.Series, y: pd.Series, color: Any, fill: Any) -> None:
    for layout, *place in zip(layouts, x, y, strict=True):
        axis.plot(*place, MARKERS[layout], color=color, markerfacecolor=fill, markersize=5, zorder=2)


def _finish(axis: Axes, x: str, y: str) -> None:
    axis.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    low, high = axis.get_ylim()
    if high / low < 100:  # too few powers of ten for marks
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, colors: dict[str, Any], layouts: Sequence[str]) -> None:
    lines = [plt.Line2D([], [], color=color, label=label(checkpoint)) for checkpoint, color in colors.items()]
    marks = [plt.Line2D([], [], color="0.3", marker=MARKERS[name], linestyle="", label=name) for name in layouts]
    figure.legend(handles=lines, loc="lower center", ncol=len(lines), frameon=False, bbox_to_anchor=(0.5, 0.035))
    figure.legend(handles=marks, loc="lower center", ncol=len(marks), frameon=False)
