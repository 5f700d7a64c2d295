"""The study 02_mapping: how layouts lay a layer on tiles, and what that occupies, per network, layout and tile size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import nn

from memlib import train
from memlib.claims import Claim, exactly
from memlib.figures import severity_colors
from memlib.footprint import best_windows, footprint, layer_activity, layer_footprint
from memlib.hardware import Hardware
from memlib.layers import Geometry
from memlib.mapping import Mapping
from memlib.studies.tile_size import label
from memlib.tile import Tile

INPUT_SHAPE = (3, 32, 32)
#: The layouts that are compared, by the name that figures and tables give them.
LAYOUTS: dict[str, Mapping] = {
    "dense": Mapping(layout="dense"),
    "window 2x2": Mapping(layout=(2, 2)),
    "window 4x4": Mapping(layout=(4, 4)),
    "sparse, packed": Mapping(layout="sparse", order="packed"),
    "sparse, hwc": Mapping(layout="sparse", order="hwc"),
    "sparse, chw": Mapping(layout="sparse", order="chw"),
}
#: In tables and claims beside them: for each convolution the window with the fewest tile reads.
BEST = "best windows"

# The drawing: one small layer, on small tiles

#: 2 to 3 channels, on a map of 6x6.
LAYER, MAP_SIZE = Geometry.of(nn.Conv2d(2, 3, 3, padding=1)), (6, 6)
DRAWN_TILE = 12
#: (channel, y, x) of the output whose weights are picked out.
PIXEL = (1, 2, 3)
DRAWN = ("dense", "window 2x2", "sparse, packed", "sparse, chw", "sparse, hwc")
#: What a cell of a drawing is, from outside the tiles to the weights of the picked output; colours differ in lightness.
STATES = {
    "not allocated": "#ffffff",
    "deselected: its row or column holds no weight": "#e4e4e4",
    "unused: structural zero in selected lines": "#a6c8e4",
    "used: holds a weight": "#27496d",
    "used by the picked output": "#f58a07",
}
NOT_ALLOCATED, DESELECTED, UNUSED, USED, PICKED = range(len(STATES))


@dataclass(frozen=True)
class Drawing:
    """Where the tiles of a layer lie side by side, and what each of their cells is."""

    cells: np.ndarray  #: (rows, columns) number of a state, in the order of STATES
    corners: list[tuple[int, int]]  #: row and column of each tile's first cell
    column: int  #: of the picked output
    counts: dict[str, Any]  #: as `layer_footprint` and `layer_activity`


def drawing(mapping: Mapping, rows: int = DRAWN_TILE, cols: int = DRAWN_TILE) -> Drawing:
    """LAYER on tiles of `rows` x `cols`: column groups from left to right, row cuts from top to bottom."""
    hardware = Hardware(tile=Tile(rows=rows, cols=cols), mapping=mapping)
    placement = hardware.place(LAYER, (MAP_SIZE,))
    window = placement.window
    place = (at % length for at, length in zip(PIXEL[1:], window.shape, strict=True))
    output = np.ravel_multi_index((PIXEL[0], *place), (LAYER.outputs, *window.shape))
    cells = np.zeros((rows * (placement.cuts.max() + 1), cols * (placement.groups.max() + 1)), np.int8)
    corners, columns = [], set()
    for tile in placement:
        top, left = tile.cut * rows, tile.group * cols
        lines = np.ix_(top + tile.rows, left + tile.columns)
        cells[top : top + rows, left : left + cols] = DESELECTED
        cells[lines] = np.where(tile.weights < 0, UNUSED, np.where(tile.outputs == output, PICKED, USED))
        corners.append((top, left))
        columns |= set(left + tile.columns[tile.outputs == output])
    counts = layer_footprint(placement, hardware) | layer_activity(placement, hardware, [MAP_SIZE])
    return Drawing(cells, corners, int(columns.pop()), counts)


def drawn_cells(drawings: dict[str, Drawing]) -> pd.DataFrame:
    """How many cells of each kind a drawing has; of one polarity, the other's tiles look the same."""
    rows = []
    for name, d in drawings.items():
        states = np.bincount(d.cells.ravel(), minlength=len(STATES))
        kinds = {"deselected": DESELECTED, "unused": UNUSED, "used": USED, "picked": PICKED}
        row = {"layout": name, "tile_pairs": len(d.corners), **{kind: states[i] for kind, i in kinds.items()}}
        row["used"] += row["picked"]
        rows.append(row | {key: d.counts[key] for key in ("utilisation", "passes", "tile_reads")})
    return pd.DataFrame(rows)


def draw(drawings: dict[str, Drawing]) -> Figure:
    """Every drawing at one scale, with the layer and a legend."""
    inch, gap, left = 0.043, 30, 12  # of a cell; cells between panels, and before them
    whole = [d.cells.shape for d in drawings.values()]
    first, second = list(drawings.items())[:3], list(drawings.items())[3:]
    width = left + sum(columns for _, columns in whole[3:]) + 14
    heights = [max(rows for rows, _ in part) for part in (whole[:3], whole[3:])]
    height = 14 + sum(heights) + 3 * 17
    figure = plt.figure(figsize=(width * inch, height * inch))

    def panel(x: float, top: float, shape: tuple[int, int]) -> Any:
        return figure.add_axes((x / width, 1 - (top + shape[0]) / height, shape[1] / width, shape[0] / height))

    top = 17
    _layer_sketch(panel(2, top, (36, 44)))
    x = 2 + 44 + 26
    for name, d in first:
        _panel(panel(x, top, d.cells.shape), name, d)
        x += d.cells.shape[1] + gap
    x, top = left, top + heights[0] + 24
    for name, d in second:
        _panel(panel(x, top, d.cells.shape), name, d)
        x += d.cells.shape[1] + 12
    _legend(figure)
    return figure


def _panel(axis: Any, name: str, d: Drawing) -> None:
    rows, columns = d.cells.shape
    colors = ListedColormap(list(STATES.values()))
    axis.imshow(d.cells, cmap=colors, vmin=0, vmax=len(STATES) - 1, extent=(0, columns, rows, 0), interpolation="none")
    for top, left in d.corners:
        axis.add_patch(Rectangle((left, top), DRAWN_TILE, DRAWN_TILE, fill=False, edgecolor="0.15", linewidth=0.7))
    axis.plot(d.column + 0.5, -1.6, marker="v", color=STATES["used by the picked output"], clip_on=False, markersize=5)
    axis.set(xticks=range(0, columns + 1, 36 if columns > 36 else 12), yticks=range(0, rows + 1, 12))
    axis.set_xlim(0, columns)
    axis.set_ylim(rows, 0)
    axis.grid(False)
    axis.tick_params(length=2, pad=1, labelsize="x-small")
    for spine in axis.spines.values():
        spine.set_visible(False)
    pairs, c = len(d.corners), d.counts
    text = f"{pairs} tile pairs, {100 * c['utilisation']:.0f} % used\n{c['passes']} pass{'es' * (c['passes'] > 1)}"
    axis.set_title(f"$\\bf{{{name.replace(' ', '~')}}}$\n{text}", pad=9, fontsize="small")


def _layer_sketch(axis: Any) -> None:
    """Input and output maps of the layer, with the picked output and what it reads."""


def _legend(figure: Figure) -> None:
    handles = [Patch(facecolor=color, edgecolor="0.15", linewidth=0.5, label=name) for name, color in STATES.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False, fontsize="small")
