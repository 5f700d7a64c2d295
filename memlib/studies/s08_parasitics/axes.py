"""Marks, titles, ticks and legends of the study's figures."""

import pandas as pd
from matplotlib.axes import Axes

from memlib.cells.device import Device

MARKERS = "osD^v"


def device_title(device: str) -> str:
    """Name and window of a device preset."""
    d = Device.preset(device)
    return f"{device}\n{d.r_on / 1e3:.4g} to {d.r_off / 1e3:.4g} kΩ"


def tick_sizes(axis: Axes, sizes: pd.Series) -> None:
    """Mark just these sizes of tiles on a logarithmic axis."""
    axis.set_xticks(sorted(set(sizes)), [f"{n}" for n in sorted(set(sizes))])
    axis.minorticks_off()


def legend_outside(axis: Axes, title: str) -> None:
    """Put the legend to the right of the panel."""
    axis.legend(title=title, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, alignment="left")
