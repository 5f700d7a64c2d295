"""The look of figures, their colours and error bars, and the drawing of a figure from its tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def set_style() -> None:
    """Small, quiet axes for print; text stays text in PDFs."""
    sns.set_theme(context="paper", style="ticks", font_scale=0.9)
    mpl.rcParams.update(
        {"figure.dpi": 80, "savefig.dpi": 200, "pdf.fonttype": 42, "axes.grid": True, "grid.alpha": 0.3}
    )


def severity_colors(n: int) -> list[Any]:
    """Dark to light, in an order that survives greyscale and colour blindness."""
    return sns.color_palette("viridis", n)


def errorbars(axis: Axes, x: Any, frame: pd.DataFrame, name: str = "accuracy", **look: Any) -> None:
    """Draw a column of shares, in %, with its intervals from the columns `low` and `high`."""
    y, low, high = (100 * frame[column] for column in (name, "low", "high"))
    style = {"markersize": 3.5, "linewidth": 1, "capsize": 1.5, "elinewidth": 0.8}
    axis.errorbar(x, y, (y - low, high - y), **style | look)


def fix_layout(figure: Figure) -> Figure:
    """Lay a constrained figure out once and for all, as each further time would move it a little."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


@dataclass(frozen=True)
class Drawing:
    """The drawing of a figure from its tables. A `Study` lists its figures so, in `drawings`."""

    plot: Callable[..., Figure]  #: takes the tables, then the parameters by name
    tables: tuple[str, ...]  #: names of csv files, such as "07_capacity_tolerance"
    parameters: tuple[str, ...] = ()  #: names of parameters in the figure's json file
