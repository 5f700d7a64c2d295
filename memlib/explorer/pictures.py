"""Pictures and numbers of a design, beside those of the design before."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter

from memlib.explorer.views import NOT_SELECTED, ROLES, View
from memlib.studies.s06_power.components import COMPONENTS

#: Width of a picture in inches, and pixels per inch: twice as many as on the page, for sharp text.
WIDTH, DPI = 3.4, 190
_COLORS = sns.color_palette("colorblind", 10).as_hex()
NOW, BEFORE = _COLORS[0], "#8a8a8a"
#: As in 06_power.
COMPONENT_COLORS = (_COLORS[0], _COLORS[1], _COLORS[2], _COLORS[8], "#999999")
#: Colours of `ROLES`, which differ in lightness too.
ROLE_COLORS = ("#ffffff", "#d9d9d9", "#4d4d4d", _COLORS[0], _COLORS[1])
#: Left ends of the axis of accuracies. The largest one below all that is drawn is taken.
LEFT_ENDS = (98, 95, 90, 80, 60, 0)


def png(figure: Figure) -> bytes:
    """The picture as PNG, compressed little, as compressing takes longer than sending."""
    target = io.BytesIO()
    FigureCanvasAgg(figure).print_png(target, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    return target.getvalue()


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches, which are drawn faster than axes that a layout places."""
    w, h = figure.get_size_inches()
    axis = figure.add_axes((left / w, bottom / h, width / w, height / h))
    axis.tick_params(length=2)
    return axis


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, fontsize="medium", loc="left", pad=4)


# Accuracy and energy


def accuracy_picture(view: View, before: View | None) -> Figure:
    """Accuracy of each chip with mean and interval, above that of the design before."""
    figure = _figure(1.8)
    axis, reference = _axes(figure, 0.55, 0.46, 2.7, 1.08), 100 * view.reference.mean()
    least = [reference]
    for y, drawn, color in ((0, view, NOW), (1, before, BEFORE)):
        if drawn is not None and len(drawn.hits):
            least.append(_draw_chips(axis, y, drawn, color))
    axis.axvline(reference, color="0.15", linewidth=1, linestyle="--")
    left = next((end for end in LEFT_ENDS if end <= min(least) - 0.02 * (100 - end)), 0)
    axis.set(xlim=(left, 100 + 0.02 * (100 - left)), ylim=(1.6, -0.6), xlabel="accuracy, % (dashed: float network)")
    axis.set_yticks((0, 1), ("now", "before"))
    axis.grid(axis="y", visible=False)
    _title(axis, "chips, their mean, its 95 % interval")
    return figure


def _draw_chips(axis: Axes, y: int, view: View, color: str) -> float:
    """Draw a dot for each chip, and a bar; return the smallest accuracy drawn, percent."""
    chips, interval = 100 * view.hits.mean(1), view.accuracy
    shift = np.linspace(-0.14, 0.14, len(chips)) if len(chips) > 1 else np.zeros(1)
    axis.plot(chips, y + shift, "o", color=color, markersize=4.5, alpha=0.55, markeredgewidth=0)
    if interval is None:
        return float(chips.min())
    bounds = [[100 * (interval.mean - interval.low)], [100 * (interval.high - interval.mean)]]
    style: dict[str, Any] = {"markersize": 12, "markeredgewidth": 1.6, "elinewidth": 1.6, "capsize": 3.5}
    axis.errorbar([100 * interval.mean], [y], xerr=bounds, fmt="|", color=color, **style)
    return min(float(chips.min()), 100 * interval.low)


def energy_picture(view: View, before: View | None) -> Figure:
    """Energy of an inference by component, with marks at the energies of the design before."""
    figure = _figure(1.8)
    axis = _axes(figure, 1.28, 0.46, 1.97, 1.08)
    places, drawn = np.arange(len(COMPONENTS)), [v.energy for v in (view, before) if v is not None]
    most = max(float(energy.max()) for energy in drawn) or 1e-6
    scale, prefix = next((s, p) for s, p in ((1e9, "n"), (1e6, "µ"), (1e3, "m"), (1, "")) if most * s < 1e3)
    axis.barh(places, scale * drawn[0], 0.62, color=COMPONENT_COLORS)
    if before is not None:
        axis.plot(scale * drawn[1], places, "|", color="black", markersize=13, markeredgewidth=1.6)
    for y, value in zip(places, drawn[0] if view.cost is not None else (), strict=False):
        axis.annotate(
            quantity(float(value), "J"), (scale * value, y), (5, 0), textcoords="offset points", va="center",
            fontsize="small",
        )  # fmt: skip
    axis.set(xlim=(0, 1.34 * scale * most), ylim=(len(COMPONENTS) - 0.45, -0.55))
    axis.set_yticks(places, COMPONENTS)
    axis.locator_params(axis="x", nbins=4)
    axis.set_xlabel(f"energy, {prefix}J" + ("" if before is None else " (mark: before)"))
    axis.grid(axis="y", visible=False)
    _title(axis, "an inference, by component")
    return figure


# The tile


def roles_picture(view: View) -> Figure:
    """What each cell of the tile holds."""
    figure, roles = _figure(2.25), view.tile.roles
    axis, (rows, cols) = _axes(figure, 0.55, 0.42, 1.56, 1.56), roles.shape
    colors = ListedColormap(ROLE_COLORS)
    axis.imshow(roles, cmap=colors, vmin=NOT_SELECTED, vmax=len(ROLES) - 1, **_cell_by_cell(rows, cols))
    axis.set(xlabel="column (output)", ylabel="row (input)")
    _quiet(axis)
    _title(axis, f"tile {view.tile.number} (of {view.tile.count}): what cells hold")
    handles = [
        Patch(facecolor=color, edgecolor="0.4", linewidth=0.5, label=f"{name}: {percent((roles == i).mean(), 0)}")
        for i, (name, color) in enumerate(zip(ROLES, ROLE_COLORS, strict=True))
    ]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.03, 1.03), "borderaxespad": 0.3}
    axis.legend(handles=handles, frameon=False, fontsize="small", handletextpad=0.5, handlelength=1.0, **place)
    return figure


def cells_picture(view: View) -> Figure:
    """Conductances in each physical tile."""
    figure, drawn = _figure(2.25), view.tile.cells
    top, pair, size = 1e6 * view.design.hardware.device.g_on * 1.15, len(drawn) == 2, 1.2 if len(drawn) == 2 else 1.56
    for i, cells in enumerate(drawn):
        axis = _axes(figure, 0.4 + i * (size + 0.1), 0.42, size, 1.56)
        image = axis.imshow(1e6 * cells, cmap=_conductances(), vmin=0, vmax=top, **_cell_by_cell(*cells.shape))
        axis.set_xlabel("column")
        _quiet(axis)
        axis.tick_params(labelleft=i == 0)
        _title(axis, ("positive cells, µS", "negative cells, µS")[i] if pair else "cells and reference, µS")
    bar = _axes(figure, 0.4 + len(drawn) * (size + 0.1), 0.42, 0.09, 1.56)
    figure.colorbar(image, bar, extend="max")
    return figure


def _cell_by_cell(rows: int, cols: int) -> dict[str, Any]:
    """Options of `imshow`: nothing is smoothed, and the first row is at the top."""
    return {"interpolation": "nearest", "aspect": "auto", "extent": (0, cols, rows, 0)}


def _quiet(axis: Axes) -> None:
    axis.grid(False)
    axis.locator_params(nbins=3, integer=True)


def _conductances() -> Colormap:
    return ListedColormap(sns.color_palette("viridis", 256)).with_extremes(bad="white")


# Numbers


@dataclass(frozen=True)
class Number:
    """A number by which a design is judged."""

    name: str
    now: str
    note: str = ""  #: what helps to read it
    before: str = ""
    change: str = ""


def quantity(value: float, unit: str) -> str:
    """A value with 3 digits and a prefix of its unit, such as "12.3 µJ"."""
    return EngFormatter(unit, sep=" ")(float(f"{value:.3g}"))


def percent(share: float, digits: int = 1) -> str:
    """A share in percent, such as "97.3 %"."""
    return f"{100 * share:.{digits}f} %"


def signed(value: float) -> str:
    """A value with sign and one decimal; the minus is as wide as the plus."""
    return f"{value:+.1f}".replace("-", "−")


def numbers(view: View, before: View | None) -> list[Number]:
    """Accuracy, cost and footprint, with those of the design before and the change, a difference or a ratio."""
    return [_accuracy(view, before), *_costs(view, before), *_footprint(view, before)]


def _accuracy(view: View, before: View | None) -> Number:
    if not len(view.hits):
        return Number("accuracy", "…", f"float network {percent(view.reference.mean())}")
    note, interval = f"float network {percent(view.reference.mean())}", view.accuracy
    if interval:
        note = f"{percent(interval.low)} to {percent(interval.high)}; {note}"
    if before is None:
        return Number("accuracy", percent(view.hits.mean()), note)
    gain, change = view.gain(before), ""
    if gain:
        mean, low, high = (signed(100 * value) for value in (gain.mean, gain.low, gain.high))
        change = f"{mean} [{low}, {high}] points"
    return Number("accuracy", percent(view.hits.mean()), note, percent(before.hits.mean()), change)


def _costs(view: View, before: View | None) -> list[Number]:
    costs, now, then = [], view.totals, before and before.totals
    for name, unit, scale in (("energy", "J", 1), ("latency", "s", 1), ("area", "mm²", 1e6)):
        values = [None if t is None else scale * getattr(t, name) for t in (now, then)]
        shown = ["…" if v is None else f"{v:.3g} {unit}" if scale > 1 else quantity(v, unit) for v in values]
        costs.append(_compared(name, values, shown, "per inference" if name == "energy" else ""))
    return costs


def _footprint(view: View, before: View | None) -> list[Number]:
    counts, used = [], view.footprint["cells_used"].sum() / view.footprint["cells_allocated"].sum()
    tables = [view.footprint, None if before is None else before.footprint]
    for column in ("tiles", "cells_allocated", "passes", "conversions"):
        values = [None if table is None else int(table[column].sum()) for table in tables]
        shown = ["…" if v is None else f"{v:,}" if v < 1e5 else quantity(v, "").strip() for v in values]
        note = f"{percent(used, 0)} hold weights" if column == "cells_allocated" else ""
        counts.append(_compared(column.removesuffix("_allocated"), values, shown, note))
    return counts


def _compared(name: str, values: Sequence[float | None], shown: list[str], note: str) -> Number:
    now, then = values
    if then is None or now is None:
        return Number(name, shown[0], note)
    return Number(name, shown[0], note, shown[1], _change(now, then))


def _change(now: float, then: float) -> str:
    """A change as a percentage where it is small, else as a ratio."""
    ratio = now / then
    if now == then:
        return "unchanged"
    return signed(100 * (ratio - 1)) + " %" if 0.5 < ratio < 2 else f"{ratio:.3g} times"
