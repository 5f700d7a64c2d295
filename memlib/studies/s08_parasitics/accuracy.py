"""Accuracy of trained networks on tiles with resistive wires, by device, tile size and layout."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import one_of, whole
from memlib.cells.device import Device
from memlib.chip.recalibration import METHODS
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.evidence.tolerances import crossing
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import complete, point_fields
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.drawing import errorbars, severity_colors
from memlib.studies.effects import RECALIBRATIONS
from memlib.studies.s08_parasitics.arrays import uniform_conductances
from memlib.studies.s08_parasitics.axes import MARKERS, device_title, tick_sizes
from memlib.studies.trained_networks import INPUT_SHAPE, convolutions, data_of, hits_of, label, shared_fields
from memlib.sweeps.points import Point
from memlib.wires.resistances import Wires
from memlib.wires.solver import solve
from memlib.zoo.checkpoints import load_checkpoint

#: Bits of DACs and ADCs.
BITS = 8
#: Programming error of ideal devices, relative to g_on - g_off, about that of ihp_hfo2, so that chips differ.
PROGRAM_ERROR = 0.02
#: The fields that name a point in tables.
KEYS = ["checkpoint", "recalibration", "device", "sparse_layers", "tile_size", "r_wire"]


def make_point(
    checkpoint: str,
    images: int,
    device: str,
    tile_size: int,
    r_wire: float,
    sparse_layers: int = 0,
    recalibration: str = "none",
) -> Point:
    """A network on tiles of tile_size x tile_size cells with wires of `r_wire` ohm per segment.

    Args:
        sparse_layers: number of the last convolutions that are in the sparse layout. The others are dense.
        recalibration: see `memlib.recalibrate`. Every chip uses training images of its own. "none" leaves no trace.

    Raises:
        ValueError: if no such hardware can be.
    """
    whole("sparse_layers", sparse_layers, 0, len(convolutions(checkpoint)))
    one_of("recalibration", recalibration, METHODS)
    hardware = Hardware.of(
        device, program_error=Device.preset(device).program_error or PROGRAM_ERROR, rows=tile_size, cols=tile_size,
        dac_bits=BITS, adc_bits=BITS, r_row=r_wire, r_col=r_wire,
    )  # fmt: skip
    switches: dict[str, Any] = {"sparse_layers": sparse_layers} if sparse_layers else {}
    if recalibration != "none":
        switches |= {"recalibration": recalibration, "own_images": True}
    fields = point_fields(hardware) | {"device_label": device}
    return {**shared_fields(checkpoint, images), **fields, **switches}


def points(
    checkpoints: Sequence[str],
    images: int,
    devices: Sequence[str],
    tile_sizes: Sequence[int],
    r_wire: Sequence[float],
    sparse_layers: Sequence[int] = (0,),
    recalibrations: Sequence[str] = ("none",),
) -> list[Point]:
    """All combinations, tile sizes and resistances ascending."""
    axes = itertools.product(checkpoints, recalibrations, devices, sparse_layers, sorted(tile_sizes), sorted(r_wire))
    return [make_point(checkpoint, images, device, size, ohm, n, how) for checkpoint, how, device, n, size, ohm in axes]


def named(results: pd.DataFrame) -> pd.DataFrame:
    """The results of a sweep with all fields of `KEYS`."""
    results = complete(results, "rows", "r_row")
    columns = {"recalibration": "none", "sparse_layers": 0}
    for name, missing in columns.items():
        column = results[name] if name in results else pd.Series(missing, results.index)
        columns[name] = column.where(column.notna(), missing).astype(type(missing))
    names = {"device": results["device_label"], "tile_size": results["rows"], "r_wire": results["r_row"]}
    return results.assign(**columns, **names)


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """A row per point of `named` results with the mean accuracy over chips and its 95 % interval."""
    rows = []
    for key, group in results.groupby(KEYS, sort=False):
        rows.append(dict(zip(KEYS, key, strict=True)) | crossed_interval(hits_of(group)).columns())
    return pd.DataFrame(rows)


def free_and_wired(results: pd.DataFrame, **fields: Any) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, images) 1.0 where right, without wires and with the wires of `r_wire`, of the point of these fields."""
    for name, value in fields.items():
        if name != "r_wire":
            results = results[results[name] == value]
    free, wired = (hits_of(results[results["r_wire"] == ohm]).astype(float) for ohm in (0.0, fields["r_wire"]))
    return free, wired


def distinct(results: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """The distinct combinations of fields."""
    return list(results[list(names)].drop_duplicates().itertuples(index=False, name=None))


def tolerances(results: pd.DataFrame) -> pd.DataFrame:
    """For each network, recalibration, device and wire resistance, the largest tile whose wires cost at most 1 point.

    Returns:
        tolerance: where the loss, made monotone in the tile size and interpolated, crosses 1 point; inf if it does not,
        nan if below the smallest size tried, where nothing is known;
        low, high: the last size tried that surely costs less (0: none), and the first that surely costs more.
    """
    rows = []
    names = "checkpoint", "recalibration", "device", "r_wire"
    for key in distinct(results[results["r_wire"] > 0], *names):
        fields = dict(zip(names, key, strict=True))
        sizes = sorted(set(results["tile_size"]))
        t = crossing(sizes, [difference_interval(*free_and_wired(results, **fields, tile_size=n)) for n in sizes])
        found = t.severity if t.severity >= sizes[0] else np.nan
        rows.append(fields | {"tolerance": found, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows)


def minutes_for_wires(checkpoints: Sequence[str], tile_sizes: Sequence[int]) -> pd.DataFrame:
    """Minutes that the wires of a chip take on one core of this computer, by layout, extrapolated from 32 tiles."""
    rows = []
    for checkpoint, size in itertools.product(checkpoints, sorted(tile_sizes)):
        seconds = _seconds_per_tile(size, 32)
        for layout in ("dense", "sparse"):
            hardware = Hardware(tile=Tile(size, size), mapping=Mapping(layout=layout))
            count = int(footprint(load_checkpoint(checkpoint), INPUT_SHAPE, hardware)["tiles"].sum())
            labels = {"checkpoint": checkpoint, "tile_size": size, "layout": layout, "tiles": count}
            rows.append(labels | {"minutes": count * seconds / 60})
    return pd.DataFrame(rows)


def _seconds_per_tile(size: int, tiles: int) -> float:
    g = uniform_conductances(Device(), size, tiles)
    solve(g[:1], Wires(1.0, 1.0))  # the first is slower
    start = time.process_time()
    solve(g, Wires(1.0, 1.0))
    return (time.process_time() - start) / tiles


def network_on_data(checkpoint: str) -> str:
    """Network and data set, as claims and figures name them."""
    return f"{label(checkpoint)} on {data_of(checkpoint)}"


def plot_accuracy(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per network and recalibration, a column per device: accuracy over tile size, a line per resistance."""
    kinds, devices = distinct(frame, "checkpoint", "recalibration"), list(dict.fromkeys(frame["device"]))
    size = (2.0 * len(devices) + 1.6, 1.9 * len(kinds) + 0.7)
    figure, axes = plt.subplots(len(kinds), len(devices), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (checkpoint, recalibration), row in zip(kinds, axes, strict=True):
        rows = frame[(frame["checkpoint"] == checkpoint) & (frame["recalibration"] == recalibration)]
        for device, axis in zip(devices, row, strict=True):
            group = rows[rows["device"] == device]
            _accuracy_lines(axis, group, "tile_size", "r_wire", lambda ohm: f"{ohm:g} Ω")
            free = group[group["r_wire"] == 0]
            axis.plot(free["tile_size"], 100 * free["accuracy"] - 1, ":", color="0.3", linewidth=0.9)
            axis.set_xscale("log", base=2)
            tick_sizes(axis, frame["tile_size"])
        row[0].set_ylabel(f"{label(checkpoint)}\n{RECALIBRATIONS[recalibration]}\n\naccuracy (%)")
    for device, top, bottom in zip(devices, axes[0], axes[-1], strict=True):
        top.set_title(device_title(device))
        bottom.set_xlabel("rows and columns of a tile")
    axes[0, 0].set_ylim(0, 102)
    axes[0, -1].legend(title="per segment", loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    note = f"{origin}: {frame['images'].max()} test images, {frame['n'].max()} chips"
    note += "; bars: 95 % intervals; dotted: 1 point below 0 Ω"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(w_pad=0.5, rect=(0, 0.03, 1, 1))
    return figure


def _accuracy_lines(axis: Axes, frame: pd.DataFrame, x: str, line: str, name: Any) -> None:
    """Accuracy, %, with its intervals, over column `x`, a line for each value of column `line`."""
    values = list(dict.fromkeys(frame[line]))
    for i, (value, color, marker) in enumerate(zip(values, severity_colors(len(values)), MARKERS, strict=False)):
        group = frame[frame[line] == value]
        look = {"color": color, "marker": marker, "markersize": 3 if i else 4.5}
        errorbars(axis, group[x], group, label=name(value), **look)


def _layout_text(sparse: int, of: int) -> str:
    if not sparse:
        return "all dense"
    last = f"all {of}" if sparse == of else "last" if sparse == 1 else f"last {sparse}"
    return f"{last} convolution{'s' * (sparse > 1)}\nsparse, others dense"


def plot_layouts(frame: pd.DataFrame) -> Figure:
    """A panel per tile size: accuracy over wire resistance, a line per layout."""
    sizes, checkpoint = sorted(set(frame["tile_size"])), frame["checkpoint"].iloc[0]
    figure, axes = plt.subplots(1, len(sizes), figsize=(2.6 * len(sizes) + 2.4, 2.5), sharey=True, squeeze=False)
    of = len(convolutions(checkpoint))
    for size, axis in zip(sizes, axes[0], strict=True):
        group = frame[frame["tile_size"] == size]
        _accuracy_lines(axis, group, "r_wire", "sparse_layers", lambda n: _layout_text(n, of))
        axis.set(title=f"{size}x{size} tiles", xlabel="wire resistance per segment (Ω)")
    axes[0, 0].set(ylabel=f"{network_on_data(checkpoint)}\naccuracy (%)", ylim=(0, 102))
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.tight_layout()
    return figure
