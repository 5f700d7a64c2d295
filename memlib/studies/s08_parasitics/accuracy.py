"""Accuracy of trained networks on tiles with resistive wires, by device, tile size and layout."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import one_of, whole
from memlib.cells.device import Device
from memlib.chip.recalibration import METHODS
from memlib.evidence.comparisons import Chips, Labelled, Loss
from memlib.evidence.intervals import Interval
from memlib.evidence.tolerances import crossing
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import point_fields
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.drawing import (
    MARKERS,
    errorbars,
    legend_beside,
    note,
    panels,
    severity_colors,
    tick_values,
    where,
)  # fmt: skip
from memlib.studies.s08_parasitics.arrays import device_title, uniform_conductances
from memlib.studies.shared.effects import RECALIBRATIONS
from memlib.studies.shared.trained_networks import INPUT_SHAPE, convolutions, data_of, label, shared_fields
from memlib.sweeps.points import Point
from memlib.wires.resistances import Wires
from memlib.wires.solver import solve
from memlib.zoo.checkpoints import load_checkpoint

#: Bits of DACs and ADCs.
BITS = 8
#: Programming error of ideal devices, relative to g_on - g_off, about that of ihp_hfo2, so that chips differ.
PROGRAM_ERROR = 0.02
#: The labels of points.
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
    sparse_layers = whole("sparse_layers", sparse_layers, 0, len(convolutions(checkpoint)))
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
) -> Labelled:
    """All combinations with their labels, tile sizes and resistances ascending."""
    axes = itertools.product(checkpoints, recalibrations, devices, sparse_layers, sorted(tile_sizes), sorted(r_wire))
    found: list[dict[str, Any]] = [dict(zip(KEYS, values, strict=True)) for values in axes]
    return [(labels, make_point(images=images, **labels)) for labels in found]


def losses(labelled: Labelled) -> list[tuple[dict[str, Any], Loss]]:
    """The labels of every point with wires, and its loss by them."""
    free = {tuple(labels.values())[:-1]: point for labels, point in labelled if not labels["r_wire"]}
    return [(x, Loss(point, free[tuple(x.values())[:-1]])) for x, point in labelled if x["r_wire"]]


def tolerances(chips: Chips, labelled: Labelled) -> pd.DataFrame:
    """For each network, recalibration, device and wire resistance, the largest tile whose wires cost at most 1 point.

    Returns:
        tolerance: where the loss, made monotone in the tile size and interpolated, crosses 1 point; inf if it does not,
        nan if below the smallest size tried, where nothing is known;
        low, high: the last size tried that surely costs less (0: none), and the first that surely costs more.
    """
    names, curves, rows = ("checkpoint", "recalibration", "device", "r_wire"), dict[tuple, dict[int, Interval]](), []
    for labels, loss in losses(labelled):
        curves.setdefault(tuple(labels[name] for name in names), {})[labels["tile_size"]] = chips.lost(loss)
    for key, lost in curves.items():
        t = crossing(list(lost), list(lost.values()))
        known = t.severity if t.severity >= min(lost) else np.nan
        rows.append(dict(zip(names, key, strict=True)) | t.columns() | {"tolerance": known})
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
    kinds = frame[["checkpoint", "recalibration"]].drop_duplicates().itertuples(index=False, name=None)
    rows = {(name, way): f"{label(name)}\n{RECALIBRATIONS[way]}\n\naccuracy (%)" for name, way in kinds}
    columns = {device: device_title(device) for device in frame["device"].unique()}
    grid = panels(rows, columns, (2.0, 1.9), (1.6, 0.7), "rows and columns of a tile")
    for (checkpoint, recalibration), device, axis in grid:
        group = where(frame, checkpoint=checkpoint, recalibration=recalibration, device=device)
        _accuracy_lines(axis, group, "tile_size", "r_wire", lambda ohm: f"{ohm:g} Ω")
        free = where(group, r_wire=0)
        axis.plot(free["tile_size"], 100 * free["accuracy"] - 1, ":", color="0.3", linewidth=0.9, zorder=3)
        tick_values(axis, frame["tile_size"])
    grid.axes[0, 0].set_ylim(0, 102)
    grid.axes[0, -1].legend(title="per segment", loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    text = f"{origin}: {frame['images'].max()} test images, {frame['n'].max()} chips"
    note(grid.figure, f"{text}; bars: 95 % intervals; dotted: 1 point below 0 Ω", 0.005)
    grid.figure.tight_layout(w_pad=0.5, rect=(0, 0.03, 1, 1))
    return grid.figure


def _accuracy_lines(axis: Axes, frame: pd.DataFrame, x: str, line: str, name: Any) -> None:
    """Accuracy, %, with its intervals, over column `x`, a line for each value of column `line`."""
    values = frame[line].unique()
    for i, (value, color, marker) in enumerate(zip(values, severity_colors(len(values)), MARKERS, strict=False)):
        group = frame[frame[line] == value]
        look = {"color": color, "marker": marker, "markersize": 3 if i else 4.5}
        errorbars(axis, group[x], group, label=name(value), **look)


def plot_layouts(frame: pd.DataFrame) -> Figure:
    """A panel per tile size: accuracy over wire resistance, a line per layout."""
    checkpoint = frame["checkpoint"].iloc[0]
    n = len(convolutions(checkpoint))

    def text(sparse: int) -> str:
        """So many layers in the sparse layout."""
        last = f"all {n}" if sparse == n else "last" if sparse == 1 else f"last {sparse}"
        return f"{last} convolution{'s' if sparse > 1 else ''}\nsparse, others dense" if sparse else "all dense"

    rows = {"": f"{network_on_data(checkpoint)}\naccuracy (%)"}
    columns = {size: f"{size}x{size} tiles" for size in sorted(set(frame["tile_size"]))}
    grid = panels(rows, columns, (2.6, 2.5), (2.4, 0), "wire resistance per segment (Ω)", sharex=False)
    for _, size, axis in grid:
        _accuracy_lines(axis, where(frame, tile_size=size), "r_wire", "sparse_layers", text)
    grid.axes[0, 0].set_ylim(0, 102)
    legend_beside(axis)
    grid.figure.tight_layout()
    return grid.figure
