"""The study 06_power: energy, latency and area of dense, window and sparse layouts, by component and technology."""

import itertools
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from memlib.base.canonical import deciding
from memlib.costs.activity import FETCHES, measure
from memlib.costs.cost_table import cost_of
from memlib.costs.machine import balanced_copies, totals
from memlib.costs.technology import TECHNOLOGIES
from memlib.evidence.claims import Claim, below_times, exactly
from memlib.evidence.intervals import Interval, crossed_interval
from memlib.mapping.footprints import best_windows, footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN, point_fields
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.drawing import Drawing
from memlib.studies.trained_networks import (
    INPUT_SHAPE,
    by_layer,
    label,
    mapped,
    model_of,
    seeds_of,
    shared_fields,
    split,
)
from memlib.sweeps.points import Point, named

#: Relative sigma of device-to-device variation, so that chips differ.
D2D = 0.2
#: Parts of the images, whose energies tell how much it varies from image to image.
BLOCKS = 10
#: The layout that gives each convolution the window of the fewest tile reads.
BEST = "best windows"
#: What claims are decided on.
CLAIM_LAYOUTS = ("dense", BEST, "sparse", "sparse, unformed")
#: What figures call the technologies.
NAMES = {"isaac": "ISAAC, 32 nm", "li2022": "Li et al. 2022, 22 nm"}
#: Components with a colour of their own; the others are summed up.
COMPONENTS = ("array", "DAC", "ADC", "buffers and registers", "other")
GROUPS = dict.fromkeys(("eDRAM", "bus", "input register", "output register"), "buffers and registers")


@lru_cache
def windows_of(checkpoint: str, rows: int) -> str:
    """The best window of every convolution on tiles of rows x rows cells, as "conv1=2x2 conv2=4x4"."""
    hardware = Hardware(tile=Tile(rows, rows), mapping=Mapping(order="hwc"))
    found = best_windows(model_of(checkpoint), INPUT_SHAPE, hardware)
    return " ".join(f"{name}={h}x{w}" for name, (h, w) in zip(found["layer"], found["window"], strict=True))


@named("array power")
def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """What the arrays of one chip draw: the sum of v^2 g over all cells and passes, W, mean over images.

    Returns:
        "W <layer>": of each layer; "blocks": of the network, in `BLOCKS` parts of the images, as a JSON list.
    """
    shared, fields = split(point)
    chip, images, _ = mapped(shared, by_layer(shared[0], fields), seed)
    parts = [measure(chip, part) for part in images.chunk(BLOCKS)]
    sizes = [len(part) for part in images.chunk(BLOCKS)]
    layers = {name: np.average([p[name].power for p in parts], weights=sizes) for name in parts[0]}
    blocks = [sum(found.power for found in part.values()) for part in parts]
    return {f"W {name}": float(watt) for name, watt in layers.items()} | {"blocks": json.dumps(blocks)}


def points(
    checkpoints: Sequence[str], layouts: Sequence[str], images: int, device: str, rows: int, bits: int
) -> list[Point]:
    """A point for each network and layout; DAC and ADC have the same bits."""
    choices = {"d2d_on": D2D, "d2d_off": D2D, "rows": rows, "cols": rows, "dac_bits": bits, "adc_bits": bits}
    found = []
    for checkpoint, layout in itertools.product(checkpoints, layouts):
        windows = {"windows": windows_of(checkpoint, rows)} if layout == BEST else {}
        fields = point_fields(Hardware.of(device, "dense" if windows else layout, **choices)) | windows
        labels = {"device_label": device, "layout_label": layout}
        found.append({**shared_fields(checkpoint, images), **fields, **labels})
    return found


def sweeps(
    checkpoints: Sequence[str],
    layouts: Sequence[str],
    device: str,
    rows: int,
    bits: int,
    images: int,
    device_seeds: int,
    claim_images: int,
    claim_seeds: int,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the figures, and of the claims, from the notebook's parameters."""
    figure = points(checkpoints, layouts, images, device, rows, bits)
    claim = points(checkpoints, CLAIM_LAYOUTS, claim_images, device, rows, bits)
    return [(figure, seeds_of(device_seeds)), (claim, seeds_of(claim_seeds))]


# From array power to cost


def _results_of(results: pd.DataFrame, checkpoint: str, layout: str) -> pd.DataFrame:
    """A row per chip of one machine."""
    chosen = (results["checkpoint"] == checkpoint) & (results["layout_label"] == layout)
    return results[chosen].sort_values("seed")


def _chips(results: pd.DataFrame, checkpoint: str, layout: str) -> pd.DataFrame:
    """Power of each layer, W, a row per chip."""
    chosen = _results_of(results, checkpoint, layout)
    powers = chosen[[name for name in chosen if name.startswith("W ")]].dropna(axis=1)
    return powers.rename(columns=lambda name: name.removeprefix("W "))


def _hardware(results: pd.DataFrame, checkpoint: str, layout: str) -> dict[str, Hardware]:
    """Of every layer of one machine."""
    point = deciding(_results_of(results, checkpoint, layout).iloc[0].dropna())
    return by_layer(checkpoint, {name: point[name] for name in (*FROZEN, "windows") if name in point})


def table(
    results: pd.DataFrame, checkpoint: str, layout: str, technology: str, converters: str = "serial", **more: Any
) -> pd.DataFrame:
    """The cost of a network in one layout, by layer and component, with the mean array power of its chips."""
    hardware = _hardware(results, checkpoint, layout)
    power = _chips(results, checkpoint, layout).mean().to_dict()
    return cost_of(model_of(checkpoint), INPUT_SHAPE, hardware, power, technology, converters, **more)


def components(results: pd.DataFrame, technologies: Sequence[str]) -> pd.DataFrame:
    """Energy (J), latency (s) and area (m2) of one inference by network, layout, technology and component."""
    rows = []
    for (checkpoint, layout), technology in itertools.product(_machines(results), technologies):
        t = table(results, checkpoint, layout, technology)
        sums = t.groupby(t["component"].map(_group))[["energy", "latency", "area"]].sum().reindex(COMPONENTS)
        for component, part in sums.iterrows():
            labels = {"checkpoint": checkpoint, "layout": layout, "technology": technology, "component": component}
            rows.append(labels | part.to_dict())
    return pd.DataFrame(rows)


def _machines(results: pd.DataFrame) -> list[tuple[str, str]]:
    return list(results[["checkpoint", "layout_label"]].drop_duplicates().itertuples(index=False, name=None))


def _group(component: str) -> str:
    return GROUPS.get(component, component if component in COMPONENTS else "other")


def energies(results: pd.DataFrame, checkpoint: str, layout: str, technology: str) -> np.ndarray:
    """(chips, blocks of images) energy of an inference, J: the arrays' differs, the rest does not."""
    t = table(results, checkpoint, layout, technology)
    array = t[t["component"] == "array"]["energy"].sum()
    blocks = powers(results, checkpoint, layout)
    return t["energy"].sum() - array + array * blocks / _chips(results, checkpoint, layout).mean().sum()


def powers(results: pd.DataFrame, checkpoint: str, layout: str) -> np.ndarray:
    """(chips, blocks of images) what the arrays draw, W."""
    return np.array([json.loads(text) for text in _results_of(results, checkpoint, layout)["blocks"]])


def _interval(values: np.ndarray, images: int) -> Interval:
    """Over chips crossed with blocks of images."""
    i = crossed_interval(values, low=0, high=math.inf, extra=0)
    return Interval(i.mean, i.low, i.high, i.n, images)


def machines(results: pd.DataFrame, technologies: Sequence[str]) -> pd.DataFrame:
    """Whole machines with pipelined layers: energy with its interval over chips, latency, area and efficiency."""
    rows = []
    for (checkpoint, layout), technology in itertools.product(_machines(results), technologies):
        i = _interval(energies(results, checkpoint, layout, technology), _images(results))
        for converters in ("serial", "parallel"):
            t = table(results, checkpoint, layout, technology, converters)
            labels = {"checkpoint": checkpoint, "layout": layout, "technology": technology, "converters": converters}
            interval = {"energy_low": i.low, "energy_high": i.high, "n": i.n, "images": i.images}
            rows.append({**labels, **_whole(t), **interval})
    return pd.DataFrame(rows)


def _whole(t: pd.DataFrame) -> dict[str, float]:
    whole_machine = totals(t, pipelined=True)
    return {
        "energy": whole_machine.energy,
        "latency": whole_machine.latency,
        "interval": whole_machine.interval,
        "area": whole_machine.area,
        "power": whole_machine.power,
        "tops_per_watt": whole_machine.tops_per_watt,
        "tops_per_mm2": whole_machine.tops_per_mm2,
        "writing_energy": float(t["writing_energy"].sum()),
    }


def _images(results: pd.DataFrame) -> int:
    return int(results["images"].iloc[0])


def copied(results: pd.DataFrame, checkpoint: str, technology: str, **goal: float) -> dict[str, float]:
    """The dense layout with as many copies of each layer as a goal, of `balanced_copies`, asks for."""
    copies = balanced_copies(table(results, checkpoint, "dense", technology), **goal)
    return _whole(table(results, checkpoint, "dense", technology, copies=copies))


def comparison(results: pd.DataFrame, technologies: Sequence[str]) -> pd.DataFrame:
    """Sparse beside dense as built, with copies to the sparse machine's area, and with copies to its speed."""
    rows = []
    for checkpoint, technology in itertools.product(dict.fromkeys(results["checkpoint"]), technologies):
        sparse = _whole(table(results, checkpoint, "sparse", technology))
        found = {
            "sparse": sparse,
            "dense": _whole(table(results, checkpoint, "dense", technology)),
            "dense, equal area": copied(results, checkpoint, technology, area=sparse["area"]),
            "dense, equal speed": copied(results, checkpoint, technology, interval=sparse["interval"]),
        }
        for machine, values in found.items():
            rows.append({"checkpoint": checkpoint, "technology": technology, "machine": machine, **values})
    return pd.DataFrame(rows)


def copies_curve(results: pd.DataFrame, checkpoint: str, technology: str) -> pd.DataFrame:
    """Area (m2) and interval (s) of the dense layout from single copies to a thousand times their speed."""
    single = table(results, checkpoint, "dense", technology)
    layers = single.groupby("layer")[["busy", "area"]].sum()
    rows = []
    for goal in layers["busy"].max() * np.geomspace(1, 1e-3, 40):
        copies = pd.Series(balanced_copies(single, interval=goal))
        rows.append({"area": (layers["area"] * copies).sum(), "interval": (layers["busy"] / copies).max()})
    return pd.DataFrame(rows)


#: Names of the lines of the trade-off figure.
COPIES = "dense with copies"
FETCH_LINES = {fetch: f"sparse by dense, fetch {fetch}" for fetch in FETCHES}


def curves(results: pd.DataFrame, technologies: Sequence[str]) -> pd.DataFrame:
    """The lines of the trade-off figure: `copies_curve` and `dac_curve` of every network and technology."""
    parts = []
    for checkpoint, technology in itertools.product(dict.fromkeys(results["checkpoint"]), technologies):
        labels = {"checkpoint": checkpoint, "technology": technology}
        parts.append(copies_curve(results, checkpoint, technology).assign(line=COPIES, **labels))
        for fetch, line in FETCH_LINES.items():
            parts.append(dac_curve(results, checkpoint, technology, fetch).assign(line=line, **labels))
    return pd.concat(parts, ignore_index=True)


#: Published energies of a row's DAC at 8 bits, J, or scaled to them as `technology` does.
DAC_ENERGIES = {
    "ZigZag-IMC": 50e-15 * 8 * 0.9**2,
    "Li et al.": TECHNOLOGIES["li2022"].circuits["DAC"].energy(8),
    "ISAAC": TECHNOLOGIES["isaac"].circuits["DAC"].energy(8),
}


def dac_curve(results: pd.DataFrame, checkpoint: str, technology: str, fetch: str) -> pd.DataFrame:
    """How many times the dense layout's energy the sparse one needs, over the energy of one DAC use (J)."""
    energy = np.geomspace(1e-14, 1e-9, 61)
    sums = {}
    for name in ("dense", "sparse"):
        t = table(results, checkpoint, name, technology, fetch=fetch)
        hardware = _hardware(results, checkpoint, name)
        rows = footprint(model_of(checkpoint), INPUT_SHAPE, hardware)["row_activations"].sum()
        sums[name] = t[t["component"] != "DAC"]["energy"].sum() + rows * energy
    return pd.DataFrame({"dac_energy": energy, "ratio": sums["sparse"] / sums["dense"]})


# Figures

#: Of layouts, in the order of figures.
MARKERS = dict(zip(("dense", "2x2", "4x4", "8x8", BEST, "sparse", "sparse, unformed"), "osD^*Pv", strict=True))


def plot(frame: pd.DataFrame) -> Figure:
    """Energy, latency and area, stacked by component: a row each, a column per network and technology."""
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
            chosen = frame[(frame["checkpoint"] == checkpoint) & (frame["technology"] == technology)]
            values = chosen.pivot(index="layout", columns="component", values=quantity).loc[layouts, list(COMPONENTS)]
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


def plot_trade(machines: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """A row per technology: energy over latency, speed over area with copies of the dense layout, and the DAC's part.

    Args:
        machines: see `machines`; lines: see `curves`.
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
        part = built[built["converters"] == converters]
        family = part[part["layout"] != BEST].sort_values("latency")
        axis.plot(1e6 * family["latency"], 1e6 * family["energy"], color=color, linewidth=0.8, zorder=1)
        _points(axis, part["layout"], 1e6 * part["latency"], 1e6 * part["energy"], color, fill)


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


# Claims

SPARSE = "the sparse layout, packed for the fewest tiles,"
#: Whose energy is claimed to be less than whose; powers at equal speed have the same ratio, as nothing leaks.
ENERGY_CLAIMS = {
    ("sparse", "dense"): f"{SPARSE} needs less energy than the dense one",
    ("sparse, unformed", "dense"): f"{SPARSE} with unused cells unformed needs less energy than the dense one",
    (BEST, "dense"): "the best windows need less energy than the dense layout",
    ("sparse", BEST): f"{SPARSE} needs less energy than the best windows",
}


def claims(results: pd.DataFrame, technologies: Sequence[str]) -> list[Claim]:
    """What the study claims of sparse, windows and dense, decided on `CLAIM_LAYOUTS`."""
    found, images = [], _images(results)
    for checkpoint in dict.fromkeys(results["checkpoint"]):
        name = label(checkpoint)
        found += _counted(results, checkpoint, name)
        ratio = powers(results, checkpoint, "sparse") / powers(results, checkpoint, "dense")
        statement = f"{name}: {SPARSE} needs less energy in its arrays than the dense one"
        found.append(below_times(statement, _interval(ratio, images)))
        for technology in technologies:
            where = f"{name}, {NAMES[technology]}"
            for pair, statement in ENERGY_CLAIMS.items():
                a, b = (energies(results, checkpoint, layout, technology) for layout in pair)
                found.append(below_times(f"{where}: {statement}", _interval(a / b, images)))
            found += _at_equal(results, checkpoint, technology, where)
    return found


def _counted(results: pd.DataFrame, checkpoint: str, name: str) -> list[Claim]:
    """Claims about how often circuits are used."""
    sums = {}
    for layout in ("dense", "sparse"):
        t = footprint(model_of(checkpoint), INPUT_SHAPE, _hardware(results, checkpoint, layout))
        sums[layout] = t[["row_activations", "conversions"]].sum()
    rows, conversions = (float(ratio) for ratio in sums["sparse"] / sums["dense"])
    return [
        exactly(f"{name}: {SPARSE} uses DACs less often than the dense one", rows, rows < 1),
        exactly(f"{name}: {SPARSE} uses ADCs less often than the dense one", conversions, conversions < 1),
    ]


def _at_equal(results: pd.DataFrame, checkpoint: str, technology: str, where: str) -> list[Claim]:
    """Claims about the dense layout with copies; layers are pipelined and converters serial."""
    sparse = _whole(table(results, checkpoint, "sparse", technology))
    same_area = copied(results, checkpoint, technology, area=sparse["area"])
    same_speed = copied(results, checkpoint, technology, interval=sparse["interval"])
    speed, area = same_area["interval"] / sparse["interval"], sparse["area"] / same_speed["area"]
    fast = f"{where}: at equal area, {SPARSE} is faster than the dense one with copies"
    small = f"{where}: at equal speed, {SPARSE} is smaller than the dense one with copies"
    return [exactly(fast, speed, speed > 1), exactly(small, area, area < 1)]


FIGURES = {
    "06_power": Drawing(plot, ("06_power",)),
    "06_power_trade": Drawing(plot_trade, ("06_power_machines", "06_power_trade")),
}
