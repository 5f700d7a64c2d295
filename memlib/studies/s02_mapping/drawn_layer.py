"""One small layer on small tiles, cell by cell, in each layout."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import nn

from memlib.layers.geometry import Geometry
from memlib.mapping.footprints import layer_activity, layer_footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.run import Run

PACKED = "sparse, packed"
#: The layouts that the study compares, by their names in figures and tables.
LAYOUTS: dict[str, Mapping] = {
    "dense": Mapping(layout="dense"),
    "window 2x2": Mapping(layout=(2, 2)),
    "window 4x4": Mapping(layout=(4, 4)),
    PACKED: Mapping(layout="sparse", order="packed"),
    "sparse, hwc": Mapping(layout="sparse", order="hwc"),
    "sparse, chw": Mapping(layout="sparse", order="chw"),
}
#: 2 to 3 channels, on a map of 6x6.
LAYER, MAP_SIZE = Geometry.of(nn.Conv2d(2, 3, 3, padding=1)), (6, 6)
DRAWN_TILE = 12
#: (channel, y, x) of the output whose weights are picked out.
PIXEL = (1, 2, 3)
#: In the order of the panels.
DRAWN = ("dense", "window 2x2", PACKED, "sparse, chw", "sparse, hwc")
PICKED_LABEL = "used, for the one output that the mark points at"
#: The states of a drawn cell, from outside the tiles to the picked output's weights. Colours differ in lightness.
STATES = {
    "not allocated": "#ffffff",
    "deselected: no weight in its row or column of the tile": "#f0f0f0",
    "unused: in a selected row and column, but no weight": "#c3d9ec",
    "used: holds a weight": "#5d8fc2",
    PICKED_LABEL: "#a80f0f",
}
NOT_ALLOCATED, DESELECTED, UNUSED, USED, PICKED = range(len(STATES))
#: How tables write them, one letter a cell.
LETTERS = ".-oxP"


@dataclass(frozen=True)
class LaidOut:
    """A layer on tiles side by side: column groups from left to right, row cuts from top to bottom."""

    cells: np.ndarray  #: (rows, columns) index of a state in STATES
    counts: dict[str, Any]  #: those of `layer_footprint` and `layer_activity`


def lay_out(mapping: Mapping) -> LaidOut:
    """Lay LAYER on tiles of DRAWN_TILE x DRAWN_TILE cells."""
    hardware = Hardware(tile=Tile(rows=DRAWN_TILE, cols=DRAWN_TILE), mapping=mapping)
    placement = hardware.place(LAYER, (MAP_SIZE,))
    window = placement.window
    position = (at % length for at, length in zip(PIXEL[1:], window.shape, strict=True))
    output = np.ravel_multi_index((PIXEL[0], *position), (LAYER.outputs, *window.shape))
    tiles = placement.cuts.max() + 1, placement.groups.max() + 1
    cells = np.full([DRAWN_TILE * n for n in tiles], NOT_ALLOCATED, np.int8)
    for tile in placement:
        top, left = tile.cut * DRAWN_TILE, tile.group * DRAWN_TILE
        cells[top : top + DRAWN_TILE, left : left + DRAWN_TILE] = DESELECTED
        states = np.where(tile.weights < 0, UNUSED, np.where(tile.outputs == output, PICKED, USED))
        cells[np.ix_(top + tile.rows, left + tile.columns)] = states
    counts = layer_footprint(placement, hardware) | layer_activity(placement, hardware, [MAP_SIZE])
    return LaidOut(cells, counts)


def corners(cells: np.ndarray) -> np.ndarray:
    """(tiles, 2) row and column of the first cell of each allocated tile."""
    return DRAWN_TILE * np.argwhere(cells[::DRAWN_TILE, ::DRAWN_TILE] != NOT_ALLOCATED)


def picked_column(cells: np.ndarray) -> int:
    """The column that holds all weights of the picked output."""
    return int(np.flatnonzero((cells == PICKED).any(0))[0])


def laid_out(_: Run) -> dict[str, LaidOut]:
    """The layer in each of the layouts DRAWN."""
    return {name: lay_out(LAYOUTS[name]) for name in DRAWN}


def drawn_cells(run: Run) -> pd.DataFrame:
    """A row per layout: cells of each kind in the tiles of one polarity, as the other's look the same."""
    rows = []
    for name, d in run.once(laid_out).items():
        states = np.bincount(d.cells.ravel(), minlength=len(STATES))
        kinds = {"deselected": DESELECTED, "unused": UNUSED, "used": USED, "picked": PICKED}
        row = {"layout": name, "tile_pairs": len(corners(d.cells)), **{kind: states[i] for kind, i in kinds.items()}}
        row["used"] += row["picked"]
        rows.append(row | {key: d.counts[key] for key in ("utilisation", "passes", "tile_reads")})
    return pd.DataFrame(rows)


def cell_lines(run: Run) -> pd.DataFrame:
    """A row per layout and line of cells, with a letter of LETTERS for each cell."""
    rows = [
        {"layout": name, "row": row, "cells": "".join(LETTERS[state] for state in line)}
        for name, d in run.once(laid_out).items()
        for row, line in enumerate(d.cells)
    ]
    return pd.DataFrame(rows)


def plot_layer(lines: pd.DataFrame, counts: pd.DataFrame) -> Figure:
    """Draw the layer, and the layouts DRAWN at one scale, three above two.

    Args:
        lines: see `cell_lines`.
        counts: see `drawn_cells`.
    """
    cells = {
        name: np.array([[LETTERS.index(letter) for letter in line] for line in part["cells"]])
        for name, part in lines.groupby("layout")
    }
    inch, lefts, tops = 0.043, (62, 99, 134, 12, 134), (20, 20, 20, 84, 84)  # of a cell; of the panels, in cells
    rows, columns = cells[DRAWN[-1]].shape
    width, height = lefts[-1] + columns + 4, tops[-1] + rows + 22
    figure = plt.figure(figsize=(width * inch, height * inch))

    def panel(left: float, top: float, shape: tuple[int, ...]) -> Axes:
        """Add axes at a place, in cells."""
        return figure.add_axes((left / width, 1 - (top + shape[0]) / height, shape[1] / width, shape[0] / height))

    _sketch(panel(3, 20, (36, 38)))
    for name, left, top in zip(DRAWN, lefts, tops, strict=True):
        axis = panel(left, top, cells[name].shape)
        _panel(axis, cells[name])
        c = counts.set_index("layout").loc[name]
        text = f"{c['tile_pairs']:.0f} tile pairs, {100 * c['utilisation']:.0f} % used\n{c['passes']:.0f} pass"
        _title(axis, name, text if c["passes"] == 1 else f"{text}es")
    handles = [Patch(facecolor=color, edgecolor="0.15", linewidth=0.5, label=name) for name, color in STATES.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def _panel(axis: Axes, cells: np.ndarray) -> None:
    """Draw the cells, a frame around each tile, and a mark at the picked column."""
    rows, columns = cells.shape
    colors = ListedColormap(list(STATES.values()))
    axis.imshow(cells, cmap=colors, vmin=0, vmax=len(STATES) - 1, extent=(0, columns, rows, 0), interpolation="none")
    for top, left in corners(cells):
        tile = Rectangle((left, top), DRAWN_TILE, DRAWN_TILE, fill=False, edgecolor="0.15", linewidth=0.7)
        axis.add_patch(tile).set_clip_on(False)
    mark = picked_column(cells) + 0.5
    axis.plot(mark, -1.8, marker="v", color=STATES[PICKED_LABEL], clip_on=False, markersize=5)
    axis.set(xlim=(0, columns), ylim=(rows, 0), xlabel="column", ylabel="row")
    axis.set(xticks=range(0, columns + 1, 12 * (1 + (columns > 24))), yticks=range(0, rows + 1, 12))
    axis.xaxis.label.set_fontsize("small")
    axis.yaxis.label.set_fontsize("small")
    axis.grid(False)
    axis.tick_params(length=2, pad=1, labelsize="x-small")
    axis.spines[:].set_visible(False)


def _title(axis: Axes, name: str, text: str) -> None:
    """Write a bold line and the rest, above the mark of the picked column."""
    for line, above, weight in ((text, 9, "normal"), (name, 31, "bold")):
        place = (0.5, 1), (0, above), "axes fraction", "offset points"
        axis.annotate(line, *place, ha="center", va="bottom", fontsize="small", fontweight=weight)


def _sketch(axis: Axes) -> None:
    """Draw input and output maps of the layer, with the picked output and the inputs that it reads."""
    channel, y, x = PIXEL
    size, steps = 10.2, [np.arange(n + 1) * 10.2 / n for n in MAP_SIZE]
    for number, left in ((LAYER.inputs, 4), (LAYER.outputs, 25)):
        for i in range(number):
            top = 18.9 + 11.9 * (i - number / 2)
            if left == 4 or i == channel:
                first, last = ((y - 1, x - 1), (y + 2, x + 2)) if left == 4 else ((y, x), (y + 1, x + 1))
                corner = left + steps[1][first[1]], top + steps[0][first[0]]
                extent = steps[1][last[1] - first[1]], steps[0][last[0] - first[0]]
                axis.add_patch(Rectangle(corner, *extent, color=STATES[PICKED_LABEL], linewidth=0))
            axis.vlines(left + steps[1], top, top + size, color="0.3", linewidth=0.5)
            axis.hlines(top + steps[0], left, left + size, color="0.3", linewidth=0.5)
    axis.annotate("", (24, 18), (15.2, 18), arrowprops={"arrowstyle": "->", "color": "0.3"})
    axis.set(xlim=(0, 38), ylim=(36, 0))
    axis.axis("off")
    kernel, pixels = "x".join(map(str, LAYER.kernel)), "x".join(map(str, MAP_SIZE))
    text = (
        f"{LAYER.inputs} to {LAYER.outputs} channels on a {pixels} map\n{kernel} kernel, padding {LAYER.padding[0][0]}"
    )
    _title(axis, "the layer", text)
