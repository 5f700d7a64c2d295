"""The look of figures, their colours and error bars, and the drawing of a figure from its tables."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Of the lines of a panel, in order.
MARKERS = "osD^v<>"


def set_style() -> None:
    """Small, quiet axes for print; text stays text in PDFs."""
    sns.set_theme(context="paper", style="ticks", font_scale=0.9)
    mpl.rcParams.update(
        {"figure.dpi": 80, "savefig.dpi": 200, "pdf.fonttype": 42, "axes.grid": True, "grid.alpha": 0.3}
    )


def severity_colors(n: int) -> list[Any]:
    """Dark to light, in an order that survives greyscale and colour blindness."""
    return sns.color_palette("viridis", n)


def errorbars(axis: Axes, x: Any, frame: pd.DataFrame, name: str = "accuracy", prefix: str = "", **look: Any) -> None:
    """Draw a column of shares, in %, with its intervals from the columns `low` and `high` after a prefix."""
    y, low, high = (100 * frame[column] for column in (name, f"{prefix}low", f"{prefix}high"))
    style = {"markersize": 3.5, "linewidth": 1, "capsize": 1.5, "elinewidth": 0.8}
    axis.errorbar(x, y, (y - low, high - y), **style | look)


def fix_layout(figure: Figure) -> Figure:
    """Lay a constrained figure out once and for all, as each further time would move it a little."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def where(frame: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows that have these values in these columns."""
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


def dodges(n: int, step: float) -> list[float]:
    """Where n things stand that are moved apart by a step about 0, so that their intervals do not hide each other."""
    return [step * (i - (n - 1) / 2) for i in range(n)]


def severity_text(severity: float) -> str:
    """A severity in legends and on axes."""
    return f"{severity:g}" if severity else "off"


def lines(
    axis: Axes,
    frame: pd.DataFrame,
    x: str,
    line: str,
    name: str = "accuracy",
    text: Callable[[Any], str] = severity_text,
    colors: Sequence[Any] = (),
    dodge: float = 0.0,
    **look: Any,
) -> None:
    """Draw a column of shares over `x` with intervals, a line for each value of a column, dark to light.

    Args:
        name: of the column of shares, see `errorbars`.
        text: what the legend calls a value.
        dodge: by how much lines are moved apart.
    """
    values = list(frame[line].unique())
    markers = itertools.cycle(MARKERS)
    looks = zip(values, colors or severity_colors(len(values)), markers, dodges(len(values), dodge), strict=False)
    for value, color, marker, shift in looks:
        part = frame[frame[line] == value].sort_values(x)
        errorbars(axis, part[x] + shift, part, name, label=text(value), color=color, marker=marker, **look)


@dataclass(frozen=True)
class Panels:
    """A grid of axes, one for each of several rows and columns; iterating gives (row, column, axes) of each."""

    figure: Figure
    axes: np.ndarray  #: (rows, columns)
    rows: Sequence[Any]
    columns: Sequence[Any]

    def __iter__(self) -> Iterator[tuple[Any, Any, Axes]]:
        keys = itertools.product(self.rows, self.columns)
        return ((row, column, axis) for (row, column), axis in zip(keys, self.axes.flat, strict=True))


def panels(
    rows: Mapping[Any, str],
    columns: Mapping[Any, str],
    size: tuple[float, float],
    around: tuple[float, float],
    x: str = "",
    **options: Any,
) -> Panels:
    """Axes in a grid, with a title above each column and a label left of each row.

    Args:
        rows: label of each row, by what it shows.
        columns: title of each column, by what it shows.
        size: inches of a panel, width and height.
        around: inches beside and above all panels.
        x: label below each column.
        options: of `plt.subplots`; panels share both axes unless it says otherwise.
    """
    width, height = (inches * n + more for inches, n, more in zip(size, (len(columns), len(rows)), around, strict=True))
    shared: dict[str, Any] = {"figsize": (width, height), "sharex": True, "sharey": True, "squeeze": False}
    figure, axes = plt.subplots(len(rows), len(columns), **shared | options)
    for axis, label in zip(axes[:, 0], rows.values(), strict=True):
        axis.set_ylabel(label)
    for top, bottom, title in zip(axes[0], axes[-1], columns.values(), strict=True):
        top.set_title(title)
        bottom.set_xlabel(x)
    return Panels(figure, axes, list(rows), list(columns))


def tick_values(axis: Axes, values: Iterable[float]) -> None:
    """Mark just these values on a logarithmic axis to the base 2."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(set(values)), [f"{value}" for value in sorted(set(values))])
    axis.minorticks_off()


def legend_beside(axis: Axes, title: str | None = None, x: float = 1.02) -> None:
    """Put the legend to the right of a panel."""
    axis.legend(title=title, loc="center left", bbox_to_anchor=(x, 0.5), frameon=False, alignment="left")


def shared_legend(axis: Axes, loc: str = "upper center", **options: Any) -> None:
    """Put the legend of one panel in a line at the edge of the figure."""
    handles, labels = axis.get_legend_handles_labels()
    look: dict[str, Any] = {"loc": loc, "ncols": len(labels), "frameon": False}
    axis.figure.legend(handles, labels, **look | options)


def note(figure: Figure, text: str, y: float = 0.006, fontsize: str = "small") -> None:
    """Write below a figure what it shows, in as many lines as it takes."""
    figure.text(0.01, y, text, fontsize=fontsize, color="0.3", wrap=True)


@dataclass(frozen=True)
class Drawing:
    """The drawing of a figure from its tables. A `Study` lists its figures so, in `drawings`."""

    plot: Callable[..., Figure]  #: takes the tables, then the parameters by name
    tables: tuple[str, ...]  #: names of csv files, such as "07_capacity_tolerance"
    parameters: tuple[str, ...] = ()  #: names of parameters in the figure's json file
