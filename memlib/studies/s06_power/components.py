"""The share of each component in a machine's energy, time and area."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.studies.s06_power.array_power import BEST
from memlib.studies.s06_power.machines import NAMES, all_machines
from memlib.studies.shared.trained_networks import label

#: Components with a colour of their own. The others are added up.
COMPONENTS = ("array", "DAC", "ADC", "buffers and registers", "other")
GROUPS = dict.fromkeys(("eDRAM", "bus", "input register", "output register"), "buffers and registers")
#: Layouts in the order of figures, and their marks.
MARKERS = dict(zip(("dense", "2x2", "4x4", "8x8", BEST, "sparse", "sparse, unformed"), "osD^*Pv", strict=True))


def by_component(results: pd.DataFrame) -> pd.DataFrame:
    """Energy (J), latency (s) and area (m2) of an inference by network, layout, technology and component."""
    rows = []
    for machine, technology, labels in all_machines(results):
        cost = machine.cost(technology)
        groups = cost.groupby(cost["component"].map(_group))[["energy", "latency", "area"]]
        for component, sums in groups.sum().reindex(COMPONENTS).iterrows():
            rows.append(labels | {"component": component} | sums.to_dict())
    return pd.DataFrame(rows)


def _group(component: str) -> str:
    return GROUPS.get(component, component if component in COMPONENTS else "other")


def plot_components(frame: pd.DataFrame) -> Figure:
    """Energy, latency and area stacked by component, a row each, and a column per network and technology."""
    columns = list(frame[["checkpoint", "technology"]].drop_duplicates().itertuples(index=False, name=None))
    layouts = [name for name in MARKERS if name in set(frame["layout"])]
    size = (1.4 + (0.42 * len(layouts) + 0.6) * len(columns), 7.2)
    figure, axes = plt.subplots(3, len(columns), figsize=size, sharex=True, squeeze=False)
    quantities = (
        ("energy", "energy (µJ)"),
        ("latency", "share of latency (%)\ntotal above (µs)"),
        ("area", "share of area (%)\ntotal above (mm²)"),
    )
    for (quantity, text), line in zip(quantities, axes, strict=True):
        for (checkpoint, technology), axis in zip(columns, line, strict=True):
            group = frame[(frame["checkpoint"] == checkpoint) & (frame["technology"] == technology)]
            values = group.pivot(index="layout", columns="component", values=quantity).loc[layouts, list(COMPONENTS)]
            _bars(axis, 1e6 * values.fillna(0.0), shares=quantity != "energy")
        line[0].set_ylabel(text)
    for (checkpoint, technology), top in zip(columns, axes[0], strict=True):
        top.set_title(f"{label(checkpoint)}\n{NAMES[technology]}", pad=12)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1), h_pad=1.2)
    return figure


def _bars(axis: Axes, values: pd.DataFrame, shares: bool) -> None:
    total = values.sum(axis=1)
    heights = values.div(total, axis=0) * 100 if shares else values
    bottom = np.zeros(len(values))
    colors = sns.color_palette("colorblind", 10)
    hatches = ("", "//", "", "..", "")
    fills = (colors[0], colors[1], colors[2], colors[8], "0.6")
    for component, color, hatch in zip(values.columns, fills, hatches, strict=True):
        height = heights[component].to_numpy()
        axis.bar(range(len(values)), height, 0.72, bottom, color=color, hatch=hatch, edgecolor="white", label=component)
        bottom += height
    for i, (top, value) in enumerate(zip(bottom, total, strict=True)):
        text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axis.annotate(text, (i, top), (0, 2), textcoords="offset points", ha="center", fontsize=6.5)
    axis.set_xticks(range(len(values)), values.index, rotation=60, ha="right", rotation_mode="anchor")
    axis.set_ylim(0, 112 if shares else 1.12 * total.max())
    axis.grid(axis="x", visible=False)
