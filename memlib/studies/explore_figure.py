"""What the page explore draws and says of a design: two pictures, and a row of numbers beside those before."""

import io
from dataclasses import dataclass

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter

from memlib.studies.explore import NOT_SELECTED, ROLES, View
from memlib.studies.power import COMPONENTS

#: Pixels of a picture, and its resolution: drawn at twice the size of the page, so that text is sharp.
WIDTH, CHART_HEIGHT, MAP_HEIGHT, DPI = 1520, 440, 560, 190
_COLORS = sns.color_palette("colorblind", 10).as_hex()
NOW, BEFORE = _COLORS[0], "#8a8a8a"
#: As in 06_power.
COMPONENT_COLORS = (_COLORS[0], _COLORS[1], _COLORS[2], _COLORS[8], "#999999")
#: Of `ROLES`, different in lightness too.
ROLE_COLORS = ("#ffffff", "#d9d9d9", "#4d4d4d", _COLORS[0], _COLORS[1])
#: Left ends of the axis of accuracies; the largest below all that is drawn is taken.
LEFT_ENDS = (98, 95, 90, 80, 60, 0)


def png(figure: Figure) -> bytes:
    """The picture; little compressed, as that takes longer than sending it."""
    target = io.BytesIO()
    FigureCanvasAgg(figure).print_png(target, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    return target.getvalue()


def _figure(height: int) -> Figure:
    return Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")


# Accuracy and energy


def chart(view: View, before: View | None) -> Figure:
    """Accuracy of each chip with its interval, and energy by component, beside those of the design before."""
    figure = _figure(CHART_HEIGHT)
    height = CHART_HEIGHT / DPI
    boxes = ((0.085, 0.4), (0.715, 0.27))
    accuracy, energy = (
        figure.add_axes((left, 0.5 / height, width, 1 - 0.78 / height)) for left, width in boxes
    )
    _draw_accuracy(accuracy, view, before)
    _draw_energy(energy, view, before)
    return figure


def _draw_accuracy(axis: Axes, view: View, before: View | None) -> None:
    reference = 100 * view.reference.mean()
    least = [reference]
    for y, drawn, color in ((0, view, NOW), (1, before, BEFORE)):
        if drawn is None or not len(drawn.hits):
            continue
        chips, interval = 100 * drawn.hits.mean(1), drawn.accuracy
        shift = np.linspace(-0.12, 0.12, len(chips)) if len(chips) > 1 else np.zeros(1)
        axis.plot(chips, y + shift, "o", color=color, markersize=5, alpha=0.55, markeredgewidth=0)
        least += list(chips)
        if interval:
            bounds = [[100 * (interval.mean - interval.low)], [100 * (interval.high - interval.mean)]]
            style = {"markersize": 13, "markeredgewidth": 1.8, "elinewidth": 1.8, "capsize": 4}
            axis.errorbar([100 * interval.mean], [y], xerr=bounds, fmt="|", color=color, **style)
            least.append(100 * interval.low)
    axis.axvline(reference, color="0.15", linewidth=1, linestyle="--")
    left = next((end for end in LEFT_ENDS if end <= min(least) - 0.02 * (100 - end)), 0)
    axis.set(xlim=(left, 100 + 0.02 * (100 - left)), ylim=(1.6, -0.6), xlabel="accuracy (%); dashed: float network")
    axis.set_yticks((0, 1), ("now", "before"))
    axis.grid(axis="y", visible=False)
    axis.set_title("accuracy of each chip, mean, 95 % interval", fontsize="medium", loc="left")


def _draw_energy(axis: Axes, view: View, before: View | None) -> None:
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
    axis.set_xlabel(f"energy ({prefix}J)" + ("" if before is None else "; mark: before"))
    axis.grid(axis="y", visible=False)
    axis.set_title("energy of an inference", fontsize="medium", loc="left")


# The tile


def tile_picture(view: View) -> Figure:
    """What the cells of a tile hold, and their conductances in each of its physical tiles."""
    figure, drawn, count = _figure(MAP_HEIGHT), view.tile, 1 + len(view.tile.cells)
    height, width = MAP_HEIGHT / DPI, WIDTH / DPI
    size, gap = 1.93, 0.4
    lefts = [0.58 + i * (size + gap) for i in range(count)]
    axes = [figure.add_axes((left / width, 0.68 / height, size / width, size / height)) for left in lefts]
    _draw_roles(axes[0], drawn.roles)
    device = view.design.hardware.device
    top, shown = 1e6 * device.g_on * 1.15, {"interpolation": "nearest", "aspect": "auto", "cmap": _conductances()}
    names = ("positive tile", "negative tile") if len(drawn.cells) == 2 else ("tile, and its reference column",)
    for axis, cells, name in zip(axes[1:], drawn.cells, names, strict=True):
        image = axis.imshow(1e6 * cells, vmin=0, vmax=top, extent=(0, cells.shape[1], len(cells), 0), **shown)
        axis.set_title(name, fontsize="medium", loc="left")
        axis.set_xlabel("column")
    bar = figure.add_axes(((lefts[-1] + size + 0.12) / width, 0.68 / height, 0.11 / width, size / height))
    figure.colorbar(image, bar, extend="max").set_label("conductance (µS)")
    for axis in axes:
        axis.grid(False)
        axis.locator_params(nbins=4, integer=True)
        axis.tick_params(length=2)
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    return figure


def _conductances() -> ListedColormap:
    colors = ListedColormap(sns.color_palette("viridis", 256))
    colors.set_bad("white")
    return colors


def _draw_roles(axis: Axes, roles: np.ndarray) -> None:
    colors, (rows, cols) = ListedColormap(ROLE_COLORS), roles.shape
    shown = {"interpolation": "nearest", "aspect": "auto", "extent": (0, cols, rows, 0)}
    axis.imshow(roles, cmap=colors, vmin=NOT_SELECTED, vmax=len(ROLES) - 1, **shown)
    axis.set(xlabel="column (output)", ylabel="row (input)")
    axis.set_title("what cells hold", fontsize="medium", loc="left")
    handles = [
        Patch(facecolor=color, edgecolor="0.4", linewidth=0.5, label=f"{name}: {percent((roles == i).mean(), 0)}")
        for i, (name, color) in enumerate(zip(ROLES, ROLE_COLORS, strict=True))
    ]
    axis.figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.06, 0.0), ncols=5, frameon=False, fontsize="small",
        handlelength=1.1, columnspacing=1.4,
    )  # fmt: skip


# Numbers


@dataclass(frozen=True)
class Number:
    """One number that a design is judged by."""

    name: str
    now: str
    note: str = ""  #: what belongs to it
    before: str = ""
    change: str = ""


def quantity(value: float, unit: str) -> str:
    """With a prefix and 3 digits, such as "12.3 µJ"."""
    return EngFormatter(unit, sep=" ")(float(f"{value:.3g}"))


def percent(share: float, digits: int = 1) -> str:
    """Such as "97.3 %"."""
    return f"{100 * share:.{digits}f} %"


def numbers(view: View, before: View | None) -> list[Number]:
    """Accuracy, cost and footprint; beside them those before and what changed, a difference or a ratio."""
    return [_accuracy(view, before), *_costs(view, before), *_footprint(view, before)]


def _accuracy(view: View, before: View | None) -> Number:
    if not len(view.hits):
        return Number("accuracy", "…", f"float: {percent(view.reference.mean())}")
    note, interval = f"float: {percent(view.reference.mean())}", view.accuracy
    if interval:
        note = f"{percent(interval.low)} to {percent(interval.high)}; {note}"
    found = Number("accuracy", percent(view.hits.mean()), note)
    if before is None:
        return found
    gain, change = view.gain(before), ""
    if gain:
        change = f"{100 * gain.mean:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    return Number(found.name, found.now, note, percent(before.hits.mean()), change)


def _costs(view: View, before: View | None) -> list[Number]:
    found, now, then = [], view.totals, before and before.totals
    for name, unit, scale in (("energy", "J", 1), ("latency", "s", 1), ("area", "mm²", 1e6)):
        values = [None if t is None else scale * getattr(t, name) for t in (now, then)]
        shown = ["…" if v is None else f"{v:.3g} {unit}" if scale > 1 else quantity(v, unit) for v in values]
        found.append(_compared(name, values, shown, "per inference" if name == "energy" else ""))
    return found


def _footprint(view: View, before: View | None) -> list[Number]:
    found = []
    tables = [view.footprint, None if before is None else before.footprint]
    names = {"tiles": "tiles", "cells_allocated": "cells", "passes": "passes", "conversions": "conversions"}
    for column, name in names.items():
        values = [None if table is None else int(table[column].sum()) for table in tables]
        shown = ["…" if v is None else f"{v:,}" if v < 1e5 else quantity(v, "").strip() for v in values]
        used = int(view.footprint["cells_used"].sum())
        note = f"{percent(used / values[0], 0)} hold weights" if column == "cells_allocated" else ""
        found.append(_compared(name, values, shown, note))
    return found


def _compared(name: str, values: list[float | None], shown: list[str], note: str) -> Number:
    now, then = values
    if then is None or now is None:
        return Number(name, shown[0], note)
    return Number(name, shown[0], note, shown[1], _change(now, then))


def _change(now: float, then: float) -> str:
    """As a share where it is small, else as a ratio."""
    ratio = now / then
    if now == then:
        return "unchanged"
    return f"{100 * (ratio - 1):+.2g} %" if 0.5 < ratio < 2 else f"{ratio:.3g} times"
